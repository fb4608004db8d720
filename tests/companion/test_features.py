from dataclasses import replace

import numpy as np
import pytest
from helpers import random_full_whiteners, simulate, without_weight

from xpfit import InputError
from xpfit.companion import Features
from xpfit.data import Diagonal


@pytest.fixture(scope="module")
def stars(model):
    return simulate(model, 300, np.random.default_rng(1), relative_error=0.02)[1]


def test_inputs_know_no_brightness(stars):
    features = Features.learn(stars)
    brighter = replace(stars, flux=7.0 * stars.flux, flux_err=7.0 * stars.flux_err, whitener=None)
    np.testing.assert_allclose(features.inputs(brighter), features.inputs(stars), atol=1e-9)


def test_inputs_of_the_training_stars_are_standardised(stars):
    inputs = Features.learn(stars).inputs(stars)
    np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(inputs.std(axis=0), 1.0, atol=1e-9)


def test_what_is_missing_is_as_in_the_mean_star(stars):
    features = Features.learn(stars)
    channel = int(np.flatnonzero(features.channels)[40])
    some = without_weight(stars[np.arange(3)], 1, channel)
    assert features.inputs(some)[1, 40] == 0.0
    assert np.all(features.inputs(some)[[0, 2], 40] != 0.0)


@pytest.mark.parametrize("full", [False, True])
def test_input_variance_is_that_of_noisy_copies(stars, rng, full):
    """Equation 7 with the covariance of equation 2, against many draws of the noise."""
    star = stars[np.zeros(4000, dtype=int)]
    known = np.isfinite(star.flux_err[0])
    covariance = np.zeros((len(known), len(known)))
    error = 0.004 * star.flux[0]
    if full:
        some, whitener = random_full_whiteners(error[None, known], rng)
        covariance[np.ix_(known, known)] = some[0]
    else:
        whitener = Diagonal(1.0 / error[known][None])
        covariance[known, known] = error[known] ** 2
    noise = rng.multivariate_normal(np.zeros(len(known)), covariance, 4000, check_valid="ignore")
    features = Features.learn(stars)
    jacobian = rng.standard_normal((1, 2, features.n_input))
    inputs = features.inputs(replace(star, flux=star.flux + noise))
    outputs = inputs @ jacobian[0].T
    whole = np.zeros((1, len(known), len(known)))
    whole[0][np.ix_(known, known)] = whitener.rows[0]
    one = star[[0]]
    flux_err = np.where(known, np.sqrt(np.diag(covariance)), np.inf)[None]
    if full:
        one = replace(one, flux_err=flux_err, whitener=whole)
    else:
        one = replace(one, flux_err=flux_err, whitener=None)
    variance = features.input_variance(one, jacobian)[0]
    np.testing.assert_allclose(variance, outputs.var(axis=0), rtol=0.1)


@pytest.mark.parametrize("masked", [0, 7])
def test_input_variance_is_that_of_finite_differences_where_values_are_masked(stars, rng, masked):
    """Also where some of the values that spectra are divided by are masked."""
    features, star = Features.learn(stars), stars[[2]]
    window = np.flatnonzero(features.reference)
    error = np.where(np.isfinite(star.flux_err), 0.01 * np.abs(star.flux) + 0.01, np.inf)
    error[:, window[:masked]] = np.inf
    star = replace(star, flux_err=error, whitener=None)
    known = np.isfinite(error[0])
    covariance, whitener = random_full_whiteners(error[:, known], rng)
    whole = np.zeros((1, len(known), len(known)))
    whole[0][np.ix_(known, known)] = whitener.rows[0]
    star = replace(star, whitener=whole)
    jacobian = rng.standard_normal((1, 3, features.n_input))

    def outputs(flux):
        return features.inputs(replace(star, flux=flux[None])) @ jacobian[0].T

    slope = np.zeros((3, known.sum()))
    for k, channel in enumerate(np.flatnonzero(known)):
        step = np.zeros(len(known))
        step[channel] = 1e-4 * np.abs(star.flux[0]).max()
        slope[:, k] = (
            8.0 * (outputs(star.flux[0] + step) - outputs(star.flux[0] - step))
            - (outputs(star.flux[0] + 2.0 * step) - outputs(star.flux[0] - 2.0 * step))
        )[0] / (12.0 * step[channel])
    expected = np.einsum("ki,ij,kj->k", slope, covariance[0], slope)
    np.testing.assert_allclose(features.input_variance(star, jacobian)[0], expected, rtol=1e-5)


def test_input_errors_are_what_errors_of_single_values_do(stars):
    features, some = Features.learn(stars), stars[np.arange(5)]
    known = np.flatnonzero(features.channels)
    outside = [int(i) for i in known if features.reference[i] == 0][::7]
    before, error = features.inputs(some), features.input_err(some)
    assert np.isfinite(error).all()
    for channel in outside:
        flux = some.flux.copy()
        flux[:, channel] += 1e-4 * some.flux_err[:, channel]
        moved = some.replace(flux=flux)
        place = int(np.flatnonzero(known == channel)[0])
        change = (features.inputs(moved) - before)[:, place]
        np.testing.assert_allclose(change, 1e-4 * error[:, place], rtol=1e-3)


def test_relative_flux_undoes_the_inputs(stars):
    features = Features.learn(stars)
    relative = features.relative_flux(features.inputs(stars))
    level = stars.flux @ features.reference
    expected = stars.flux[:, features.channels] / level[:, None]
    np.testing.assert_allclose(relative, expected, rtol=1e-9)


def test_parallax_is_an_input_where_it_is_known(stars, rng):
    n = len(stars)
    gaia = {**stars.gaia, "phot_rp_mean_mag": rng.uniform(10, 16, n)}
    parallax = rng.uniform(0.5, 2.0, n)
    near = replace(stars, parallax=parallax, parallax_err=np.full(n, 0.1), gaia=gaia)
    features = Features.learn(near)
    assert features.with_parallax and features.n_input == Features.learn(stars).n_input + 1
    pseudo = parallax * 10.0 ** (0.2 * gaia["phot_rp_mean_mag"])
    expected = (pseudo - pseudo.mean()) / pseudo.std()
    np.testing.assert_allclose(features.inputs(near)[:, -1], expected, atol=1e-9)
    only = np.zeros((n, 1, features.n_input))
    only[:, :, -1] = 1.0
    variance = features.input_variance(near, only)[:, 0]
    error = 0.1 * 10.0 ** (0.2 * gaia["phot_rp_mean_mag"]) / pseudo.std()
    np.testing.assert_allclose(variance, error**2)
    assert np.all(features.inputs(stars)[:, -1] == 0.0)  # unknown: as in the mean star


def test_other_spaces_and_empty_spectra_are_refused(stars):
    features = Features.learn(stars)
    from xpfit.prepare import sampled_space

    with pytest.raises(InputError, match="prepare them"):
        features.inputs(replace(stars, space=sampled_space(np.arange(400.0, 1008.0, 10.0))))
    blind = without_weight(stars[np.arange(20)], slice(None))
    with pytest.raises(InputError, match="nothing to learn"):
        Features.learn(blind)
