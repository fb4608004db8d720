"""Layers of a feed-forward network, each with its forward, backward and tangent map.

The maps are array code: they run on NumPy, CuPy or any other namespace that `x` comes from.

A layer holds no parameters. It is told them, as one flat vector, in every call, so that a whole
network is a function of a single vector (see `xpfit.nn.network`).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace


class Layer(Protocol):
    """What a layer must do.

    Shapes: `x` is (n_batch, n_in), `y` (n_batch, n_out), `w` (n_parameters,), and tangents carry
    one axis of directions in the middle: `dx` (n_batch, n_direction, n_in).
    """

    n_parameters: int

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw starting values of the parameters."""
        ...

    def forward(
        self, w: np.ndarray, x: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, Any]:
        """Return the output and the cache that the other maps need.

        A layer that is random in training, such as `Dropout`, is so if it is given an `rng`.
        """
        ...

    def backward(self, w: np.ndarray, cache: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d loss / d y into d loss / d x and d loss / d w."""
        ...

    def adjoint(self, w: np.ndarray, cache: Any, dy: np.ndarray) -> np.ndarray:
        """Turn d loss / d y into d loss / d x: `backward` without the parameters' part."""
        ...

    def tangent(self, w: np.ndarray, cache: Any, dx: np.ndarray) -> np.ndarray:
        """Push directions in x forward to directions in y (at fixed parameters)."""
        ...

    def curvature(
        self, w: np.ndarray, cache: Any, dx: np.ndarray, dy: np.ndarray
    ) -> np.ndarray | None:
        """Second derivatives of sum(dy * y) along pairs of directions in x.

        Shape (n_batch, n_direction, n_direction); None for a layer that is linear.
        """
        ...


class Dense:
    """Affine layer, y = x W + b.

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs and outputs. The parameter vector is W (n_in, n_out) in C order, then b.
    """

    def __init__(self, n_in: int, n_out: int):
        self.n_in, self.n_out = n_in, n_out
        self.n_weights = n_in * n_out
        self.n_parameters = self.n_weights + n_out

    def split(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Views of the weights (n_in, n_out) and the biases (n_out,) in a parameter vector."""
        weights = w[: self.n_weights]
        shape = (self.n_in, self.n_out)
        return array_namespace(w).reshape(weights, shape), w[self.n_weights :]

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Glorot-uniform weights and zero biases."""
        limit = np.sqrt(6.0 / (self.n_in + self.n_out))
        weights = rng.uniform(-limit, limit, self.n_weights)
        return np.concatenate([weights, np.zeros(self.n_out)])

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        weights, bias = self.split(w)
        return x @ weights + bias, x

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        dw = np.concatenate([(cache.T @ dy).ravel(), dy.sum(axis=0)])
        return self.adjoint(w, cache, dy), dw

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        weights, _ = self.split(w)
        return dy @ weights.T

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        weights, _ = self.split(w)
        return dx @ weights

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`."""
        return None


class Dropout:
    """Inputs are dropped at random in training (Srivastava et al. 2014), and pass otherwise.

    Parameters
    ----------
    fraction : float
        Share that is dropped, in [0, 1). The others are scaled up, so that the mean stays.

    Notes
    -----
    Only `forward` with an `rng` drops anything; what was dropped then, is in its cache.
    """

    n_parameters = 0

    def __init__(self, fraction: float):
        if not 0.0 <= fraction < 1.0:
            raise ValueError(f"fraction must lie in [0, 1), got {fraction}")
        self.fraction = fraction

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """No parameters to draw."""
        return np.empty(0)

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        if rng is None:
            return x, None
        factor = (rng.random(x.shape) >= self.fraction) / (1.0 - self.fraction)
        return x * factor, factor

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        return self.adjoint(w, cache, dy), np.empty(0)

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return dy if cache is None else dy * cache

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx if cache is None else dx * cache[:, None, :]

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`: linear, whatever was dropped."""
        return None
