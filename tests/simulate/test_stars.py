import numpy as np
import pytest

from xpfit.simulate.stars import (
    companion_types,
    giant_branch_teff,
    ln_luminosity,
    main_sequence_logg,
)


def test_main_sequence_is_equation_28():
    teff = np.array([4.0, 5.0, 5.5, 6.29, 6.3, 9.0])
    np.testing.assert_allclose(main_sequence_logg(teff), [4.6, 4.6, 4.35, 3.955, 3.95, 3.95])


def test_giant_branch_is_equation_29():
    logg = np.array([0.65, 2.65, 3.649999, 3.65, 4.15])
    expected = [5.2 - 0.44186 * 3.0, 5.2 - 0.44186, 5.2, 5.2, 5.9]
    np.testing.assert_allclose(giant_branch_teff(logg), expected, atol=1e-6)


def test_luminosities_are_those_of_known_stars():
    """The Sun, a giant of log g 2.4 (nearly 100 times as bright), and 1 / g at fixed Teff."""
    labels = np.array([[5.77, 0.0, 4.44], [4.8, 0.0, 2.4], [4.8, 0.0, 1.4]])
    sun, clump, bright = ln_luminosity(labels, ("teff", "feh", "logg"))
    # The Sun at 1 kpc has m_AB about 14.6 in r or i: 3631 Jy 10^(-0.4 m) c / lambda^2.
    magnitude = -2.5 * np.log10(np.exp(sun) * 1e-18 * 687.0**2 / 2.998e17 / 3631e-26)
    assert magnitude == pytest.approx(14.5, abs=0.2)
    assert 4.0 < clump - sun < 4.8
    assert bright - clump == pytest.approx(np.log(10.0), abs=1e-3)


def test_companions_are_cooler_and_of_higher_gravity():
    primary = np.array([[6.0, -0.3, 4.2], [6.0, -0.3, 4.2]])
    twin, half = companion_types(primary, np.array([1.0, 0.5]), ("teff", "feh", "logg"))
    np.testing.assert_allclose(twin, primary[0])
    np.testing.assert_allclose(half, [6.0 * 0.5**0.6, -0.3, 4.2 + 0.6 * np.log10(2.0)])
