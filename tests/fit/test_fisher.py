import numpy as np
import pytest
from helpers import random_full_whiteners, simulate

from xpfit.fit.fisher import EIGENVALUE_FLOOR, fisher_matrix, safe_inverse


@pytest.fixture
def stars(model, rng):
    truth, spectra = simulate(model, 5, rng, relative_error=0.02)
    return truth, np.column_stack([truth[:, :3], np.log(truth[:, 3:])]), spectra


def information(model, theta, whitener):
    """J^T C^-1 J with respect to theta."""
    white = whitener(model.forward.flux_and_jacobian(theta)[1])
    return white @ np.swapaxes(white, 1, 2)


def test_fisher_matrix_is_equation_22_in_linear_parameters(model, stars, rng):
    truth, theta, spectra = stars
    error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    covariance, whitener = random_full_whiteners(error, rng)
    parallax_err = np.array([0.1, 0.2, np.inf, 0.3, 0.4])
    fisher = fisher_matrix(
        information(model, theta, whitener), theta, parallax_err, model.forward.layout
    )
    for i in range(5):
        jacobian = np.empty((5, 66))
        for k in range(5):
            h = np.zeros(5)
            h[k] = 1e-5

            def flux(p):
                return model.forward.flux(np.concatenate([p[:3], np.log(p[3:])])[None])[0]

            jacobian[k] = (flux(truth[i] + h) - flux(truth[i] - h)) / 2e-5
        expected = jacobian @ np.linalg.solve(covariance[i], jacobian.T)
        expected[4, 4] += 1.0 / parallax_err[i] ** 2
        np.testing.assert_allclose(fisher[i], expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_an_uncertain_luminosity_adds_its_variance_to_that_of_ln_parallax(model, stars):
    _, theta, spectra = stars
    white, layout = information(model, theta, spectra.whitener), model.forward.layout
    unknown, error = np.full(5, np.inf), np.array([0.0, 0.1, 0.2, 0.3, 0.5])
    sharp, uncertain = (
        np.linalg.inv(fisher_matrix(white, theta, unknown, layout, e)) for e in (0.0, error)
    )
    expected = sharp.copy()
    expected[:, 4, 4] += (0.5 * error * np.exp(theta[:, 4])) ** 2
    np.testing.assert_allclose(uncertain, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def test_prior_of_xi_counts_where_the_curve_varies(varying_model, rng):
    truth, spectra = simulate(varying_model, 5, rng, relative_error=0.02)
    theta = np.column_stack([truth[:, :3], np.log(truth[:, 3:5]), truth[:, 5]])
    parallax_err = np.full(5, 0.2)
    white = information(varying_model, theta, spectra.whitener)
    fisher = fisher_matrix(white, theta, parallax_err, varying_model.forward.layout)
    for i in range(5):
        jacobian = np.empty((6, 66))
        for k in range(6):
            h = np.zeros(6)
            h[k] = 1e-5
            up, down = (varying_model.predict(p[None, :3], p[3], p[4], xi=p[5], extrapolate=True)
                        for p in (truth[i] + h, truth[i] - h))  # fmt: skip
            jacobian[k] = np.nan_to_num((up - down)[0] / 2e-5) * spectra.whitener.array[i]
        expected = jacobian @ jacobian.T + np.diag([0, 0, 0, 0, 1.0 / 0.2**2, 1.0])
        np.testing.assert_allclose(fisher[i], expected, rtol=1e-4, atol=1e-4 * expected.max())
    dust_free = theta.copy()
    dust_free[:, 3] = -20.0
    white = information(varying_model, dust_free, spectra.whitener)
    fisher = fisher_matrix(white, dust_free, parallax_err, varying_model.forward.layout)
    np.testing.assert_allclose(fisher[:, 5, 5], 1.0, rtol=1e-6)


def test_safe_inverse_is_the_inverse_of_a_good_matrix(rng):
    root = rng.standard_normal((4, 5, 5))
    matrix = root @ np.swapaxes(root, 1, 2) + np.eye(5)
    inverse, floored = safe_inverse(matrix)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(floored, matrix, rtol=1e-10)


def test_unconstrained_directions_get_a_large_finite_error():
    matrix = np.diag([100.0, 4.0, 0.0, -1e-9])[None]
    inverse, floored = safe_inverse(matrix)
    np.testing.assert_allclose(
        np.diag(inverse[0]), [0.01, 0.25, 1 / EIGENVALUE_FLOOR, 1 / EIGENVALUE_FLOOR]
    )
    assert np.all(np.linalg.eigvalsh(floored[0]) > 0)
