import numpy as np
import pytest

from xpfit.constants import WAVELENGTH
from xpfit.data import Diagonal, SampledSpace
from xpfit.model import ForwardModel, ccm89_curve
from xpfit.model.gauge import (
    amplitude_channels,
    best_ln_parallax,
    fix_gauge,
    reddest_channel,
    standardise_variation,
)
from xpfit.prepare import coefficient_space

SPACES = {"sampled": SampledSpace(WAVELENGTH), "coefficient": coefficient_space()}


@pytest.fixture(params=SPACES.values(), ids=SPACES.keys())
def forward(request, rng):
    labels = rng.standard_normal((50, 3)) + [5.0, -0.2, 3.0]
    model = ForwardModel.initialise(labels, request.param, rng)
    model.ln_curve[:] = np.log(ccm89_curve(model.space.wavelength) + 0.4)
    xp = ~model.space.is_band[: len(model.second_order)]
    model.second_order[xp] = 0.01 * rng.standard_normal(xp.sum())
    return model


@pytest.fixture
def trained(forward):
    """All grid points but those of W1 and W2."""
    return np.arange(forward.space.n_grid) < forward.space.n_grid - 2


def theta(rng, n=20):
    labels = rng.standard_normal((n, 3)) + [5.0, -0.2, 3.0]
    return np.column_stack([labels, rng.uniform(-3, 0, n), rng.uniform(-1, 2, n)])


def test_fixing_the_gauge_leaves_all_spectral_shapes(forward, trained, rng):
    stars = theta(rng)
    before = forward.flux(stars)[:, :-2]
    fix_gauge(forward, trained)
    after = forward.flux(stars)[:, :-2]
    amplitude = np.sum(after * before, axis=1) / np.sum(before**2, axis=1)
    np.testing.assert_allclose(
        after, amplitude[:, None] * before, rtol=1e-10, atol=1e-12 * np.abs(after).max()
    )


def test_shapes_stay_where_no_band_anchors_the_second_order_term(rng):
    space = coefficient_space()
    labels = rng.standard_normal((50, 3)) + [5.0, -0.2, 3.0]
    forward = ForwardModel.initialise(labels, space, rng)
    forward.second_order[~space.is_band] = 0.01 * rng.standard_normal((~space.is_band).sum())
    stars = theta(rng)
    before = forward.flux(stars)[:, :110]
    fix_gauge(forward, ~space.is_band)
    after = forward.flux(stars)[:, :110]
    amplitude = np.sum(after * before, axis=1) / np.sum(before**2, axis=1)
    np.testing.assert_allclose(after, amplitude[:, None] * before, atol=1e-11 * np.abs(after).max())
    reddest = np.flatnonzero(~space.is_band & space.covered)[-1]
    assert forward.second_order[reddest] == 0.0


def test_after_fixing_ln_flux_has_zero_mean_in_the_window_and_r_its_value_at_ks(
    forward, trained, rng
):
    fix_gauge(forward, trained)
    ln_flux = forward.ln_absolute_flux(theta(rng)[:, :3])
    window = amplitude_channels(forward.space)
    np.testing.assert_allclose(ln_flux[:, window].mean(axis=1), 0, atol=1e-12)
    assert forward.extinction_curve[-3] == pytest.approx(ccm89_curve(WAVELENGTH)[63])


def test_fixing_twice_changes_nothing_and_untrained_channels_stay(forward, trained):
    untrained = ~forward.channel_mask(trained)
    before = forward.parameters[untrained].copy()
    fix_gauge(forward, trained)
    once = forward.parameters.copy()
    fix_gauge(forward, trained)
    np.testing.assert_allclose(forward.parameters, once, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(once[untrained], before)


def test_best_amplitude_is_the_minimum_of_chi2(forward, rng):
    stars = theta(rng, 5)
    flux = forward.flux(stars) * 3.0
    flux *= rng.uniform(0.9, 1.1, flux.shape)
    whitener = Diagonal(1.0 / (0.05 * np.abs(flux)))

    def chi2(ln_parallax):
        moved = np.column_stack([stars[:, :-1], ln_parallax])
        return np.sum(whitener(forward.flux(moved) - flux) ** 2, axis=1)

    predicted, observed = whitener(forward.flux(stars)), whitener(flux)
    best = best_ln_parallax(stars[:, -1], predicted, observed)
    for shift in (-1e-4, 1e-4):
        assert np.all(chi2(best) < chi2(best + shift))


def test_amplitude_of_stars_without_light_stays_where_it_is(forward, rng):
    stars = theta(rng, 2)
    ones = np.ones(forward.space.n_obs)
    predicted, observed = np.vstack([0.0 * ones, ones]), np.vstack([ones, -ones])
    np.testing.assert_array_equal(best_ln_parallax(stars[:, -1], predicted, observed), stars[:, -1])


def test_standardised_variation_predicts_the_same_flux(rng):
    labels = rng.standard_normal((60, 3)) * 0.3 + [5.0, -0.2, 3.0]
    forward = ForwardModel.initialise(labels, SPACES["sampled"], rng, curve_varies=True)
    xi = 0.4 + 2.0 * rng.standard_normal(60)
    stars = np.column_stack([labels, rng.uniform(-3.0, 0.5, 60), np.zeros(60), xi])
    before, variance = forward.flux(stars), np.full(60, 0.09)
    dusty = stars[:, 3] > -2.0
    moved = standardise_variation(forward, stars, variance, dusty)
    np.testing.assert_allclose(forward.flux(moved), before, rtol=1e-10)
    np.testing.assert_array_equal(moved[:, :-1], stars[:, :-1])
    ratio = np.std(stars[dusty, -1]) / np.std(moved[dusty, -1])
    assert np.mean(moved[dusty, -1]) == pytest.approx(0.0, abs=1e-12)
    assert np.mean(moved[dusty, -1] ** 2 + 0.09 / ratio**2) == pytest.approx(1.0)


def test_reddest_channel_is_among_the_trained(rng):
    trained = np.arange(66) < 64
    assert reddest_channel(SPACES["sampled"], trained) == 63
