"""Luminosities calibrated by measured parallaxes, on stars whose luminosities are known."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import InputError
from xpfit.model.covariance import ModelCovariance
from xpfit.model.luminosity import LuminosityError
from xpfit.model.prior import LOG_FLAT
from xpfit.quality.luminosity import calibrate_luminosities, fit_without_parallax
from xpfit.statistics import robust_width
from xpfit.train.luminosity import TYPES, types_in_labels

SCATTER, OFFSET = 0.4, 0.15
"""Of ln luminosity at a type, and of all ln parallaxes from spectra."""


@pytest.fixture(scope="module")
def absolute(model):
    types, width = types_in_labels(model.label_names)
    error = LuminosityError(types, width, np.full(len(types), 0.25))
    covariance = ModelCovariance(
        np.zeros((model.space.n_obs, 1)), np.full(model.space.n_obs, 1e-8), error
    )
    return replace(model, absolute=True, covariance=covariance, parallax_prior=LOG_FLAT)


@pytest.fixture(scope="module")
def stars(absolute):
    """Measured parallaxes of stars whose luminosities scatter, and are above the model's."""
    rng = np.random.default_rng(5)
    truth, spectra = simulate(absolute, 600, rng, relative_error=0.01)
    ln_parallax = np.log(truth[:, 4]) - OFFSET - 0.5 * SCATTER * rng.standard_normal(600)
    parallax, error = np.exp(ln_parallax), 0.02 * np.exp(ln_parallax)
    return spectra.replace(parallax=parallax + error * rng.standard_normal(600), parallax_err=error)


def test_zero_point_and_error_are_found(absolute, stars):
    new, found = calibrate_luminosities(absolute, stars[:400])
    giant = np.array([logg < 3.0 for _, _, logg in TYPES.values()])
    well_known = found.n > 25
    assert (well_known & giant).sum() >= 3
    assert np.abs(found.zero_point - OFFSET)[well_known & giant] == pytest.approx(0.0, abs=0.07)
    np.testing.assert_allclose(found.error[well_known & giant], SCATTER, rtol=0.3)
    # Other giants: no bias is left, and pulls have unit width. Dwarfs stay as they are.
    other = stars[400:]
    result, reliable = fit_without_parallax(new, other)
    reliable = reliable[result["logg"][reliable] < 3.3]
    ln_ratio = np.log(result["parallax"] / other.parallax)[reliable]
    assert abs(np.median(ln_ratio)) < 0.07
    relative = np.hypot(result.error("parallax") / result["parallax"], 0.02)[reliable]
    assert robust_width(ln_ratio / relative) == pytest.approx(1.0, abs=0.2)
    assert "dwarfs" in str(found)


def test_shapes_and_labels_from_spectra_alone_do_not_change(absolute, stars):
    new, _ = calibrate_luminosities(absolute, stars[:100])
    before, after = (fit_without_parallax(m, stars[:20])[0] for m in (absolute, new))
    k = len(absolute.label_names) + 1
    np.testing.assert_allclose(after.parameters[:, :k], before.parameters[:, :k], atol=2e-4)


def test_stars_without_good_parallaxes_are_refused(absolute, stars):
    with pytest.raises(InputError, match="good enough"):
        calibrate_luminosities(absolute, stars.replace(parallax_err=stars.parallax))
    with pytest.raises(InputError, match="no error of its luminosity"):
        calibrate_luminosities(replace(absolute, covariance=None), stars)
