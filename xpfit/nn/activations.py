"""Activations: functions of each element by itself."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
from array_api_compat import array_namespace, is_numpy_array
from scipy.special import erf, expit

from .layers import Layer

ROOT_2, ROOT_2_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)
"""As Python floats, so that single precision stays single."""


class Activation(Layer):
    """An element-by-element layer without parameters (see `xpfit.nn.layers.Layer`).

    Subclasses define the function and its first two derivatives. The cache holds the input and the
    output.
    """

    @abstractmethod
    def value(self, x: np.ndarray) -> np.ndarray:
        """The function."""

    @abstractmethod
    def derivative(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Its first derivative at x, where it is y."""

    @abstractmethod
    def second_derivative(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Its second derivative; None where that is zero everywhere."""

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        y = self.value(x)
        return y, (x, y)

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return dy * self.derivative(*cache)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx * self.derivative(*cache)[:, None, ...]

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`."""
        second_derivative = self.second_derivative(*cache)
        if second_derivative is None:
            return None
        return (dx * (second_derivative * dy)[:, None, :]) @ array_namespace(dx).matrix_transpose(
            dx
        )


class Tanh(Activation):
    """Hyperbolic tangent."""

    def value(self, x):
        """See `Activation.value`."""
        return array_namespace(x).tanh(x)

    def derivative(self, x, y):
        """See `Activation.derivative`."""
        return 1.0 - y**2

    def second_derivative(self, x, y):
        """See `Activation.second_derivative`."""
        return -2.0 * y * (1.0 - y**2)


class ReLU(Activation):
    """Rectifier, max(x, 0)."""

    def value(self, x):
        """See `Activation.value`."""
        return array_namespace(x).clip(x, 0.0, None)

    def derivative(self, x, y):
        """See `Activation.derivative`."""
        return array_namespace(x).astype(x > 0, x.dtype)

    def second_derivative(self, x, y):
        """See `Activation.second_derivative`: piecewise linear."""
        return None


class ELU(Activation):
    """Exponential linear unit (Clevert et al. 2015): x above zero, e^x - 1 below."""

    def value(self, x):
        """See `Activation.value`."""
        # Not by `where`, which takes ten times as long.
        xp = array_namespace(x)
        return xp.clip(x, 0.0, None) + xp.expm1(xp.clip(x, None, 0.0))

    def derivative(self, x, y):
        """See `Activation.derivative`."""
        return array_namespace(x).clip(y, None, 0.0) + 1.0

    def second_derivative(self, x, y):
        """See `Activation.second_derivative`."""
        xp = array_namespace(x)
        return xp.where(x > 0, xp.zeros_like(x), y + 1.0)


class Sigmoid(Activation):
    """Logistic function, 1 / (1 + e^-x)."""

    def value(self, x):
        """See `Activation.value`."""
        xp = array_namespace(x)
        return expit(x) if is_numpy_array(x) else 0.5 * (1.0 + xp.tanh(0.5 * x))

    def derivative(self, x, y):
        """See `Activation.derivative`."""
        return y * (1.0 - y)

    def second_derivative(self, x, y):
        """See `Activation.second_derivative`."""
        return y * (1.0 - y) * (1.0 - 2.0 * y)


class GELU(Activation):
    """Gaussian error linear unit (Hendrycks & Gimpel 2016): x Phi(x), Phi the normal CDF."""

    def value(self, x):
        """See `Activation.value`."""
        return x * _normal_cdf(x)

    def derivative(self, x, y):
        """See `Activation.derivative`."""
        # y / x is the CDF, which takes longer.
        at_zero = array_namespace(x).astype(x == 0, x.dtype)
        return y / (x + at_zero) + 0.5 * at_zero + x * _normal_density(x)

    def second_derivative(self, x, y):
        """See `Activation.second_derivative`."""
        return (2.0 - x**2) * _normal_density(x)


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Cumulative distribution of the standard normal."""
    if is_numpy_array(x):
        return 0.5 * (1.0 + erf(x / ROOT_2))
    from cupyx.scipy.special import erf as erf_there  # the array standard has none

    return 0.5 * (1.0 + erf_there(x / ROOT_2))


def _normal_density(x: np.ndarray) -> np.ndarray:
    """Density of the standard normal."""
    return array_namespace(x).exp(-0.5 * x**2) / ROOT_2_PI
