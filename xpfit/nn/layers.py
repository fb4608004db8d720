"""Layers of a feed-forward network, each with its forward, backward and tangent map.

A layer holds no parameters. It is told them, as one flat vector, in every call, so that a whole
network is a function of a single vector (see `xpfit.nn.network`).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Layer(Protocol):
    """What a layer must do.

    Shapes: `x` is (n_batch, n_in), `y` (n_batch, n_out), `w` (n_parameters,), and tangents carry
    one axis of directions in the middle: `dx` (n_batch, n_direction, n_in).
    """

    n_parameters: int

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw starting values of the parameters."""
        ...

    def forward(self, w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the output and the cache that the other two maps need."""
        ...

    def backward(self, w: np.ndarray, cache: Any, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d loss / d y into d loss / d x and d loss / d w."""
        ...

    def tangent(self, w: np.ndarray, cache: Any, dx: np.ndarray) -> np.ndarray:
        """Push directions in x forward to directions in y (at fixed parameters)."""
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
        return w[: self.n_weights].reshape(self.n_in, self.n_out), w[self.n_weights :]

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Glorot-uniform weights and zero biases."""
        limit = np.sqrt(6.0 / (self.n_in + self.n_out))
        weights = rng.uniform(-limit, limit, self.n_weights)
        return np.concatenate([weights, np.zeros(self.n_out)])

    def forward(self, w, x):
        """See `Layer.forward`."""
        weights, bias = self.split(w)
        return x @ weights + bias, x

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        weights, _ = self.split(w)
        dw = np.concatenate([(cache.T @ dy).ravel(), dy.sum(axis=0)])
        return dy @ weights.T, dw

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        weights, _ = self.split(w)
        return dx @ weights


class Tanh:
    """Hyperbolic tangent, element by element."""

    n_parameters = 0

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """No parameters to draw."""
        return np.empty(0)

    def forward(self, w, x):
        """See `Layer.forward`."""
        y = np.tanh(x)
        return y, y

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        return dy * (1.0 - cache**2), np.empty(0)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx * (1.0 - cache**2)[:, None, :]
