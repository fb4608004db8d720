"""Batch normalisation of series of several channels."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from .layers import Layer


class BatchNorm(Layer):
    """Each channel with mean 0 and variance 1, then scaled and shifted (Ioffe & Szegedy 2015).

    In training by the mean and variance of the batch, else by running ones, which
    `update_running_statistics` moves towards the batch's. The parameter vector is scale, shift,
    running mean, running variance, each (n_channel,); the last two have no gradient.

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
            raise ValueError("in training, outputs of batch normalisation depend on all stars")
        return None

    def update_running_statistics(self, w, cache, share):
        """See `Layer.update_running_statistics`."""
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
