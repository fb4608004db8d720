"""Layers of a feed-forward network, each with its forward, backward and tangent map.

The maps are array code: they run on NumPy, CuPy or any other namespace that `x` comes from.

A layer holds no parameters. They are an argument of every call, as one flat vector, so that a whole
network is a function of a single vector (see `xpfit.nn.network`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..constraints import BELOW_1, require


class Layer(ABC):
    """Interface of layers; parameters, curvature and statistics exist only where overridden.

    Shapes: `x` is (n_batch, n_in), `y` (n_batch, n_out), `w` (n_parameters,), and tangents carry
    one axis of directions in the middle: `dx` (n_batch, n_direction, n_in). Layers for
    series of several channels (`xpfit.nn.series`) have them flat as well, the channels of one
    position side by side.
    """

    n_parameters = 0

    @property
    def is_weight(self) -> np.ndarray:
        """Which parameters are weights, to be regularised: bool, shape (n_parameters,)."""
        return np.zeros(self.n_parameters, dtype=bool)

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw starting values of the parameters."""
        return np.empty(0)

    @abstractmethod
    def forward(
        self, w: np.ndarray, x: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, Any]:
        """Return the output and the cache that the other maps need.

        With an `rng`, layers such as `Dropout` behave as in training.
        """

    def backward(self, w: np.ndarray, cache: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d loss / d y into d loss / d x and d loss / d w."""
        dx = self.adjoint(w, cache, dy)
        return dx, array_namespace(dx).zeros(0, dtype=dx.dtype, device=device(dx))

    @abstractmethod
    def adjoint(self, w: np.ndarray, cache: Any, dy: np.ndarray) -> np.ndarray:
        """Turn d loss / d y into d loss / d x: `backward` without the parameters' part."""

    @abstractmethod
    def tangent(self, w: np.ndarray, cache: Any, dx: np.ndarray) -> np.ndarray:
        """Push directions in x forward to directions in y (at fixed parameters)."""

    def curvature(
        self, w: np.ndarray, cache: Any, dx: np.ndarray, dy: np.ndarray
    ) -> np.ndarray | None:
        """Second derivatives of sum(dy * y) along pairs of directions in x.

        Shape (n_batch, n_direction, n_direction); None for a layer that is linear.
        """
        return None

    def update_running_statistics(self, w: np.ndarray, cache: Any, share: float) -> np.ndarray:
        """Parameters with running statistics moved a share of the way to the last batch's."""
        return w


class Affine(Layer):
    """Base of the layers with weights, of any shape, and a bias for each output channel.

    The parameter vector is the weights in C order, then the biases.

    Parameters
    ----------
    shape : tuple of int
        Of the weights; the last axis is that of the outputs.
    fan : int
        Weights start uniform between +-sqrt(6 / fan).
    """

    def __init__(self, shape: tuple[int, ...], fan: int):
        self.shape, self.fan = shape, fan
        self.n_weights = math.prod(shape)
        self.n_parameters = self.n_weights + shape[-1]

    @property
    def is_weight(self) -> np.ndarray:
        """See `Layer.is_weight`."""
        return np.arange(self.n_parameters) < self.n_weights

    def split(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Views of the weights and the biases in a parameter vector."""
        weights = array_namespace(w).reshape(w[: self.n_weights], self.shape)
        return weights, w[self.n_weights :]

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Uniform weights and zero biases."""
        limit = np.sqrt(6.0 / self.fan)
        weights = rng.uniform(-limit, limit, self.n_weights)
        return np.concatenate([weights, np.zeros(self.shape[-1])])


class Dense(Affine):
    """Affine layer, y = x W + b, with Glorot-uniform weights at the start.

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs and outputs. The parameter vector is W (n_in, n_out) in C order, then b.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__((n_in, n_out), n_in + n_out)
        self.n_in, self.n_out = n_in, n_out

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        weights, bias = self.split(w)
        return x @ weights + bias, x

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        xp = array_namespace(dy)
        dw = xp.concat([xp.reshape(cache.T @ dy, (-1,)), xp.sum(dy, axis=0)])
        return self.adjoint(w, cache, dy), dw

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return dy @ self.split(w)[0].T

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx @ self.split(w)[0]


class Dropout(Layer):
    """Sets inputs to zero at random in training (Srivastava et al. 2014).

    Parameters
    ----------
    fraction : float
        Share that is dropped, in [0, 1). The others are scaled up, which preserves the mean.

    Notes
    -----
    Only `forward` with an `rng` drops anything; the factors are in its cache.
    """

    def __init__(self, fraction: float):
        require("fraction", fraction, BELOW_1)
        self.fraction = fraction

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        if rng is None:
            return x, None
        kept = (rng.random(x.shape) >= self.fraction) / (1.0 - self.fraction)
        factor = array_namespace(x).asarray(kept, dtype=x.dtype, device=device(x))
        return x * factor, factor

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return dy if cache is None else dy * cache

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx if cache is None else dx * cache[:, None, :]


class GaussianSample(Layer):
    """Draws from normal distributions, reparametrised (Kingma & Welling 2014, section 2.4).

    The input is n means and then n ln variances; the output, mean + sigma * noise, can be
    differentiated with respect to both. Without `rng` there is no noise.

    Parameters
    ----------
    n : int
        Number of outputs.
    """

    def __init__(self, n: int):
        self.n = n

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        mean, ln_variance = x[:, : self.n], x[:, self.n :]
        if rng is None:
            return mean, 0.0 * mean
        xp = array_namespace(x)
        noise = rng.standard_normal(mean.shape)
        noise = xp.asarray(noise, dtype=x.dtype, device=device(x)) * xp.exp(0.5 * ln_variance)
        return mean + noise, noise

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return array_namespace(dy).concat([dy, 0.5 * cache * dy], axis=1)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx[:, :, : self.n] + 0.5 * cache[:, None, :] * dx[:, :, self.n :]

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`."""
        along = dx[:, :, self.n :]
        weight = (0.25 * cache * dy)[:, None, :]
        return (along * weight) @ array_namespace(dx).matrix_transpose(along)
