"""Residual connections: the input of a chain of layers is added to its output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layers import Layer
from .network import Network


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

    def update_running_statistics(self, w, cache, share):
        """See `Layer.update_running_statistics`."""
        return self.inner.update_running_statistics(w, cache, share)
