import numpy as np
import pytest

from xpfit import XPSettings
from xpfit.constants import XP_WAVELENGTH
from xpfit.prepare.bases import sampled_design
from xpfit.prepare.bases.remembered import basis_of
from xpfit.prepare.coefficient import _calibration, _sampling
from xpfit.prepare.covariance import calibration_correlation, calibration_covariance

STEPS = (1.0, 2.0, 2.5, 5.0, 6.0, 10.0)


def broad_error(correlation, wavelength, low, high):
    """Error of the mean over a range, for unit error in every sample."""
    inside = (wavelength >= low) & (wavelength < high)
    mean = inside / inside.sum()
    return np.sqrt(mean @ correlation @ mean)


def test_on_zgr23_s_wavelengths_the_term_is_the_diagonal_of_eq_2(rng):
    flux = rng.uniform(-1.0, 9.0, (3, 61))
    covariance = calibration_covariance(flux, XP_WAVELENGTH, XPSettings())
    for i in range(3):
        np.testing.assert_array_equal(covariance[i], np.diag((0.005 * flux[i]) ** 2))


@pytest.mark.parametrize("step", STEPS)
def test_finer_steps_do_not_average_the_error_down(step):
    wavelength = np.arange(400.0, 900.0, step)
    correlated = calibration_correlation(wavelength, 10.0)
    for low, high in ((400.0, 500.0), (520.0, 820.0)):
        error = broad_error(correlated, wavelength, low, high)
        assert error == pytest.approx(np.sqrt(10.0 / (high - low)), rel=0.05)


def test_without_correlation_finer_steps_do():
    wavelength = np.arange(400.0, 500.0, 2.0)
    error = broad_error(calibration_correlation(wavelength, 0.0), wavelength, 400.0, 500.0)
    assert error == pytest.approx(np.sqrt(2.0 / 100.0), rel=1e-12)


@pytest.mark.parametrize("length", [0.0, 3.0, 10.0, 40.0])
def test_correlations_are_positive_semi_definite_on_any_wavelengths(length, rng):
    for wavelength in (np.arange(392.0, 993.0, 2.0), np.sort(rng.uniform(330.0, 1050.0, 150))):
        correlation = calibration_correlation(wavelength, length)
        np.testing.assert_array_equal(np.diag(correlation), 1.0)
        assert np.linalg.eigvalsh(correlation)[0] > -1e-10


@pytest.mark.parametrize("step", [6.0, 10.0])
def test_coefficients_have_the_same_term_as_samples(step):
    """Sampled again, smooth spectra vary in broad features by 90-100 % of the error in samples."""
    sampling, inverse = _sampling(basis_of(55, 55), 10.0)
    grid = np.linspace(332.0, 1042.0, sampling.shape[1])
    spectra = np.stack([np.exp(-(grid - 332.0) / scale) for scale in (200.0, 400.0, 900.0)])
    settings = XPSettings()
    covariance = _calibration(spectra @ inverse, basis_of(55, 55), settings)
    wavelength = np.arange(402.0, 983.0, step)
    design = sampled_design(wavelength)
    again = np.vstack([design.bp, design.rp])
    flux = spectra @ inverse @ again
    expected = calibration_covariance(flux, wavelength, settings)
    found = again.T @ covariance @ again
    for i in range(len(spectra)):
        outer = flux[i][:, None] * flux[i]
        for low in (402.0, 502.0, 602.0, 702.0, 802.0):
            ratio = broad_error(found[i] / outer, wavelength, low, low + 100.0)
            ratio /= broad_error(expected[i] / outer, wavelength, low, low + 100.0)
            assert 0.9 < ratio < 1.001
        single = np.sqrt(np.diag(found[i]) / np.diag(expected[i]))
        assert single.min() > 0.6 and 0.8 < np.median(single) < 0.95 and single.max() < 1.02
