from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
from helpers import simulate
from situations import SITUATIONS, objective_of, situation

from xpfit import Fitter, InputError
from xpfit.arrays import with_arrays
from xpfit.data import Triangular
from xpfit.fit.data import fit_data
from xpfit.fit.starts import GridStarts, ProfileStarts, complete_guesses
from xpfit.fit.starts.base import SEPARATION
from xpfit.fit.starts.grid import EXTINCTIONS, N_TYPES
from xpfit.fit.starts.profile import N_PROFILE_TYPES

KINDS = (GridStarts, ProfileStarts)


@pytest.fixture(scope="module")
def grid(model):
    return GridStarts(model)


def test_grid_is_the_paper_s(grid):
    assert N_TYPES == 512 and len(EXTINCTIONS) == 61
    assert EXTINCTIONS[0] == pytest.approx(0.01) and EXTINCTIONS[-1] == pytest.approx(10.0)
    np.testing.assert_allclose(EXTINCTIONS[1:] / EXTINCTIONS[:-1], 10**0.05)
    assert len(grid.flux) == 512 * 61


@pytest.mark.parametrize("kind", KINDS)
def test_types_lie_in_the_trained_range_and_are_always_the_same(kind, model):
    starts = kind(model)
    assert model.in_range(starts.types).all()
    np.testing.assert_array_equal(kind(model).types, starts.types)


def test_tiles_hold_neighbours_and_every_type_once(model):
    starts = ProfileStarts(model)
    assert len(np.unique(starts.types, axis=0)) == N_PROFILE_TYPES
    labels = starts.types / model.forward.label_scale
    tiles = labels.reshape(-1, starts.tile, 3)
    assert np.mean(tiles.std(axis=1)) < 0.4 * np.mean(labels.std(axis=0))


@pytest.mark.parametrize("kind", ["shapes", "full whiteners"])
def test_first_start_is_the_best_cell_of_an_exhaustive_search(grid, kind, rng):
    model, spectra, _ = situation(kind, 1, rng)
    flux, whitener = spectra.flux[0], spectra.whitener.rows[0]
    matrix = np.diag(whitener[0]) if len(whitener) == 1 else whitener
    precision = matrix.T @ matrix
    cells = grid.flux.reshape(512, 61, -1)
    best = (np.inf, None)
    for types, ln_p, row in zip(grid.types, model.prior.ln_p(grid.types), cells, strict=True):
        for extinction, cell in zip(EXTINCTIONS, row, strict=True):
            amplitude = max((cell @ precision @ flux) / (cell @ precision @ cell), 0.0)
            residual = amplitude * cell - flux
            loss = residual @ precision @ residual - 2 * ln_p
            if loss < best[0]:
                best = (loss, [*types, np.log(extinction), 0.5 * np.log(amplitude)])
    start = grid.find(fit_data(model, spectra), 1)[0, 0]
    np.testing.assert_allclose(start, best[1], rtol=1e-10)


def test_memory_for_the_grid_is_bounded_without_changing_it(grid, rng, monkeypatch):
    model, spectra, _ = situation("full whiteners", 7, rng)
    whole = grid.find(fit_data(model, spectra), 3)
    monkeypatch.setattr("xpfit.fit.starts.grid.GRID_BYTES", 3 * grid.flux.size * 8)
    np.testing.assert_allclose(grid.find(fit_data(model, spectra), 3), whole, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_starts_lie_apart_and_near_the_truth(kind, name, rng):
    model, spectra, theta = situation(name, 12, rng)
    starts = kind(model).find(fit_data(model, spectra), 6)
    k, scale = model.forward.n_label, model.forward.scale
    assert starts.shape == (12, 6, model.forward.n_stellar)
    for star in starts:
        labels = star[np.isfinite(star[:, 0]), :k] / scale[:k]
        distance = np.linalg.norm(labels[:, None] - labels, axis=-1)
        assert np.all(distance[np.triu_indices(len(labels), 1)] > SEPARATION)
    off = np.abs(starts - theta[:, None]) / scale
    assert np.median(np.nanmin(off[:, :, :k].max(axis=2), axis=1)) < 0.8
    assert np.median(off[:, 0, k + 1]) < 0.6


def test_profile_loss_is_chi2_where_the_model_is_nearly_linear(rng):
    """At the best candidate; its extinction and amplitude are the best for its type."""
    model, spectra, _ = situation("full whiteners", 20, rng)
    starts = ProfileStarts(model)
    loss, which, own = starts.candidates(fit_data(model, spectra))
    best = np.argmin(loss, axis=1)
    row = np.arange(20)
    theta = np.column_stack([starts.types[which[row, best]], own[row, best]])
    exact = objective_of(model, spectra).evaluate(theta)
    difference = exact.loss - loss[row, best]
    assert np.median(np.abs(difference)) < 0.3 * np.median(exact.loss)
    around = [theta + np.eye(5)[k] * step for k in (3, 4) for step in (-0.2, 0.2)]
    losses = np.array([objective_of(model, spectra).evaluate(t).loss for t in around])
    assert np.mean(losses > exact.loss) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_other_namespaces_find_the_same_starts(kind, rng):
    model, spectra, _ = situation("parallax", 5, rng)
    starts = kind(model) if kind is ProfileStarts else kind(model, 32, EXTINCTIONS[::8])
    expected = starts.find(fit_data(model, spectra), 4)
    there = with_arrays(starts, array_api_strict.asarray)
    data = fit_data(model, spectra, asarray=array_api_strict.asarray)
    strict = there.find(data, 4)
    np.testing.assert_allclose(np.from_dlpack(strict), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_and_empty_stars_do_not_matter(kind, rng):
    model, spectra, _ = situation("full whiteners", 6, rng)
    starts = kind(model)
    data = fit_data(model, spectra)
    expected = starts.find(data, 3)
    array = data.whitener.array.copy()
    array[2] = 0.0
    with np.errstate(all="ignore"):
        found = starts.find(replace(data, whitener=Triangular(array)), 3)
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(found[others], expected[others], rtol=1e-10)


@pytest.mark.parametrize("kind", SITUATIONS)
def test_guessed_labels_are_completed_by_the_best_extinction_and_amplitude(kind, rng):
    """Against a search over both; the true labels get the truth back."""
    model, spectra, theta = situation(kind, 6, rng)
    k = len(model.label_names)
    start = complete_guesses(model.forward, theta[:, :k], fit_data(model, spectra))
    assert start.shape == theta.shape
    np.testing.assert_array_equal(start[:, :k], theta[:, :k])
    # Where the curve varies from star to star, the mean one is started with.
    limit = 0.2 if model.forward.curve_varies else 0.08
    np.testing.assert_allclose(np.exp(start[:, k]), np.exp(theta[:, k]), atol=limit)
    np.testing.assert_allclose(start[:, k + 1], theta[:, k + 1], atol=limit)
    objective = objective_of(model, spectra)
    shift = np.zeros((3, 1, theta.shape[1]))
    shift[:, 0, k] = -0.3, 0.0, 0.3
    moved = (start + shift).transpose(1, 0, 2)
    chi2 = np.array([objective.evaluate(moved[:, i]).chi2 for i in range(3)])
    assert np.all(chi2[1] <= np.minimum(chi2[0], chi2[2]) * 1.02 + 1.0)


def test_guesses_outside_the_range_or_unknown_are_no_harm(model, rng):
    _, spectra = simulate(model, 6, rng, relative_error=0.01)
    usual = model.fit(spectra, progress=False)
    guesses = np.repeat(usual.parameters[:, None, :3], 2, axis=1)
    guesses[0], guesses[1, 0], guesses[2, 1] = np.nan, np.nan, 1e6
    guided = Fitter(model).fit(spectra, False, guesses)
    assert np.all(guided.loss < usual.loss + 0.5) and np.all(guided.status == 0)
    with pytest.raises(InputError, match=r"guesses must have shape \(6, any, 3\)"):
        Fitter(model).fit(spectra, False, guesses[:, :, :2])
