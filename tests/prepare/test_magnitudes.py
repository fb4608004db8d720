import numpy as np
import pytest

from xpfit.constants import BANDS, LN_PER_MAG
from xpfit.prepare import band_flux

J = BANDS[0]


def test_flux_is_equation_5_of_the_paper():
    flux, _ = band_flux(np.array([10.0]), 0.02, J)
    # 3631 Jy c / lambda^2 10^(-0.4 (m + dm)), in 1e-18 W m-2 nm-1
    expected = 3631e-26 * 299792458.0 / (1.235e-6) ** 2 * 1e-9 * 10 ** (-0.4 * 10.91) / 1e-18
    assert flux[0] == pytest.approx(expected, rel=1e-12)


def test_five_magnitudes_are_a_factor_of_a_hundred():
    flux, _ = band_flux(np.array([5.0, 10.0]), 0.02, J)
    assert flux[0] / flux[1] == pytest.approx(100.0)


def test_magnitude_error_becomes_a_flux_error_by_a_factor_of_0_921():
    flux, error = band_flux(np.array([10.0]), 0.02, J)
    assert error[0] / flux[0] == pytest.approx(0.02 * 0.921034, rel=1e-5)
    brighter, _ = band_flux(np.array([10.0 - 1e-6]), 0.02, J)
    assert (brighter[0] - flux[0]) / flux[0] / 1e-6 == pytest.approx(LN_PER_MAG, rel=1e-4)


@pytest.mark.parametrize("magnitude", [np.nan, np.inf, -np.inf])
def test_missing_magnitude_has_no_weight(magnitude):
    flux, error = band_flux(np.array([magnitude]), 0.02, J)
    assert (flux[0], error[0]) == (0.0, np.inf)


@pytest.mark.parametrize("error", [np.nan, np.inf, 0.0, -0.1])
def test_impossible_error_gives_no_weight(error):
    assert np.isinf(band_flux(np.array([10.0]), np.array([error]), J)[1][0])
