"""Pools: several positions of a series become one."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from .layers import Layer


class _Pool(Layer):
    """Several positions become one; the last one of fewer, where they do not come out even."""

    def __init__(self, length: int, n_channel: int, size: int):
        self.length, self.n_channel, self.size = length, n_channel, size
        self.length_out = -(-length // size)

    def _groups(self, x: np.ndarray, filling: float) -> np.ndarray:
        """Groups of positions: (n, length_out, size, n_channel)."""
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
    """The largest value of each group of positions.

    Parameters
    ----------
    length, n_channel : int
        Of the input.
    size : int
        Positions in a group.
    """

    def forward(self, w, x, rng=None):
        """See `Layer.forward`."""
        xp = array_namespace(x)
        groups = self._groups(x, -np.inf)
        positions = [groups[:, :, i, :] for i in range(self.size)]
        largest = positions[0]
        for position in positions[1:]:
            largest = xp.maximum(largest, position)
        taken = largest != largest  # NaN is nowhere the largest
        first = []
        for position in positions:
            first.append((position == largest) & ~taken)
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
    """The mean of each group of positions.

    Parameters
    ----------
    length, n_channel : int
        Of the input.
    size : int
        Positions in a group.
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
        """Number of positions in each group, (length_out, 1)."""
        count = np.minimum(self.size, self.length - self.size * np.arange(self.length_out))
        return array_namespace(x).asarray(count[:, None], dtype=x.dtype, device=device(x))
