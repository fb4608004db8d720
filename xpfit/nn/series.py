"""Layers for series of several channels: their positions, and convolution.

Values are flat, (n_batch, length * n_channel), the channels of one position side by side, as
activations and dense layers take them.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from .convolution import convolve, correlate
from .layers import Layer


class Position(Layer):
    """Appends a channel with the position in the series, from -1 to 1.

    Parameters
    ----------
    length, n_channel : int
        Of the input.
    """

    def __init__(self, length: int, n_channel: int = 1):
        self.length, self.n_channel = length, n_channel

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        position = xp.linspace(-1.0, 1.0, self.length, dtype=x.dtype, device=device(x))
        position = xp.broadcast_to(position[None, :, None], (x.shape[0], self.length, 1))
        series = xp.reshape(x, (-1, self.length, self.n_channel))
        return xp.reshape(xp.concat([series, position], axis=2), (x.shape[0], -1)), x

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        xp = array_namespace(dy)
        series = xp.reshape(dy, (-1, self.length, self.n_channel + 1))
        return xp.reshape(series[:, :, : self.n_channel], (dy.shape[0], -1))

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        xp = array_namespace(dx)
        n, k, _ = dx.shape
        series = xp.reshape(dx, (n, k, self.length, self.n_channel))
        still = xp.zeros((n, k, self.length, 1), dtype=dx.dtype, device=device(dx))
        return xp.reshape(xp.concat([series, still], axis=3), (n, k, -1))


class Convolution(Layer):
    """Convolution along a series, as long as its input, which is padded with zeros.

    Parameters
    ----------
    n_in, n_out : int
        Number of channels. The parameter vector is W (kernel, n_in, n_out) in C order, then b.
    kernel : int
        Number of positions that are looked at.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int):
        self.n_in, self.n_out, self.kernel = n_in, n_out, kernel
        self.before = (kernel - 1) // 2
        self.n_weights = kernel * n_in * n_out
        self.n_parameters = self.n_weights + n_out

    @property
    def is_weight(self) -> np.ndarray:
        """See `Layer.is_weight`."""
        return np.arange(self.n_parameters) < self.n_weights

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """He-uniform weights (He et al. 2015) and zero biases."""
        limit = np.sqrt(6.0 / (self.kernel * self.n_in))
        return np.concatenate([rng.uniform(-limit, limit, self.n_weights), np.zeros(self.n_out)])

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        y = convolve(x, self._weights(w), self.before)
        bias = w[self.n_weights :]
        return xp.reshape(xp.reshape(y, (-1, self.n_out)) + bias, y.shape), x

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        xp = array_namespace(dy)
        shape = (self.kernel, self.n_in, self.n_out)
        weights = xp.reshape(correlate(cache, dy, shape, self.before), (-1,))
        bias = xp.sum(xp.reshape(dy, (-1, self.n_out)), axis=0)
        return self.adjoint(w, cache, dy), xp.concat([weights, bias])

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`: the convolution with the reversed kernel."""
        xp = array_namespace(dy)
        turned = xp.permute_dims(xp.flip(self._weights(w), axis=0), (0, 2, 1))
        return convolve(dy, turned, self.kernel - 1 - self.before)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        xp = array_namespace(dx)
        flat = xp.reshape(dx, (-1, dx.shape[2]))
        pushed = convolve(flat, self._weights(w), self.before)
        return xp.reshape(pushed, (*dx.shape[:2], -1))

    def _weights(self, w: np.ndarray) -> np.ndarray:
        """The kernel, (kernel, n_in, n_out)."""
        shape = (self.kernel, self.n_in, self.n_out)
        return array_namespace(w).reshape(w[: self.n_weights], shape)
