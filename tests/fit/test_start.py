import numpy as np
import pytest
from helpers import random_full_whiteners, simulate

from xpfit.fit.start import EXTINCTIONS, N_TYPES, SEPARATION, StartGrid
from xpfit.spectra import drop_channels


@pytest.fixture(scope="module")
def grid(model):
    return StartGrid(model)


@pytest.fixture
def star(model, rng):
    truth, spectra = simulate(model, 1, rng, relative_error=0.01)
    return truth[0], drop_channels(spectra, model.trained_channels)


def test_grid_is_the_paper_s(grid):
    assert N_TYPES == 512 and len(EXTINCTIONS) == 61
    assert EXTINCTIONS[0] == pytest.approx(0.01) and EXTINCTIONS[-1] == pytest.approx(10.0)
    np.testing.assert_allclose(EXTINCTIONS[1:] / EXTINCTIONS[:-1], 10**0.05)
    assert len(grid.theta) == 512 * 61


def test_grid_types_lie_in_the_trained_range_and_are_always_the_same(grid, model):
    assert model.in_range(grid.theta[:, :3]).all()
    np.testing.assert_array_equal(StartGrid(model).theta, grid.theta)


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_first_start_is_the_best_cell_of_an_exhaustive_search(grid, model, star, rng, kind):
    _, spectra = star
    flux, whitener = spectra.flux[0], spectra.whitener[0]
    if kind == "full":
        error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
        whitener = random_full_whiteners(error, rng)[1][0]
    matrix = np.diag(whitener) if kind == "diagonal" else whitener
    precision = matrix.T @ matrix
    losses = []
    for model_flux, theta in zip(grid.flux, grid.theta, strict=True):
        amplitude = (model_flux @ precision @ flux) / (model_flux @ precision @ model_flux)
        residual = max(amplitude, 0.0) * model_flux - flux
        losses.append(residual @ precision @ residual - 2 * model.prior.ln_p(theta[None, :3])[0])
    start = grid.starts(flux, whitener, 1)[0]
    np.testing.assert_array_equal(start[:-1], grid.theta[np.argmin(losses), :-1])


def test_amplitude_of_a_start_is_the_best_one(grid, model, star):
    _, spectra = star
    start = grid.starts(spectra.flux[0], spectra.whitener[0], 1)[0]

    def chi2(shift):
        theta = start + [0, 0, 0, 0, shift]
        residual = (model.forward.flux(theta[None])[0] - spectra.flux[0]) * spectra.whitener[0]
        return residual @ residual

    assert chi2(0.0) < min(chi2(-1e-4), chi2(1e-4))


def test_starts_lie_apart(grid, star):
    _, spectra = star
    starts = np.array(grid.starts(spectra.flux[0], spectra.whitener[0], 6))
    assert len(starts) == 6
    labels = starts[:, :3] / grid.scale[:3]
    distance = np.linalg.norm(labels[:, None] - labels, axis=-1)[np.triu_indices(6, 1)]
    assert distance.min() > SEPARATION


def test_first_start_is_near_the_truth(grid, model, rng):
    truth, spectra = simulate(model, 50, rng, relative_error=0.01)
    starts = np.array([
        grid.starts(spectra.flux[i], spectra.whitener[i], 1)[0] for i in range(50)
    ])  # fmt: skip
    off = np.abs(starts[:, :3] - truth[:, :3]) / grid.scale[:3]
    assert np.median(off) < 0.3
