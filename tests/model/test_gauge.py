import numpy as np
import pytest

from xpfit.constants import WAVELENGTH
from xpfit.model import ForwardModel, ccm89_curve
from xpfit.model.gauge import amplitude_channels, best_ln_parallax, fix_gauge
from xpfit.spectra import whiten

TRAINED = np.arange(66) < 64


@pytest.fixture
def forward(rng):
    labels = rng.standard_normal((50, 3)) + [5.0, -0.2, 3.0]
    curve = ccm89_curve(WAVELENGTH) + 0.4
    return ForwardModel.initialise(labels, curve, rng)


def theta(rng, n=20):
    labels = rng.standard_normal((n, 3)) + [5.0, -0.2, 3.0]
    return np.column_stack([labels, rng.uniform(-3, 0, n), rng.uniform(-1, 2, n)])


def test_fixing_the_gauge_leaves_all_spectral_shapes(forward, rng):
    stars = theta(rng)
    before = forward.flux(stars)[:, TRAINED]
    fix_gauge(forward, WAVELENGTH, TRAINED)
    ratio = forward.flux(stars)[:, TRAINED] / before
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(64), rtol=1e-10)


def test_after_fixing_ln_flux_has_zero_mean_in_the_window_and_r_its_value_at_ks(forward, rng):
    fix_gauge(forward, WAVELENGTH, TRAINED)
    ln_flux = forward.ln_absolute_flux(theta(rng)[:, :3])
    np.testing.assert_allclose(
        ln_flux[:, amplitude_channels(WAVELENGTH)].mean(axis=1), 0, atol=1e-12
    )
    ks = 63
    assert forward.extinction_curve[ks] == pytest.approx(ccm89_curve(WAVELENGTH)[ks])


def test_fixing_twice_changes_nothing_and_untrained_channels_stay(forward):
    untrained = forward.parameters[~forward.channel_mask(TRAINED)].copy()
    fix_gauge(forward, WAVELENGTH, TRAINED)
    once = forward.parameters.copy()
    fix_gauge(forward, WAVELENGTH, TRAINED)
    np.testing.assert_allclose(forward.parameters, once, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(once[~forward.channel_mask(TRAINED)], untrained)


def test_best_amplitude_is_the_minimum_of_chi2(forward, rng):
    stars = theta(rng, 5)
    flux = forward.flux(stars) * 3.0 * rng.uniform(0.9, 1.1, (5, 66))
    whitener = 1.0 / (0.05 * flux)

    def chi2(ln_parallax):
        moved = np.column_stack([stars[:, :-1], ln_parallax])
        return np.sum(whiten(whitener, forward.flux(moved) - flux) ** 2, axis=1)

    best = best_ln_parallax(stars, whiten(whitener, forward.flux(stars)), whiten(whitener, flux))
    for shift in (-1e-4, 1e-4):
        assert np.all(chi2(best) < chi2(best + shift))


def test_amplitude_of_stars_without_light_stays_where_it_is(forward, rng):
    stars = theta(rng, 2)
    predicted = np.vstack([np.zeros(66), np.ones(66)])
    observed = np.vstack([np.ones(66), -np.ones(66)])
    np.testing.assert_array_equal(best_ln_parallax(stars, predicted, observed), stars[:, -1])
