"""The grid of starts of ZGR23: prior types times extinctions, compared with the data exactly."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from ...arrays import Array, batches
from ...model import XPModel
from ..data import FitData
from .base import Starts, pick, take

N_TYPES = 512
"""Stellar types drawn from the prior (ZGR23)."""

EXTINCTIONS = 10.0 ** np.arange(-2.0, 1.001, 0.05)
"""The 61 extinctions (mag) tried with each type (ZGR23)."""

GRID_BYTES = 2**28
"""Memory for whitened cells of the grid, which limits the number of stars per batch."""


class GridStarts(Starts):
    """Prior types times extinctions, each at its best amplitude.

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior.
    extinctions : ndarray, shape (n_extinction,)
        mag.

    Notes
    -----
    ZGR23, section 4.2. They guess the parallax from the ratio of observed to model flux at
    592-782 nm; the best amplitude over all values is as cheap and closer.
    """

    def __init__(
        self, model: XPModel, n_types: int = N_TYPES, extinctions: np.ndarray = EXTINCTIONS
    ) -> None:
        super().__init__(model, n_types, tile=1)
        self.ln_extinction = np.log(extinctions)
        theta = np.zeros((n_types, len(extinctions), model.forward.n_stellar))
        layout = model.forward.layout
        theta[:, :, layout.labels] = self.types[:, None]
        theta[:, :, layout.extinction] = self.ln_extinction
        self.flux = model.forward.flux(theta.reshape(-1, theta.shape[2]))

    def candidates(self, data: FitData) -> tuple[Array, Array, Array]:
        """See `Starts.candidates`."""
        xp = array_namespace(data.flux)
        size = max(1, GRID_BYTES // (8 * self.flux.shape[0] * self.flux.shape[1]))
        parts = [self._compare(data[rows]) for rows in batches(len(data), size)]
        loss, which, pairs = (xp.concat(part, axis=0) for part in zip(*parts, strict=True))
        return loss, which, pairs

    def _compare(self, data: FitData) -> tuple[Array, Array, Array]:
        """Compare every cell with a batch of stars, in matrix products."""
        flux, xp = data.flux, array_namespace(data.flux)
        cells = xp.broadcast_to(self.flux[None, :, :], (flux.shape[0], *self.flux.shape))
        predicted, observed = data.whitener(cells), data.whitener(flux)
        norm = xp.sum(predicted**2, axis=2)
        overlap = (predicted @ observed[:, :, None])[:, :, 0]
        good = (overlap > 0) & (norm > 0)
        ratio = xp.where(good, overlap, xp.ones_like(norm)) / xp.where(
            good, norm, xp.ones_like(norm)
        )
        gain = xp.where(good, ratio * overlap, xp.zeros_like(norm))
        n_extinction = self.ln_extinction.shape[0]
        shape = (flux.shape[0], self.types.shape[0], n_extinction)
        gain, ratio = xp.reshape(gain, shape), xp.reshape(ratio, shape)
        best = xp.argmax(gain, axis=2)
        which = xp.arange(self.types.shape[0], device=device(flux))
        cell = which * n_extinction + best
        ln_parallax = 0.5 * xp.log(pick(xp.reshape(ratio, (shape[0], -1)), cell))
        pairs = xp.stack([take(self.ln_extinction, best), ln_parallax], axis=2)
        return self.penalty - xp.max(gain, axis=2), xp.broadcast_to(which, best.shape), pairs
