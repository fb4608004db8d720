import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient

from xpfit.nn import asinh_turnover, binary_cross_entropy, chi2, l2_penalty


def test_chi2_is_the_sum_of_squares_per_star(rng):
    residual = rng.standard_normal((4, 9))
    value, _ = chi2(residual)
    np.testing.assert_allclose(value, [sum(r**2 for r in row) for row in residual])


def test_chi2_gradient(rng):
    residual = rng.standard_normal(9)
    assert_close_derivative(chi2(residual)[1], numerical_gradient(lambda r: chi2(r)[0], residual))


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
