from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, random_full_whiteners, simulate

from xpfit.fit.objective import Objective


@pytest.fixture
def star(model, rng):
    truth, spectra = simulate(model, 1, rng, relative_error=0.02)
    theta = np.concatenate([truth[0, :3] + 0.05, np.log(truth[0, 3:]) + 0.02])
    return theta, spectra


def objectives(model, absolute_model, spectra, rng):
    flux, whitener = spectra.flux[0], spectra.whitener[0]
    error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    full = random_full_whiteners(error, rng)[1][0]
    return {
        "shapes": Objective(model, flux, whitener),
        "full whitener": Objective(model, flux, full),
        "parallax": Objective(absolute_model, flux, whitener, 10.0, 0.3),
        "no parallax": Objective(absolute_model, flux, whitener),
    }


def test_gradient_is_exact_with_every_term(model, absolute_model, star, rng):
    theta, spectra = star
    for name, objective in objectives(model, absolute_model, spectra, rng).items():
        numerical = numerical_gradient(objective.value, theta, 1e-6)
        exact = objective.gradient(theta)
        np.testing.assert_allclose(
            exact, numerical, atol=1e-6 * np.abs(numerical).max(), err_msg=name
        )


def test_derivatives_are_exact_where_the_curve_varies(varying_model, star):
    theta, spectra = np.append(star[0], 0.7), star[1]
    objective = Objective(varying_model, spectra.flux[0], spectra.whitener[0], 10.0, 0.3)
    numerical = numerical_gradient(objective.value, theta, 1e-6)
    assert_close_derivative(objective.gradient(theta), numerical)
    without = Objective(
        replace(varying_model, absolute=False), spectra.flux[0], spectra.whitener[0]
    )
    expected = without.chi2(theta) - 2.0 * without.ln_prior(theta) - 2.0 * theta[3] + 0.7**2
    assert without.value(theta) == pytest.approx(expected, rel=1e-12)


def test_hessian_of_all_but_the_flux_term_is_exact(absolute_model, star):
    theta, spectra = star
    # Data that the model meets exactly: there the Gauss-Newton Hessian is the Hessian.
    flux = absolute_model.forward.flux(theta[None])[0]
    parallax = np.exp(theta[-1])
    objective = Objective(absolute_model, flux, spectra.whitener[0], parallax, 0.3)
    numerical = numerical_gradient(objective.gradient, theta, 1e-6)
    assert_close_derivative(objective.hessian(theta), numerical, 1e-5)


def test_loss_is_equation_19(absolute_model, star):
    theta, spectra = star
    objective = Objective(absolute_model, spectra.flux[0], spectra.whitener[0], 10.0, 0.3)
    residual = (absolute_model.forward.flux(theta[None]) - spectra.flux) * spectra.whitener
    chi2 = np.sum(residual**2)
    expected = (
        chi2
        + ((np.exp(theta[-1]) - 10.0) / 0.3) ** 2
        - 2.0 * absolute_model.prior.ln_p(theta[None, :3])[0]
        - 2.0 * theta[-1]
        - 2.0 * theta[-2]
    )
    assert objective.value(theta) == pytest.approx(expected, rel=1e-12)
    assert objective.chi2(theta) == pytest.approx(chi2, rel=1e-12)
    assert objective.ln_prior(theta) == absolute_model.prior.ln_p(theta[None, :3])[0]


def test_without_luminosities_the_amplitude_has_a_flat_logarithmic_prior(model, star):
    theta, spectra = star
    objective = Objective(model, spectra.flux[0], spectra.whitener[0])
    expected = objective.chi2(theta) - 2.0 * objective.ln_prior(theta) - 2.0 * theta[-2]
    assert objective.value(theta) == pytest.approx(expected, rel=1e-12)


def test_chi2_equals_a_direct_inverse_of_the_covariance(model, star, rng):
    theta, spectra = star
    error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    covariance, whitener = random_full_whiteners(error, rng)
    residual = model.forward.flux(theta[None])[0] - spectra.flux[0]
    direct = residual @ np.linalg.inv(covariance[0]) @ residual
    assert Objective(model, spectra.flux[0], whitener[0]).chi2(theta) == pytest.approx(
        direct, rel=1e-8
    )


def test_overflow_looks_bad_instead_of_undefined(model, star):
    theta, spectra = star
    objective = Objective(model, spectra.flux[0], spectra.whitener[0])
    assert objective.value(theta + [0, 0, 0, 0, 1000.0]) == np.inf
