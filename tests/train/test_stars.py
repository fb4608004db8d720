from dataclasses import replace

import numpy as np
import pytest
from helpers import (
    assert_close_derivative,
    numerical_gradient,
    random_full_whiteners,
    simulate,
    with_variation,
)

from xpfit.data import Triangular
from xpfit.train import stars as stars_module
from xpfit.train.projection import project
from xpfit.train.stars import (
    StarConstraints,
    StarData,
    loss_derivatives,
    loss_gradient,
    stellar_loss,
)
from xpfit.train.updates import AdamDescent, gauss_newton, gradient_descent

N_STAR = 30


def make_case(model, rng, *, absolute=False, varies=False):
    """A forward model, a start well away from the best fit, the truth, and noisy data."""
    if varies:
        model = with_variation(model)
    truth, spectra = simulate(model, N_STAR, rng, relative_error=0.01)
    error = np.array([0.05, 0.05, 0.1])
    parallax_err = np.full(N_STAR, 0.3)
    parallax_err[::5] = np.inf
    known = StarConstraints(
        truth[:, :3] + error * rng.standard_normal((N_STAR, 3)),
        np.tile(error, (N_STAR, 1)),
        truth[:, 3] + 0.05 * rng.standard_normal(N_STAR),
        np.full(N_STAR, 0.05),
        truth[:, 4] + 0.3 * rng.standard_normal(N_STAR),
        parallax_err,
        absolute,
    )
    known.extinction_err[:3], known.extinction[:3] = np.inf, np.nan
    theta = np.column_stack([known.labels, np.log(truth[:, 3:5]), *truth.T[5:]])
    theta += 0.1 * rng.standard_normal(theta.shape)
    return (
        model.forward,
        theta,
        truth,
        StarData(spectra.flux, spectra.flux_err, spectra.whitener, known),
    )


KINDS = {
    "shapes": {},
    "absolute": {"absolute": True},
    "varying curve": {"absolute": True, "varies": True},
}


@pytest.fixture(params=KINDS)
def case(request, model, rng):
    return make_case(model, rng, **KINDS[request.param])


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_equation_13(model, rng, kind):
    forward, theta, _, data = make_case(model, rng, **KINDS[kind])
    known, extinction, parallax = data.constraints, np.exp(theta[:, 3]), np.exp(theta[:, 4])
    residual = data.whitener(forward.flux(theta) - data.flux)
    expected = np.sum(residual**2, axis=1)
    expected += np.sum(((theta[:, :3] - known.labels) / known.label_err) ** 2, axis=1)
    pull = (extinction - known.extinction) / known.extinction_err
    expected += np.where(np.isfinite(known.extinction_err), pull, 0.0) ** 2 - 2.0 * theta[:, 3]
    if known.absolute:
        expected += ((parallax - known.parallax) / known.parallax_err) ** 2 - 2.0 * theta[:, 4]
    if forward.curve_varies:
        expected += theta[:, 5] ** 2
    np.testing.assert_allclose(stellar_loss(forward, theta, data), expected, rtol=1e-10)


def test_gradient_of_the_stellar_loss(case):
    forward, theta, _, data = case
    value, gradient, _ = loss_derivatives(forward, theta, data)
    np.testing.assert_allclose(value, stellar_loss(forward, theta, data), rtol=1e-12)
    alone = loss_gradient(forward, theta, data)
    np.testing.assert_allclose(alone[0], value, rtol=1e-12)
    np.testing.assert_allclose(alone[1], gradient, rtol=1e-8, atol=1e-8)
    for i in (0, 7):  # without and with estimates of extinction and parallax
        one = data[i : i + 1]
        numerical = numerical_gradient(
            lambda t, one=one: stellar_loss(forward, t[None], one)[0], theta[i]
        )
        assert_close_derivative(gradient[i], numerical)


def test_hessian_is_that_of_a_least_squares_problem(case):
    """Half of it is J^T J of all residuals: finite differences of the flux give the same."""
    forward, theta, _, data = case
    _, _, hessian = loss_derivatives(forward, theta, data)
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, 1, 2), rtol=1e-9)
    assert np.all(np.linalg.eigvalsh(hessian)[:, 0] > 0)
    flux = (
        numerical_gradient(lambda t: forward.flux(t[None])[0], theta[7])
        * data.whitener.array[7, :, None]
    )
    known, k = data.constraints, 3
    diagonal = np.zeros(theta.shape[1])
    diagonal[:k] = 1.0 / known.label_err[7]
    diagonal[k] = np.exp(theta[7, k]) / known.extinction_err[7]
    if known.absolute:
        diagonal[k + 1] = np.exp(theta[7, k + 1]) / known.parallax_err[7]
    diagonal[k + 2 :] = 1.0
    expected = 2.0 * (flux.T @ flux + np.diag(diagonal**2))
    np.testing.assert_allclose(hessian[7], expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())


def far_away(theta, rng):
    scale = np.array([1.0, 0.5, 1.0, 1.0, 1.0, 1.0])[: theta.shape[1]]
    return theta + scale * rng.standard_normal(theta.shape)


def test_gauss_newton_never_raises_the_loss_of_a_star(case, rng):
    forward, theta, _, data = case
    theta = far_away(theta, rng)
    before = stellar_loss(forward, theta, data)
    for n_iterations in (1, 2, 5, 20):
        after = stellar_loss(forward, gauss_newton(forward, theta, data, n_iterations), data)
        assert np.all(after <= before)


@pytest.mark.parametrize("rate", [1e-6, 1e-4, 1.0])
def test_gradient_descent_never_raises_the_loss_and_lowers_most(case, rng, rate):
    forward, theta, _, data = case
    theta = far_away(theta, rng)
    before = stellar_loss(forward, theta, data)
    after = stellar_loss(forward, gradient_descent(forward, theta, data, rate), data)
    assert np.all(after <= before)
    assert np.mean(after < before) > 0.9


def test_gradient_descent_takes_the_plain_step_where_that_helps(model, rng):
    forward, theta, _, data = make_case(model, rng)
    _, gradient, _ = loss_derivatives(forward, theta, data)
    moved = gradient_descent(forward, theta, data, 1e-9)
    np.testing.assert_allclose(moved, theta - 1e-9 * gradient, rtol=1e-12)


def test_adam_never_ends_above_the_start_and_comes_close_to_the_minimum(case, rng):
    forward, theta, _, data = case
    before = stellar_loss(forward, theta, data)
    descent = AdamDescent(theta)
    for step in range(1200):
        descent.step(forward, data, 0.02 * 0.5 ** (step // 150))
        if step in (0, 3, 50):
            assert np.all(stellar_loss(forward, descent.best, data) <= before * (1 + 1e-12))
    lowest = stellar_loss(forward, gauss_newton(forward, theta, data, 40), data)
    after = stellar_loss(forward, descent.best, data)
    assert np.median((after - lowest) / (before - lowest)) < 0.01
    assert np.mean(after < before) > 0.99


def test_adam_goes_on_from_a_saved_state_as_if_nothing_had_happened(case):
    forward, theta, _, data = case
    whole = AdamDescent(theta)
    for _ in range(4):
        whole.step(forward, data, 0.01)
    first = AdamDescent(theta)
    for _ in range(2):
        first.step(forward, data, 0.01)
    second = AdamDescent.from_state({k: v.copy() for k, v in first.state().items()})
    for _ in range(2):
        second.step(forward, data, 0.01)
    np.testing.assert_array_equal(second.best, whole.best)
    np.testing.assert_array_equal(second.state()["position"], whole.state()["position"])


def test_gauss_newton_reaches_a_minimum(case):
    forward, theta, _, data = case
    best = gauss_newton(forward, theta, data, 40)
    _, gradient, hessian = loss_derivatives(forward, best, data)
    promised = 0.5 * np.einsum("sk,skl,sl->s", gradient, np.linalg.inv(hessian), gradient)
    assert np.all(promised < 1e-4)


def test_updated_parameters_are_closer_to_the_truth_than_the_measured(case):
    forward, theta, truth, data = case
    best, known = gauss_newton(forward, theta, data, 40), data.constraints
    fitted, measured = best[:, :3] - truth[:, :3], known.labels - truth[:, :3]
    assert np.all(np.std(fitted, axis=0) < 0.9 * np.std(measured, axis=0))
    if known.absolute:
        observed = np.isfinite(known.parallax_err)
        pull = (np.exp(best[:, 4]) - truth[:, 4])[observed] / 0.3
        assert np.std(pull) < 1.2


def test_pulls_are_zero_where_nothing_was_measured(model, rng):
    _, theta, _, data = make_case(model, rng, absolute=True)
    pulls = data.constraints.pulls(theta)
    assert pulls.shape == (N_STAR, 4)
    assert np.all(pulls[::5, 3] == 0) and np.all(pulls[1::5, 3] != 0)
    np.testing.assert_allclose(pulls[:, 0], (theta[:, 0] - data.constraints.labels[:, 0]) / 0.05)
    assert not replace(data.constraints, absolute=False).pulls(theta)[:, 3].any()


def test_no_iterations_change_nothing(case):
    forward, theta, _, data = case
    np.testing.assert_array_equal(gauss_newton(forward, theta, data, 0), theta)


def test_chunks_do_not_matter(case, monkeypatch):
    forward, theta, _, data = case
    newton, plain = (
        gauss_newton(forward, theta, data, 5),
        gradient_descent(forward, theta, data, 1e-5),
    )
    monkeypatch.setattr(stars_module, "CHUNK", 7)
    np.testing.assert_allclose(gauss_newton(forward, theta, data, 5), newton, rtol=1e-9)
    np.testing.assert_allclose(gradient_descent(forward, theta, data, 1e-5), plain, rtol=1e-9)


def test_full_whiteners_work_like_diagonal_ones(case):
    forward, theta, _, data = case
    full = np.zeros((N_STAR, 66, 66))
    full[:, np.arange(66), np.arange(66)] = data.whitener.array
    same = gauss_newton(forward, theta, replace(data, whitener=Triangular(full)), 5)
    np.testing.assert_allclose(same, gauss_newton(forward, theta, data, 5), rtol=1e-8)


def test_correlated_errors_are_heeded(case, rng):
    forward, theta, _, data = case
    with np.errstate(divide="ignore"):
        error = np.where(
            data.whitener.has_weight, data.whitener.solve(np.ones(data.flux.shape)), 1e6
        )
    _, whitener = random_full_whiteners(error, rng)
    data = replace(data, whitener=whitener)
    before = stellar_loss(forward, theta, data)
    after = stellar_loss(forward, gauss_newton(forward, theta, data, 10), data)
    assert np.all(after < before)


def test_projected_loss_is_chi2_with_the_labels_uncertainty_carried_to_the_flux(case):
    """The slow twin: r^T (C + J^T S J)^-1 r, with r from the measured, not the fitted, labels."""
    forward, theta, _, data = case
    data.constraints.jacobian_terms = False
    known, k = data.constraints, 3
    projection = project(forward, theta, data)
    flux, jacobian = forward.flux_and_jacobian(theta)
    value, _ = projection.chi2(data.whitener(flux - data.flux))
    used = np.arange(64)
    for i in (7, 8):
        extinction, parallax = np.exp(theta[i, k : k + 2])
        spread = np.zeros(theta.shape[1])
        measured = np.zeros(theta.shape[1])
        spread[:k], measured[:k] = known.label_err[i], known.labels[i] - theta[i, :k]
        spread[k] = known.extinction_err[i] / extinction
        measured[k] = (known.extinction[i] - extinction) / extinction
        if known.absolute:
            spread[k + 1] = known.parallax_err[i] / parallax
            measured[k + 1] = (known.parallax[i] - parallax) / parallax
        else:
            spread[k + 1] = 100.0
        if forward.curve_varies:
            spread[k + 2], measured[k + 2] = 1.0, -theta[i, k + 2]
        carried = (spread[:, None] * jacobian[i])[:, used]
        residual = (flux[i] - data.flux[i] + measured @ jacobian[i])[used]
        covariance = np.diag(data.whitener.array[i, used] ** -2.0) + carried.T @ carried
        expected = residual @ np.linalg.solve(covariance, residual)
        assert value[i] == pytest.approx(expected, rel=1e-5)


def test_projected_loss_of_a_star_at_its_best_is_its_loss(case):
    forward, theta, _, data = case
    data.constraints.jacobian_terms = False
    best = gauss_newton(forward, theta, data, 40)
    residual = data.whitener(forward.flux(best) - data.flux)
    value, _ = project(forward, best, data).chi2(residual)
    np.testing.assert_allclose(value, stellar_loss(forward, best, data), rtol=1e-5)


def test_gradient_of_the_projected_loss(case, rng):
    forward, theta, _, data = case
    projection = project(forward, theta, data)
    residual = rng.standard_normal(data.flux.shape)
    _, gradient = projection.chi2(residual)
    for i in (0, 7):
        numerical = numerical_gradient(
            lambda r, i=i: projection[i : i + 1].chi2(r[None])[0][0], residual[i]
        )
        assert_close_derivative(gradient[i], numerical)


def test_projection_does_not_depend_on_chunks(case, monkeypatch):
    forward, theta, _, data = case
    whole = project(forward, theta, data)
    monkeypatch.setattr(stars_module, "CHUNK", 7)
    parts = project(forward, theta, data)
    np.testing.assert_allclose(parts.offset, whole.offset, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(parts.absorbed_basis, whole.absorbed_basis, rtol=1e-9, atol=1e-12)


def test_jacobian_terms_can_be_left_out(case):
    forward, theta, _, data = case
    with_terms = stellar_loss(forward, theta, data)
    data.constraints.jacobian_terms = False
    expected = with_terms + 2.0 * theta[:, 3]
    if data.constraints.absolute:
        expected = expected + 2.0 * theta[:, 4]
    np.testing.assert_allclose(stellar_loss(forward, theta, data), expected, rtol=1e-12)
    _, gradient, _ = loss_derivatives(forward, theta, data)
    numerical = numerical_gradient(lambda t: stellar_loss(forward, t[None], data[7:8])[0], theta[7])
    assert_close_derivative(gradient[7], numerical)
