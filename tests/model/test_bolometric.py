"""Bolometric fluxes of spectra whose integral is known."""

import numpy as np
import pytest
from scipy.constants import sigma

from xpfit.constants import BANDS, FLUX_UNIT_SI, XP_WAVELENGTH
from xpfit.errors import InputError
from xpfit.model.bolometric import bolometric_flux, ln_luminosity, planck, power_law_integrals

XP_AND_JHK = np.concatenate([XP_WAVELENGTH, [band.wavelength for band in BANDS[:3]]])
TEFF = np.array([3.2, 4.0, 5.0, 5.772, 7.0, 10.0])


def test_a_black_body_has_the_flux_of_stefan_and_boltzmann():
    flux = planck(XP_AND_JHK, TEFF) / FLUX_UNIT_SI
    found = bolometric_flux(XP_AND_JHK, flux, TEFF)
    np.testing.assert_allclose(found, sigma * (1e3 * TEFF) ** 4, rtol=0.002)


def test_a_power_law_is_integrated_exactly():
    flux = np.stack([XP_AND_JHK**slope for slope in (-2.5, -1.0, 0.0, 1.3)])
    ends = XP_AND_JHK[[0, -1]]
    exact = [
        np.log(ends[1] / ends[0]) if slope == -1 else np.diff(ends ** (slope + 1))[0] / (slope + 1)
        for slope in (-2.5, -1.0, 0.0, 1.3)
    ]
    found = power_law_integrals(XP_AND_JHK, flux).sum(axis=1)
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_between_xp_samples_the_spectrum_is_a_power_law_whatever_teff():
    flux = np.tile(XP_WAVELENGTH**-3.0, (2, 1))
    inside = power_law_integrals(XP_WAVELENGTH, flux).sum(axis=1)
    ends = [
        _beyond_ends(XP_WAVELENGTH, flux[i], teff) for i, teff in enumerate(np.array([4.5, 6.5]))
    ]
    found = bolometric_flux(XP_WAVELENGTH, flux, np.array([4.5, 6.5])) / FLUX_UNIT_SI
    np.testing.assert_allclose(found - ends, inside, rtol=2e-3)


def _beyond_ends(wavelength, flux, teff):
    """Planck shapes below the first and above the last wavelength, by the trapezium rule."""
    total = 0.0
    for low, high, values in (
        (90.0, wavelength[0], slice(5)),
        (wavelength[-1], 1e5, slice(-1, None)),
    ):
        grid = np.geomspace(low, high, 4000)
        ratio = np.mean(flux[values] / planck(wavelength[values], np.array([teff]))[0])
        total += np.trapezoid(ratio * planck(grid, np.array([teff]))[0], grid)
    return total


def test_flux_and_integral_are_proportional_and_one_bad_star_stays_alone():
    flux = np.repeat(planck(XP_AND_JHK, TEFF[:1]), 4, axis=0) / FLUX_UNIT_SI
    flux[1] *= 2.0
    flux[2, 7] = np.nan
    flux[3, 7] = -1.0
    found = bolometric_flux(XP_AND_JHK, flux, np.full(4, TEFF[0]))
    assert found[1] == pytest.approx(2.0 * found[0])
    assert np.isnan(found[2:]).all()


def test_shapes_and_order_of_wavelengths_are_checked():
    with pytest.raises(InputError, match="expected"):
        bolometric_flux(XP_AND_JHK, np.ones((2, 3)), TEFF[:2])
    with pytest.raises(InputError, match="ascend"):
        bolometric_flux(XP_AND_JHK[::-1], np.ones((1, len(XP_AND_JHK))), TEFF[:1])


def test_the_sun_at_a_kiloparsec_has_its_luminosity():
    """Its irradiance is 1361 W m-2 at 1 au, and a parsec is 206265 au."""
    flux = np.array([1361.0 / 206264.806e3**2, 4 * 1361.0 / 206264.806e3**2])
    np.testing.assert_allclose(ln_luminosity(flux, np.array([1.0, 2.0])), 0.0, atol=1e-3)
