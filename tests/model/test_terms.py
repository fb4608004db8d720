import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, random_full_whiteners, simulate

from xpfit.model.terms import flux_terms, gaussian_term


def flux_term(forward, theta, flux, whitener):
    """chi2 of the flux, its gradient and Gauss-Newton Hessian."""
    predicted, jacobian = forward.flux_and_jacobian(theta)
    value, gradient, information = flux_terms(whitener, whitener(predicted - flux), jacobian)
    return value, gradient, 2.0 * information


@pytest.fixture
def stars(model, rng):
    truth, spectra = simulate(model, 4, rng, relative_error=0.02)
    theta = truth.copy()
    theta[:, -2:] = np.log(theta[:, -2:])
    theta += 0.02 * rng.standard_normal(theta.shape)
    return theta, spectra


def whiteners(kind, spectra, rng):
    if kind == "diagonal":
        return spectra.whitener
    err = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    return random_full_whiteners(err, rng)[1]


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_gradient_of_the_flux_term(model, stars, kind, rng):
    theta, spectra = stars
    whitener = whiteners(kind, spectra, rng)
    _, gradient, _ = flux_term(model.forward, theta, spectra.flux, whitener)
    for i in range(len(theta)):

        def value(t, i=i):
            data = (spectra.flux[i : i + 1], whitener[i : i + 1])
            return flux_term(model.forward, t[None], *data)[0][0]

        assert_close_derivative(gradient[i], numerical_gradient(value, theta[i], 1e-6))


def test_flux_term_equals_a_direct_inverse_of_the_covariance(model, stars, rng):
    theta, spectra = stars
    err = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    covariance, whitener = random_full_whiteners(err, rng)
    value, gradient, hessian = flux_term(model.forward, theta, spectra.flux, whitener)
    predicted, jacobian = model.forward.flux_and_jacobian(theta)
    for i in range(len(theta)):
        residual = predicted[i] - spectra.flux[i]
        solved = np.linalg.solve(covariance[i], residual)
        assert value[i] == pytest.approx(residual @ solved, rel=1e-8)
        np.testing.assert_allclose(gradient[i], 2 * jacobian[i] @ solved, rtol=1e-6)
        direct = 2 * jacobian[i] @ np.linalg.solve(covariance[i], jacobian[i].T)
        np.testing.assert_allclose(hessian[i], direct, rtol=1e-6, atol=1e-8 * np.abs(direct).max())


def test_hessian_is_exact_where_the_residual_vanishes(model, stars):
    theta, spectra = stars
    flux = model.forward.flux(theta)
    _, _, hessian = flux_term(model.forward, theta, flux, spectra.whitener)
    for i in range(len(theta)):

        def gradient(t, i=i):
            data = (flux[i : i + 1], spectra.whitener[i : i + 1])
            return flux_term(model.forward, t[None], *data)[1][0]

        assert_close_derivative(hessian[i], numerical_gradient(gradient, theta[i], 1e-6), 1e-5)


def test_gaussian_term_and_its_derivatives():
    x = np.array([0.3, 1.2])
    observed, error = np.array([0.5, 1.0]), np.array([0.1, 0.4])
    term = gaussian_term(np.exp(x), np.exp(x), observed, error)
    numerical = numerical_gradient(
        lambda v: gaussian_term(np.exp(v), np.exp(v), observed, error)[0], x
    )
    np.testing.assert_allclose(term[0], ((np.exp(x) - observed) / error) ** 2)
    assert_close_derivative(np.diag(term[1]), numerical)
    assert np.all(term[2] > 0)


def test_unknown_quantities_do_not_constrain_even_if_nan():
    term = gaussian_term(np.array([2.0]), np.ones(1), np.array([np.nan]), np.array([np.inf]))
    assert [float(part[0]) for part in term] == [0.0, 0.0, 0.0]
