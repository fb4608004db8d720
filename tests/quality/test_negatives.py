"""Spectra made to be no single star's."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import InputError
from xpfit.fit import Fitter
from xpfit.model.bolometric import planck
from xpfit.quality import Negatives, fit_flags, is_reliable, labelled_fits, quality_flags
from xpfit.quality.labelled import with_negatives
from xpfit.quality.negatives import GOOD, LABELLED

N = 40


@pytest.fixture(scope="module")
def stars(absolute_model):
    """Simulated stars with labels, fitted."""
    truth, spectra = simulate(absolute_model, 120, np.random.default_rng(2), relative_error=0.02)
    labels = dict(zip(absolute_model.label_names, truth.T, strict=False))
    errors = {name: np.full(120, 0.02) for name in labels}
    spectra = spectra.replace(labels=labels, label_err=errors)
    return spectra, Fitter(absolute_model).fit(spectra, progress=False)


@pytest.fixture(scope="module")
def made(absolute_model, stars):
    rng = np.random.default_rng(1)
    return dict(Negatives(absolute_model, *stars, rng).iterate(N))


def test_every_kind_has_as_many_spectra_with_the_errors_and_ids_of_stars(made, stars):
    spectra, _ = stars
    assert {"noise", "black body", "emission lines", "sum of two stars", "pieces"} < set(made)
    for kind, odd in made.items():
        assert len(odd) == (N if kind != "noise" else N / 10)
        assert np.isin(odd.source_id, spectra.source_id).all()
        rows = np.searchsorted(spectra.source_id, odd.source_id)
        np.testing.assert_array_equal(odd.flux_err, spectra.flux_err[rows])
        assert np.isfinite(odd.flux).all() and bool(odd.labels) == (kind in LABELLED)


def test_the_same_seed_makes_the_same_spectra(absolute_model, stars, made):
    again = dict(Negatives(absolute_model, *stars, np.random.default_rng(1)).iterate(N))
    for kind, odd in made.items():
        np.testing.assert_array_equal(odd.flux, again[kind].flux)


def test_most_are_no_reliable_stars_and_good_stars_are(absolute_model, made):
    reliable = {}
    for kind, odd in made.items():
        result = Fitter(absolute_model).fit(odd, progress=False)
        flags = fit_flags(absolute_model, odd, result)
        reliable[kind] = is_reliable(quality_flags(absolute_model, odd, result), flags).mean()
    for kind in ("noise", "black body", "pieces", "wrong parallax"):
        assert reliable[kind] < 0.2, kind
    for kind in GOOD:
        assert reliable[kind] > 0.7, kind


def test_black_bodies_have_the_colours_of_planck_s_law(absolute_model, stars):
    negatives = Negatives(absolute_model, *stars, np.random.default_rng(3))
    rows = np.arange(30)
    flux = negatives._black_bodies(rows, (5.0, 5.0 + 1e-9))
    wavelength = absolute_model.space.wavelength
    ratio = flux / planck(wavelength, np.full(30, 5.0))
    ratio /= ratio[:, -1:]
    clear = np.ptp(ratio, axis=1) < 1e-6
    assert 5 < clear.sum() < 25  # half of them are behind dust, which dims the blue more
    assert np.all(ratio[~clear, 0] < ratio[~clear, 30])


def test_sums_are_brighter_than_either_star_by_what_is_added(absolute_model, stars):
    negatives = Negatives(absolute_model, *stars, np.random.default_rng(3))
    rows = np.arange(30)
    xp = ~absolute_model.space.is_band_channel
    single, both = negatives._predicted[rows][:, xp], negatives._sums(rows)[:, xp]
    added = np.linalg.norm(both, axis=1) / np.linalg.norm(single, axis=1)
    assert np.all(both > single) and np.all((added > 1.1) & (added < 2.001))


def test_wrong_parallaxes_are_off_by_a_factor_of_at_least_one_and_a_half(made):
    right, wrong = made["right parallax"], made["wrong parallax"]
    np.testing.assert_array_equal(right.source_id, wrong.source_id)
    off = np.abs(np.log(wrong.parallax / right.parallax))
    assert np.median(off) > np.log(1.5) and (wrong.parallax > right.parallax).any()


def test_examples_keep_what_is_right_of_every_spectrum(absolute_model, stars):
    rng, fitter = np.random.default_rng(1), Fitter(absolute_model)
    examples = with_negatives(fitter, *stars, rng, n=N, progress=False)
    assert not examples.is_star.all() and examples.bad[~examples.is_star].any()
    own = labelled_fits(absolute_model, *stars)
    np.testing.assert_array_equal(examples.agreement[: len(own)], own.agreement)
    unknown = np.isinf(examples.agreement).all(axis=1)
    assert unknown.any() and not examples.is_star[unknown].any()


def test_stars_with_parallaxes_are_examples_with_and_without_them(absolute_model, stars):
    spectra, result = stars
    rng, fitter = np.random.default_rng(1), Fitter(absolute_model)
    error = np.where(np.arange(len(spectra)) < 10, 0.05 * result["parallax"], np.inf)
    measured = spectra.replace(parallax=result["parallax"].copy(), parallax_err=error)
    examples = with_negatives(fitter, measured, result, rng, n=N, progress=False)
    own = labelled_fits(absolute_model, spectra, result)
    first = examples[np.arange(len(own))]
    np.testing.assert_array_equal(first.agreement, own.agreement)
    assert np.isnan(first.features["asinh_plx_snr"]).all()
    again = examples[len(own) + np.arange(5)]
    assert np.isin(again.source_id, spectra.source_id[:10]).all() and again.is_star.all()
    np.testing.assert_allclose(again.features["asinh_plx_snr"], np.arcsinh(20.0))


def test_spectra_without_labels_are_only_taken_as_no_stars(absolute_model, stars):
    spectra, result = stars
    bare = spectra.replace(labels={}, label_err={})
    assert np.isinf(labelled_fits(absolute_model, bare, result, is_star=False).agreement).all()
    with pytest.raises(InputError, match="no reference labels"):
        labelled_fits(absolute_model, bare, result)


def test_models_without_luminosities_have_no_parallaxes(model, stars):
    spectra, result = stars
    kinds = [kind for kind, _ in Negatives(model, spectra, replace(result, absolute=False),
                                           np.random.default_rng(1)).iterate(3)]  # fmt: skip
    assert "wrong parallax" not in kinds and "simulated star" in kinds


def test_stars_that_were_not_fitted_give_none(model, stars):
    spectra, result = stars
    unfitted = replace(result, parameters=np.full_like(result.parameters, np.nan))
    with pytest.raises(InputError, match="none of the stars could be fitted"):
        Negatives(model, spectra, unfitted, np.random.default_rng(1))
