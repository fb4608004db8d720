"""Layers for series of several channels: positions, convolution, normalisation, pooling, residuals.

Values are flat, (n_batch, length * n_channel), the channels of one place side by side: so they go
through activations and dense layers as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace, device

from .convolution import convolve, correlate
from .layers import Layer
from .network import Network


class Position(Layer):
    """Appends a channel that tells where in the series a place is, from -1 to 1.

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
        place = xp.linspace(-1.0, 1.0, self.length, dtype=x.dtype, device=device(x))
        place = xp.broadcast_to(place[None, :, None], (x.shape[0], self.length, 1))
        series = xp.reshape(x, (-1, self.length, self.n_channel))
        return xp.reshape(xp.concat([series, place], axis=2), (x.shape[0], -1)), x

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
    """Convolution along a series, as long as its input: zeros stand beyond the ends.

    Parameters
    ----------
    n_in, n_out : int
        Number of channels. The parameter vector is W (kernel, n_in, n_out) in C order, then b.
    kernel : int
        Number of places that are looked at.
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
        """See `Layer.adjoint`: the convolution with the kernel the other way round."""
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


class BatchNorm(Layer):
    """Each channel with mean 0 and variance 1, then scaled and shifted (Ioffe & Szegedy 2015).

    In training by the mean and variance of the batch, else by running ones, which `absorb` updates.
    The parameter vector is scale, shift, running mean, running variance, each (n_channel,); the
    last two have no gradient.

    Parameters
    ----------
    n_channel : int
    epsilon : float
        Added to variances.
    """

    def __init__(self, n_channel: int, epsilon: float = 1e-5):
        self.n_channel, self.epsilon = n_channel, epsilon
        self.n_parameters = 4 * n_channel

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """Scale and running variance 1, shift and running mean 0."""
        return np.repeat([1.0, 0.0, 0.0, 1.0], self.n_channel)

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        scale, shift, mean, variance = self._split(w)
        if rng is not None:
            mean = self._mean(x)
        normal = x - self._everywhere(mean, x)
        if rng is not None:
            variance = self._mean(normal**2)
        inverse = 1.0 / xp.sqrt(variance + self.epsilon)
        normal = normal * self._everywhere(inverse, x)
        batch = None if rng is None else (mean, variance)
        y = normal * self._everywhere(scale, x) + self._everywhere(shift, x)
        return y, (normal, inverse, batch)

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        n = dy.shape[0] * dy.shape[1] // self.n_channel
        scale, shift = n * self._mean(dy * cache[0]), n * self._mean(dy)
        none = 0.0 * shift
        return self.adjoint(w, cache, dy), array_namespace(dy).concat([scale, shift, none, none])

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`: in training, with what each star does to the batch's mean."""
        normal, inverse, batch = cache
        if batch is not None:
            common = self._mean(dy * normal)
            dy = dy - self._everywhere(self._mean(dy), dy) - normal * self._everywhere(common, dy)
        return dy * self._everywhere(inverse * self._split(w)[0], dy)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`: in training, of all stars moving at the same time."""
        xp = array_namespace(dx)
        if cache[2] is None:
            return dx * self._everywhere(cache[1] * self._split(w)[0], dx)
        # It is its own transpose.
        moved = [self.adjoint(w, cache, dx[:, i, :]) for i in range(dx.shape[1])]
        return xp.stack(moved, axis=1)

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`.

        Raises
        ------
        ValueError
            In training, where there is none of each star by itself.
        """
        if cache[2] is not None:
            raise ValueError("in training, batch normalisation ties the stars to each other")
        return None

    def absorb(self, w, cache, share):
        """See `Layer.absorb`: running mean and variance move towards the batch's."""
        if cache[2] is None:
            return w
        xp = array_namespace(w)
        scale, shift, mean, variance = self._split(w)
        mean = mean + share * (cache[2][0] - mean)
        variance = variance + share * (cache[2][1] - variance)
        return xp.concat([scale, shift, mean, variance])

    def _mean(self, x: np.ndarray) -> np.ndarray:
        """Mean of each channel; first over the stars, as that is faster."""
        xp = array_namespace(x)
        return xp.mean(xp.reshape(xp.mean(x, axis=0), (-1, self.n_channel)), axis=0)

    def _everywhere(self, values: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values of the channels at each place of series like `x`."""
        return array_namespace(values).tile(values, (x.shape[-1] // self.n_channel,))

    def _split(self, w: np.ndarray) -> tuple[np.ndarray, ...]:
        """Scale, shift, running mean, running variance."""
        n = self.n_channel
        return w[:n], w[n : 2 * n], w[2 * n : 3 * n], w[3 * n :]


class _Pool(Layer):
    """Several places become one; the last one of fewer, where they do not come out even."""

    def __init__(self, length: int, n_channel: int, size: int):
        self.length, self.n_channel, self.size = length, n_channel, size
        self.length_out = -(-length // size)

    def _groups(self, x: np.ndarray, filling: float) -> np.ndarray:
        """Groups of places: (n, length_out, size, n_channel)."""
        xp, n = array_namespace(x), x.shape[0]
        missing = (self.length_out * self.size - self.length) * self.n_channel
        filled = xp.full((n, missing), filling, dtype=x.dtype, device=device(x))
        return xp.reshape(
            xp.concat([x, filled], axis=1), (n, self.length_out, self.size, self.n_channel)
        )

    def _spread(self, groups: np.ndarray) -> np.ndarray:
        """The other way: (n, length * n_channel)."""
        flat = array_namespace(groups).reshape(groups, (groups.shape[0], -1))
        return flat[:, : self.length * self.n_channel]


class MaxPool(_Pool):
    """The largest value of each group of places.

    Parameters
    ----------
    length, n_channel : int
        Of the input.
    size : int
        Places in a group.
    """

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        groups = self._groups(x, -np.inf)
        places = [groups[:, :, i, :] for i in range(self.size)]
        largest = places[0]
        for place in places[1:]:
            largest = xp.maximum(largest, place)
        taken = largest != largest  # NaN is nowhere the largest
        first = []
        for place in places:
            first.append((place == largest) & ~taken)
            taken = taken | first[-1]
        return xp.reshape(largest, (x.shape[0], -1)), xp.astype(xp.stack(first, axis=2), x.dtype)

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        shape = (dy.shape[0], self.length_out, 1, self.n_channel)
        return self._spread(cache * array_namespace(dy).reshape(dy, shape))

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        xp = array_namespace(dx)
        n, k, _ = dx.shape
        groups = self._groups(xp.reshape(dx, (n * k, -1)), 0.0)
        groups = xp.reshape(groups, (n, k, *groups.shape[1:])) * cache[:, None, ...]
        return xp.reshape(xp.sum(groups, axis=3), (n, k, -1))


class AveragePool(_Pool):
    """The mean of each group of places.

    Parameters
    ----------
    length, n_channel : int
        Of the input.
    size : int
        Places in a group.
    """

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        return self._means(x), x

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        xp = array_namespace(dy)
        means = xp.reshape(dy, (dy.shape[0], self.length_out, self.n_channel))
        means = (means / self._counts(dy))[:, :, None, :]
        shape = (dy.shape[0], self.length_out, self.size, self.n_channel)
        return self._spread(xp.broadcast_to(means, shape))

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        xp = array_namespace(dx)
        n, k, _ = dx.shape
        return xp.reshape(self._means(xp.reshape(dx, (n * k, -1))), (n, k, -1))

    def _means(self, x: np.ndarray) -> np.ndarray:
        xp = array_namespace(x)
        means = xp.sum(self._groups(x, 0.0), axis=2) / self._counts(x)
        return xp.reshape(means, (x.shape[0], -1))

    def _counts(self, x: np.ndarray) -> np.ndarray:
        """Number of places in each group, (length_out, 1)."""
        count = np.minimum(self.size, self.length - self.size * np.arange(self.length_out))
        return array_namespace(x).asarray(count[:, None], dtype=x.dtype, device=device(x))


class Residual(Layer):
    """x + f(x), f being a chain of layers (He et al. 2016).

    Parameters
    ----------
    layers : sequence of Layer
        As many outputs as inputs.
    """

    def __init__(self, layers: Sequence[Layer]):
        self.inner = Network(layers)
        self.n_parameters = self.inner.n_parameters

    @property
    def is_weight(self) -> np.ndarray:
        """See `Layer.is_weight`."""
        return self.inner.is_weight

    def initialise(self, rng: np.random.Generator) -> np.ndarray:
        """See `Layer.initialise`."""
        return self.inner.initialise(rng)

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        y, caches = self.inner.forward(w, x, rng)
        return x + y, caches

    def backward(self, w, cache, dy):
        """See `Layer.backward`."""
        dw, dx = self.inner.pullback(w, cache, dy)
        return dx + dy, dw

    def adjoint(self, w, cache, dy):
        """See `Layer.adjoint`."""
        return dy + self.inner.adjoint(w, cache, dy)

    def tangent(self, w, cache, dx):
        """See `Layer.tangent`."""
        return dx + self.inner.tangent(w, cache, dx)

    def curvature(self, w, cache, dx, dy):
        """See `Layer.curvature`."""
        return self.inner.curvature(w, cache, dx, dy)

    def absorb(self, w, cache, share):
        """See `Layer.absorb`."""
        return self.inner.absorb(w, cache, share)
