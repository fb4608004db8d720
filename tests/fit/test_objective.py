from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from scipy.optimize import minimize_scalar
from situations import SITUATIONS, near, objective_of, situation

from xpfit.arrays import with_arrays


@pytest.fixture(params=SITUATIONS)
def case(request, rng):
    model, spectra, theta = situation(request.param, 4, rng)
    return model, spectra, near(model, theta, rng)


def test_gradient_and_hessian_are_exact(case):
    model, spectra, theta = case
    objective = objective_of(model, spectra)
    there = objective.evaluate(theta)
    for i in range(len(theta)):
        star = objective[slice(i, i + 1)]
        gradient = numerical_gradient(lambda t, s=star: s.evaluate(t[None]).loss[0], theta[i], 1e-6)
        assert_close_derivative(there.gradient[i], gradient, 1e-6)
        hessian = numerical_gradient(
            lambda t, s=star: s.evaluate(t[None]).gradient[0], theta[i], 1e-6
        )
        assert_close_derivative(there.hessian[i], hessian, 1e-6)


def test_loss_alone_is_that_with_derivatives_for_many_stars_and_many_points(case, rng):
    model, spectra, theta = case
    objective = objective_of(model, spectra)
    there = objective.evaluate(theta).loss
    np.testing.assert_allclose(objective.loss(theta), there, rtol=1e-12)
    points = near(model, theta[[1] * 5], rng)
    alone = objective[np.array([1])].loss(points)
    np.testing.assert_allclose(
        alone, objective[np.array([1] * 5)].evaluate(points).loss, rtol=1e-12
    )


def test_gauss_newton_is_positive_and_is_the_hessian_of_exact_data_but_for_the_prior(case):
    model, spectra, theta = case
    exact = spectra.replace(flux=model.forward.flux(theta))
    k = len(model.label_names)
    if model.absolute:
        exact = exact.replace(parallax=np.exp(theta[:, k + 1]))
    there = objective_of(model, exact).evaluate(theta)
    assert np.all(np.linalg.eigvalsh(there.gauss_newton)[:, 0] > 0)
    _, _, bend, precision = model.prior.ln_p_derivatives(theta[:, :k])
    expected = there.gauss_newton.copy()
    expected[:, :k, :k] -= 2.0 * (precision + bend)
    np.testing.assert_allclose(there.hessian, expected, atol=1e-9 * np.abs(expected).max())


def test_loss_is_equation_19(rng):
    model, spectra, theta = situation("parallax", 3, rng)
    there = objective_of(model, spectra).evaluate(theta)
    residual = (model.forward.flux(theta) - spectra.flux) * spectra.whitener.array
    chi2, parallax = np.sum(residual**2, axis=1), np.exp(theta[:, 4])
    ln_prior = model.prior.ln_p(theta[:, :3])
    expected = chi2 + ((parallax - spectra.parallax) / spectra.parallax_err) ** 2
    expected += -2.0 * ln_prior - 2.0 * theta[:, 3] - 2.0 * theta[:, 4]
    np.testing.assert_allclose(there.loss, expected, rtol=1e-12)
    np.testing.assert_allclose(there.chi2, chi2, rtol=1e-12)
    np.testing.assert_allclose(there.ln_prior, ln_prior, rtol=1e-12)


def test_an_uncertain_luminosity_is_found_with_the_parallax(rng):
    model, spectra, theta = situation("parallax, uncertain luminosity", 3, rng)
    there = objective_of(model, spectra).evaluate(theta)
    exact = objective_of(replace(model, covariance=None), spectra).evaluate(theta)

    def terms(half_delta, star):
        parallax = np.exp(theta[star, 4] - half_delta)
        pull = (parallax - spectra.parallax[star]) / spectra.parallax_err[star]
        return pull**2 + (half_delta / 0.1) ** 2 - 2.0 * np.log(parallax)

    for star in range(3):
        best = minimize_scalar(terms, args=(star,), bounds=(-1.0, 1.0), options={"xatol": 1e-10})
        sharp = terms(0.0, star)
        assert there.loss[star] - exact.loss[star] == pytest.approx(best.fun - sharp, abs=1e-6)


def test_a_prior_flat_in_ln_parallax_leaves_its_term_out(rng):
    model, spectra, theta = situation("parallax", 3, rng)
    flat = objective_of(model, spectra).evaluate(theta)
    other = objective_of(replace(model, parallax_prior="log-flat"), spectra).evaluate(theta)
    np.testing.assert_allclose(other.loss, flat.loss + 2.0 * theta[:, 4], rtol=1e-12)


def test_without_luminosities_the_amplitude_has_a_flat_logarithmic_prior(rng):
    model, spectra, theta = situation("shapes", 3, rng)
    there = objective_of(model, spectra).evaluate(theta)
    np.testing.assert_allclose(
        there.loss, there.chi2 - 2.0 * there.ln_prior - 2.0 * theta[:, 3], rtol=1e-12
    )


def test_xi_has_a_standard_normal_prior(rng):
    model, spectra, theta = situation("varying curve", 3, rng)
    moved = theta + [0, 0, 0, 0, 0, 1.5]
    change = [objective_of(model, spectra).evaluate(t) for t in (theta, moved)]
    chi2 = change[1].chi2 - change[0].chi2
    np.testing.assert_allclose(
        change[1].loss - change[0].loss - chi2, moved[:, 5] ** 2 - theta[:, 5] ** 2, rtol=1e-6
    )


def test_chi2_equals_a_direct_inverse_of_the_covariance(rng):
    model, spectra, theta = situation("full whiteners", 2, rng)
    used = model.trained_channels
    there = objective_of(model, spectra).evaluate(theta)
    for i in range(2):
        precision = (spectra.whitener.array[i].T @ spectra.whitener.array[i])[np.ix_(used, used)]
        residual = (model.forward.flux(theta) - spectra.flux)[i, used]
        assert there.chi2[i] == pytest.approx(residual @ precision @ residual, rel=1e-9)


def test_overflow_looks_bad_instead_of_undefined(rng):
    model, spectra, theta = situation("full whiteners", 1, rng)
    with np.errstate(over="ignore", invalid="ignore"):
        there = objective_of(model, spectra).evaluate(theta + [0, 0, 0, 0, 1000.0])
    assert np.isinf(there.loss[0]) and there.loss[0] > 0


def test_other_namespaces_give_the_same(case):
    model, spectra, theta = case
    objective = objective_of(model, spectra)
    there = with_arrays(objective, array_api_strict.asarray).evaluate(
        array_api_strict.asarray(theta)
    )
    for name, value in vars(objective.evaluate(theta)).items():
        strict = np.from_dlpack(getattr(there, name))
        np.testing.assert_allclose(strict, value, rtol=1e-10, atol=1e-10 * np.abs(value).max())


def test_single_precision_keeps_double_sums(rng):
    model, spectra, theta = situation("full whiteners", 3, rng)
    objective = objective_of(model, spectra)
    single = replace(
        objective,
        forward=with_arrays(model.forward, lambda x: x.astype(np.float32)),
        data=with_arrays(objective.data, lambda x: x.astype(np.float32)),
    )
    exact, rough = objective.evaluate(theta), single.evaluate(theta)
    assert all(value.dtype == float for value in vars(rough).values())
    np.testing.assert_allclose(rough.loss, exact.loss, rtol=1e-4)
    np.testing.assert_allclose(
        rough.hessian, exact.hessian, atol=1e-4 * np.abs(exact.hessian).max()
    )
