from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import InputError
from xpfit.train import Phase, Recipe, Trainer, TrainingIO
from xpfit.train.initial import sky_prior
from xpfit.train.stars import StarConstraints, StarData, loss_derivatives, stellar_loss
from xpfit.train.updates import gauss_newton, xi_likelihood, xi_variance
from xpfit.train.xi_sky import SkyPrior

LABELS = ("teff", "feh", "logg")


def patch(rng, n, width=40.0):
    """Positions in a part of the sky, and a smooth function of them of variance about one."""
    ra, dec = rng.uniform(0.0, width, n), rng.uniform(-0.5 * width, 0.5 * width, n)
    smooth = np.sqrt(2.0) * np.sin(ra / 8.0) * np.cos(dec / 10.0) + 0.5 * np.cos(ra / 9.0)
    return ra, dec, smooth / smooth.std()


def test_prior_and_own_data_give_the_posterior_of_the_joint_gaussian(rng):
    """Slow twin: the Gaussian of all stars together, by their full covariance."""
    ra, dec, _ = patch(rng, 60)
    ra[3] = np.nan
    prior = SkyPrior(ra, dec, 0.6, 8.0)
    assert prior.cell[3] == -1
    xi, information = rng.normal(size=60), rng.uniform(0.0, 5.0, 60)
    information[7] = 0.0
    known = np.flatnonzero(prior.cell >= 0)
    joint = np.eye(60)
    cell = prior.cell[known]
    joint[np.ix_(known, known)] = prior.covariance[np.ix_(cell, cell)] + 0.4 * np.eye(59)
    inverse = np.linalg.inv(joint) + np.diag(information)
    expected = np.linalg.solve(inverse, information * xi)
    mean, variance = prior.given_the_others(xi, information)
    posterior = 1.0 / (1.0 / variance + information)
    np.testing.assert_allclose(posterior, np.diag(np.linalg.inv(inverse)), rtol=1e-9)
    np.testing.assert_allclose(
        posterior * (mean / variance + information * xi), expected, atol=1e-9
    )
    assert (mean[3], variance[3]) == (0.0, 1.0)


def test_without_data_of_others_the_prior_is_that_of_a_star_anywhere(rng):
    ra, dec, _ = patch(rng, 20)
    mean, variance = SkyPrior(ra, dec, 0.6, 8.0).given_the_others(np.ones(20), np.zeros(20))
    np.testing.assert_array_equal(mean, 0.0)
    np.testing.assert_allclose(variance, 1.0)


@pytest.fixture(scope="module")
def field(varying_model):
    """Stars of little dust and noisy spectra, whose xi is smooth over the sky but for a part."""
    rng = np.random.default_rng(11)
    n = 500
    truth, _ = simulate(varying_model, n, rng, relative_error=0.02)
    ra, dec, smooth = patch(rng, n)
    truth[:, 5] = np.sqrt(0.7) * smooth + np.sqrt(0.3) * rng.standard_normal(n)
    truth[:, 3] = rng.uniform(0.1, 0.4, n)
    model = varying_model.forward
    flux = model.flux(model.layout.to_theta(truth))
    trained = varying_model.trained_channels
    error = np.where(trained, 0.01 * flux, np.inf)
    noisy = flux + np.where(trained, error, 0.0) * rng.standard_normal(flux.shape)
    label_err = np.tile([0.03, 0.03, 0.05], (n, 1))
    labels = truth[:, :3] + label_err * rng.standard_normal((n, 3))
    constraints = StarConstraints(
        labels, label_err, np.zeros(n), np.full(n, np.inf), np.zeros(n), np.full(n, np.inf),
        jacobian_terms=False,
    )  # fmt: skip
    whitener = simulate(varying_model, n, rng, relative_error=0.01)[1].whitener
    whitener = type(whitener)(1.0 / error)
    return truth, StarData(noisy, error, whitener, constraints), (ra, dec)


def fitted(model, field, prior):
    """xi and its error of the stars of the field, with or without the prior over the sky."""
    truth, data, _ = field
    start = model.forward.layout.to_theta(truth.copy())
    start[:, 5] = 0.0
    theta = gauss_newton(model.forward, start, data, 6)
    for _ in range(2 if prior is not None else 0):
        mean, variance = prior.given_the_others(*xi_likelihood(model.forward, theta, data))
        constraints = replace(data.constraints, xi_mean=mean, xi_variance=variance)
        data = replace(data, constraints=constraints)
        theta = gauss_newton(model.forward, theta, data, 4)
    return theta[:, 5], np.sqrt(xi_variance(model.forward, theta, data))


def test_neighbours_improve_xi_and_its_errors_remain_right(varying_model, field):
    truth, _, (ra, dec) = field
    alone, alone_err = fitted(varying_model, field, None)
    joint, joint_err = fitted(varying_model, field, SkyPrior(ra, dec, 0.7, 10.0))
    rms = [np.sqrt(np.mean((xi - truth[:, 5]) ** 2)) for xi in (alone, joint)]
    assert rms[0] > 0.4  # there is something to improve
    assert rms[1] < 0.9 * rms[0]
    assert np.mean(joint_err) < 0.95 * np.mean(alone_err)
    pull = (joint - truth[:, 5]) / joint_err
    assert 0.85 < np.std(pull) < 1.15


def test_what_data_say_of_xi_does_not_depend_on_its_prior(varying_model, field):
    truth, data, _ = field
    theta = gauss_newton(
        varying_model.forward, varying_model.forward.layout.to_theta(truth.copy()), data, 4
    )
    shifted = replace(data.constraints, xi_mean=np.ones(len(theta)), xi_variance=0.2)
    one = xi_likelihood(varying_model.forward, theta, data)
    other = xi_likelihood(varying_model.forward, theta, replace(data, constraints=shifted))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    # With the normal prior again, the variance is that of the posterior.
    known = one[1] > 0
    np.testing.assert_allclose(
        1.0 / (one[1] + 1.0)[known], xi_variance(varying_model.forward, theta, data)[known],
        rtol=1e-3,
    )  # fmt: skip


def test_gradient_of_the_loss_with_the_prior(varying_model, field):
    truth, data, _ = field
    constraints = replace(data.constraints, xi_mean=np.full(500, 0.7), xi_variance=0.3)
    data = replace(data, constraints=constraints)[:5]
    forward = varying_model.forward
    theta = forward.layout.to_theta(truth[:5].copy())
    _, gradient, _ = loss_derivatives(forward, theta, data)
    step = 1e-5 * np.eye(6)[5]
    difference = stellar_loss(forward, theta + step, data) - stellar_loss(
        forward, theta - step, data
    )
    np.testing.assert_allclose(gradient[:, 5], difference / 2e-5, rtol=1e-5)


def test_training_uses_the_prior_and_keeps_it_in_checkpoints(varying_model, rng, tmp_path):
    truth, spectra = simulate(varying_model, 200, rng, relative_error=0.02)
    ra, dec, _ = patch(rng, 200)
    labels = dict(zip(LABELS, truth.T, strict=False))
    spectra = replace(
        spectra,
        labels=labels,
        label_err={name: np.full(200, 0.02) for name in LABELS},
        extinction=truth[:, 3],
        extinction_err=np.full(200, 0.02),
        gaia={"ra": ra, "dec": dec},
    )
    recipe = Recipe(
        phases=(Phase("joint", 1, stars="all", learning_rate=1e-3, star_step="gauss-newton",
                      star_iterations=1),),
        extinction_variation=True, xi_sky_share=0.5,
    )  # fmt: skip
    io = TrainingIO(progress=False, checkpoint=tmp_path / "state", minutes=0.0)
    trainer = Trainer(spectra, LABELS, recipe, np.random.default_rng(1), io=io)
    with trainer.record:
        trainer.run_phase(recipe.phases[0])
    prior = trainer.data.constraints
    assert np.any(prior.xi_mean != 0.0) and np.all(prior.xi_variance < 1.0)
    again = Trainer(spectra, LABELS, recipe, np.random.default_rng(1), io=replace(io, resume=True))
    again._resume()
    np.testing.assert_array_equal(again.data.constraints.xi_mean, prior.xi_mean)
    np.testing.assert_array_equal(again.data.constraints.xi_variance, prior.xi_variance)


def test_stars_without_positions_are_refused(varying_model, rng):
    _, spectra = simulate(varying_model, 20, rng, relative_error=0.02)
    recipe = Recipe(extinction_variation=True, xi_sky_share=0.5)
    with pytest.raises(InputError, match="xi_sky_share needs positions"):
        sky_prior(replace(spectra, source_id=np.zeros(20, dtype=np.int64)), recipe)
    assert sky_prior(spectra, replace(recipe, xi_sky_share=0.0)) is None
