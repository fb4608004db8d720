import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from scipy import stats

from xpfit.nn import (
    asinh_turnover,
    binary_cross_entropy,
    chi2,
    gaussian_likelihood,
    l2_penalty,
    standard_normal_divergence,
)


def test_chi2_is_the_sum_of_squares_per_star(rng):
    residual = rng.standard_normal((4, 9))
    value, _ = chi2(residual)
    np.testing.assert_allclose(value, [sum(r**2 for r in row) for row in residual])


def test_chi2_gradient(rng):
    residual = rng.standard_normal(9)
    assert_close_derivative(chi2(residual)[1], numerical_gradient(lambda r: chi2(r)[0], residual))


def test_gaussian_likelihood_is_scipys_and_its_gradients_are_exact(rng):
    residual, ln_excess, known = rng.standard_normal((3, 5))
    known = known**2
    value, d_residual, d_excess = gaussian_likelihood(residual, ln_excess, known)
    width = np.sqrt(known + np.exp(ln_excess))
    expected = -stats.norm.logpdf(residual, scale=width) - 0.5 * np.log(2.0 * np.pi)
    np.testing.assert_allclose(value, expected)
    numerical = numerical_gradient(lambda r: gaussian_likelihood(r, ln_excess, known)[0], residual)
    assert_close_derivative(np.diag(d_residual), numerical)
    numerical = numerical_gradient(lambda s: gaussian_likelihood(residual, s, known)[0], ln_excess)
    assert_close_derivative(np.diag(d_excess), numerical)


def test_divergence_from_the_standard_normal_is_an_integral_and_its_gradients_are_exact(rng):
    mean, ln_variance = rng.standard_normal((2, 3))
    value, d_mean, d_ln_variance = standard_normal_divergence(mean, ln_variance)
    x = np.linspace(-12.0, 12.0, 20_001)[:, None]
    density = stats.norm.pdf(x, mean, np.exp(0.5 * ln_variance))
    ratio = stats.norm.logpdf(x, mean, np.exp(0.5 * ln_variance)) - stats.norm.logpdf(x)
    assert value == pytest.approx(np.sum(density * ratio) * (x[1, 0] - x[0, 0]), rel=1e-6)

    def divergence(m, v):
        return standard_normal_divergence(m, v)[0]

    assert_close_derivative(d_mean, numerical_gradient(lambda m: divergence(m, ln_variance), mean))
    numerical = numerical_gradient(lambda v: divergence(mean, v), ln_variance)
    assert_close_derivative(d_ln_variance, numerical)


@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_asinh_turnover_gradient(scale):
    value = np.array([0.0, 0.3, 7.0, 900.0])
    _, derivative = asinh_turnover(value, scale)
    numerical = numerical_gradient(lambda v: asinh_turnover(v, scale)[0], value)
    assert_close_derivative(np.diag(derivative), numerical)


def test_asinh_turnover_leaves_small_chi2_and_bounds_the_weight_of_large():
    robust, weight = asinh_turnover(np.array([1.0, 1e8]), 300.0)
    assert robust[0] == pytest.approx(1.0, rel=1e-5)
    assert weight[1] < 1e-5


def test_infinite_turnover_changes_nothing():
    value = np.array([3.0, 1e12])
    robust, weight = asinh_turnover(value, np.inf)
    np.testing.assert_array_equal(robust, value)
    np.testing.assert_array_equal(weight, 1.0)


def test_l2_penalty_is_the_mean_square_weight_and_ignores_biases(rng):
    parameters = rng.standard_normal(8)
    is_weight = np.array([1, 1, 0, 1, 0, 1, 1, 0], dtype=bool)
    value, gradient = l2_penalty(parameters, is_weight)
    assert value == pytest.approx(np.mean(parameters[is_weight] ** 2))
    numerical = numerical_gradient(lambda p: l2_penalty(p, is_weight)[0], parameters)
    assert_close_derivative(gradient, numerical)


def test_binary_cross_entropy_is_that_of_the_sigmoid_and_finite_everywhere():
    logit, target = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.3])
    p = 1.0 / (1.0 + np.exp(-logit))
    expected = -target * np.log(p) - (1 - target) * np.log(1 - p)
    np.testing.assert_allclose(binary_cross_entropy(logit, target)[0], expected)
    far, slope = binary_cross_entropy(np.array([-1e4, 1e4]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(far, 1e4)
    np.testing.assert_allclose(slope, [-1.0, 1.0])


def test_binary_cross_entropy_gradient():
    logit, target = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.3])
    numerical = numerical_gradient(lambda z: binary_cross_entropy(z, target)[0], logit)
    assert_close_derivative(np.diag(binary_cross_entropy(logit, target)[1]), numerical)
