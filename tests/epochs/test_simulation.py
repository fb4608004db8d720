import numpy as np
import pytest
from epoch_stars import GIANT

from xpfit import InputError
from xpfit.epochs.simulation import (
    MEASUREMENT_ONLY,
    Constant,
    Eclipses,
    EpochSettings,
    EpochSimulator,
    TeffSwing,
)
from xpfit.simulate.noise import XPNoise, g_magnitude


def test_magnitude_is_the_one_asked_for(model):
    star = EpochSimulator(model).simulate(GIANT, 10.0, np.random.default_rng(1))
    assert g_magnitude(model.wavelength, star.flux).mean() == pytest.approx(10.0, abs=0.01)


def test_noise_of_an_epoch_is_that_of_a_mean_of_as_many_transits(model):
    one, many = (
        EpochSimulator(model, EpochSettings(mean_transits=n)).simulate(
            GIANT, 13.0, np.random.default_rng(1)
        )
        for n in (1, 25)
    )
    np.testing.assert_allclose(many.covariance, 25.0 * one.covariance)


def test_photon_noise_has_the_covariance(model):
    wavelength = model.wavelength[:61]
    noise, rng = XPNoise(wavelength), np.random.default_rng(1)
    drawn = noise.photon_noise(np.full((4000, 61), 30.0), rng)
    exact = XPNoise(wavelength, MEASUREMENT_ONLY).covariance(np.full((1, 61), 30.0))[0]
    scale = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(scale, scale), exact / np.outer(scale, scale), atol=0.1
    )


def test_swing_is_from_the_coolest_to_the_hottest():
    time = np.linspace(0.0, 5.4, 201)
    d_teff, d_ln_flux = TeffSwing(0.1, brightness=4.0, teff=5.0)(time)
    assert np.ptp(d_teff) == pytest.approx(0.1, rel=1e-3)
    np.testing.assert_allclose(d_ln_flux, 4.0 * np.log((5.0 + d_teff) / 5.0), atol=1e-12)
    assert not any(np.any(x) for x in Constant()(time))


def test_eclipses_have_their_depth_and_duration():
    _, d_ln_flux = Eclipses(0.3, period=1.0, duration=0.25)(np.arange(1000) / 1000)
    assert np.mean(d_ln_flux < 0) == pytest.approx(0.25)
    assert np.exp(d_ln_flux.min()) == pytest.approx(0.7)
    with pytest.raises(InputError, match="depth must be"):
        Eclipses(1.5)


def test_seed_decides(model):
    first, again = (
        EpochSimulator(model).simulate(GIANT, 13.0, np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.flux, again.flux)
