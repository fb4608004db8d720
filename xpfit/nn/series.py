"""Layers for series of several channels: their positions, and convolution.

Values are flat, (n_batch, length * n_channel), the channels of one position side by side, as
activations and dense layers take them.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device

from .convolution import convolve, correlate
from .layers import Affine, Layer


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


class Convolution(Affine):
    """Convolution along a series, as long as its input, which is padded with zeros.

    Weights start He-uniform (He et al. 2015).

    Parameters
    ----------
    n_in, n_out : int
        Number of channels. The parameter vector is W (kernel, n_in, n_out) in C order, then b.
    kernel : int
        Number of positions in the window.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int):
        super().__init__((kernel, n_in, n_out), kernel * n_in)
        self.n_out, self.kernel = n_out, kernel
        self.before = (kernel - 1) // 2

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        weights, bias = self.split(w)
        y = convolve(x, weights, self.before)
        return xp.reshape(xp.reshape(y, (-1, self.n_out)) + bias, y.shape), x

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        xp = array_namespace(dy)
        weights = xp.reshape(correlate(cache, dy, self.shape, self.before), (-1,))
        bias = xp.sum(xp.reshape(dy, (-1, self.n_out)), axis=0)
        return self.adjoint(w, cache, dy), xp.concat([weights, bias])

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`: the convolution with the reversed kernel."""
        xp = array_namespace(dy)
        reversed_kernel = xp.permute_dims(xp.flip(self.split(w)[0], axis=0), (0, 2, 1))
        return convolve(dy, reversed_kernel, self.kernel - 1 - self.before)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        xp = array_namespace(dx)
        flat = xp.reshape(dx, (-1, dx.shape[2]))
        changed = convolve(flat, self.split(w)[0], self.before)
        return xp.reshape(changed, (*dx.shape[:2], -1))
