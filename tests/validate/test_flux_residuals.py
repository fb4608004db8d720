import numpy as np
import pytest
from helpers import simulate, without_weight
from internal import coefficient_twin

from xpfit import InputError
from xpfit.validate.flux_residuals import FluxResiduals, flux_residual_maps, flux_residuals


@pytest.fixture(scope="module")
def fitted(model):
    _, spectra = simulate(model, 400, np.random.default_rng(1), relative_error=0.02)
    ra = np.random.default_rng(2).uniform(0, 90, 400)
    dec = np.random.default_rng(3).uniform(-10, 80, 400)
    spectra = spectra.replace(gaia={"ra": ra, "dec": dec})
    return spectra, model.fit(spectra, n_jobs=2, progress=False)


def test_residuals_are_those_of_the_prediction_in_units_of_the_error(model, fitted):
    spectra, result = fitted
    residuals = flux_residuals(model, spectra, result, channels=(450.0, 992.0, "J", "W2"))
    assert residuals.names == ("452 nm", "992 nm", "J")
    row = 7
    predicted = model.predict(
        result.parameters[row, :3][None], result["extinction"][row], result["parallax"][row]
    )[0]
    index = int(np.argmin(np.abs(model.wavelength - 992.0)))
    expected = (predicted[index] - spectra.flux[row, index]) / spectra.flux_err[row, index]
    assert residuals.pulls[row, 1] == pytest.approx(expected, rel=1e-6)
    assert np.std(residuals.pulls[:, 0]) == pytest.approx(1.0, abs=0.15)


def test_channels_that_are_unknown_or_asked_for_twice_are_left_out(model, fitted):
    residuals = flux_residuals(model, *fitted, channels=(592.0, 593.0, "J"))
    assert residuals.names == ("592 nm", "J")


def test_what_was_not_measured_has_no_residual(model, fitted):
    spectra, result = fitted
    index = int(np.argmin(np.abs(model.wavelength - 592.0)))
    some = without_weight(spectra[np.arange(5)], 2, index)
    pulls = flux_residuals(model, some, result.take(np.arange(5)), (592.0,)).pulls[:, 0]
    assert np.isnan(pulls[2]) and np.isfinite(pulls[[0, 1, 3, 4]]).all()


def test_maps_are_means_of_good_stars(model, fitted):
    residuals = flux_residuals(model, *fitted, channels=(592.0,))
    residuals.pulls[:] = 0.5
    residuals.pulls[3] = 50.0  # extreme, left out
    residuals.good[4] = False
    residuals.pulls[4] = 9.0
    _, maps = flux_residual_maps(residuals, nside=2, min_stars=1)
    values = maps["592 nm"]
    assert np.isfinite(values).any()
    np.testing.assert_allclose(values[np.isfinite(values)], 0.5)


def test_parts_are_joined(model, fitted):
    spectra, result = fitted
    parts = [
        flux_residuals(model, spectra[rows], result.take(rows))
        for rows in (np.arange(150), np.arange(150, 400))
    ]
    whole, joined = flux_residuals(model, spectra, result), FluxResiduals.concatenate(parts)
    np.testing.assert_array_equal(joined.pulls, whole.pulls)
    np.testing.assert_array_equal(joined.labels["teff"], whole.labels["teff"])
    assert len(joined.positions) == 400


def test_coefficients_have_no_flux_to_show(model, fitted):
    with pytest.raises(InputError, match="coefficient"):
        flux_residuals(coefficient_twin(model), *fitted)
