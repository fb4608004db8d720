"""What every search for starts does: draw stellar types, rate them, keep distinct ones."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from array_api_compat import array_namespace, device

from ...arrays import Array
from ...model import XPModel
from ...model.prior import FLAT
from ..data import FitData

TYPES_SEED = 20230415
"""Seed of the drawn types, fixed so that a star's start does not depend on other stars."""

SEPARATION = 0.7
"""Distance in standardised labels within which two starts count as the same mode.

Of 1,000 real stars without parallax, 12 starts a distance of 0.7 apart missed the best mode of
0.6 %; 1 apart, of 2 %, because modes of cool giants are narrow; 0.35 apart, of 0.9 %.
"""

GAP = 150.0
"""Candidates whose approximate loss is further than this above a star's lowest are not tried."""


class Starts(ABC):
    """A search for starts. All arrays are of one namespace (see `xpfit.arrays`).

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior; draws outside the trained range are repeated.
    tile : int
        Neighbouring types of which only the best may become a start; a power of two.

    Attributes
    ----------
    types : ndarray, shape (n_type, n_label)
        Candidates. Each run of `tile` rows is a tile of neighbours.
    penalty : ndarray, shape (n_type,)
        -2 ln p_gmm of each.
    near : ndarray of bool, shape (n_type * n_type,)
        Pairs of types closer than `SEPARATION`.
    """

    def __init__(self, model: XPModel, n_types: int, tile: int) -> None:
        self.forward = model.forward
        self.absolute = model.absolute
        self.flat_parallax = model.parallax_prior == FLAT
        self.tile = tile
        types = _draw_types(model, n_types)
        self.types = types[_tiled(types / model.forward.label_scale, tile)]
        self.penalty = -2.0 * model.prior.ln_p(self.types)
        labels = self.types / model.forward.label_scale
        distance = np.sum((labels[:, None] - labels) ** 2, axis=2)
        self.near = (distance <= SEPARATION**2).ravel()

    @abstractmethod
    def candidates(self, data: FitData) -> tuple[Array, Array, Array]:
        """The best type of every tile, at its best extinction and amplitude.

        Parameters
        ----------
        data : FitData

        Returns
        -------
        loss : ndarray, shape (n_star, n_tile)
            Approximate; infinite where there are no data.
        which : ndarray of int, shape (n_star, n_tile)
            Row of the type in `types`.
        ln_extinction_parallax : ndarray, shape (n_star, n_tile, 2)
            ln E and ln varpi.
        """

    def find(self, data: FitData, n_starts: int, gap: float = GAP) -> Array:
        """Best candidates that are distinct from each other, best first.

        Parameters
        ----------
        data : FitData
        n_starts : int
            At most this many for each star.
        gap : float
            How far a candidate's loss may be above the star's lowest; more if that is above 1 per
            value, in proportion.

        Returns
        -------
        ndarray, shape (n_star, n_starts, n_parameter)
            Labels are NaN where a star has fewer. Every star has a first one, even one whose
            numbers overflow: its descent ends at once, and the star is flagged.
        """
        loss, which, ln_extinction_parallax = self.candidates(data)
        xp = array_namespace(loss)
        lowest = xp.min(loss, axis=1)[:, None]
        limit = lowest + gap * xp.clip(lowest / data.n_obs, 1.0, None)
        loss = xp.where(loss <= limit, loss, xp.full_like(loss, xp.inf))
        best, exists = self._separate(loss, which, n_starts)
        pairs = xp.reshape(ln_extinction_parallax, (-1, 2))
        parts = [take(self.types, pick(which, best)), take(pairs, flat_indices(which, best))]
        if self.forward.curve_varies:
            parts.append(xp.zeros_like(parts[1][:, :, :1]))
        theta = xp.concat(parts, axis=2)
        return xp.where(exists[:, :, None], theta, xp.full_like(theta, xp.nan))

    def _separate(self, loss: Array, which: Array, n_starts: int) -> tuple[Array, Array]:
        """Tiles of lowest loss whose types are distinct, and whether there are so many of them."""
        xp = array_namespace(loss)
        chosen: list[Array] = []
        exists: list[Array] = []
        for _ in range(n_starts):
            lowest = xp.argmin(loss, axis=1)[:, None]
            exists.append(xp.isfinite(pick(loss, lowest)) | (len(chosen) == 0))
            chosen.append(lowest)
            if not xp.any(exists[-1]):
                break
            row = pick(which, lowest) * self.types.shape[0]
            loss = xp.where(take(self.near, row + which), xp.full_like(loss, xp.inf), loss)
        missing = n_starts - len(chosen)
        chosen += [chosen[-1]] * missing
        exists += [exists[-1]] * missing
        return xp.concat(chosen, axis=1), xp.concat(exists, axis=1)


def take(values: Array, indices: Array) -> Array:
    """`values[indices]` for an array of indices of any shape."""
    xp = array_namespace(values)
    taken = xp.take(values, xp.reshape(indices, (-1,)), axis=0)
    return xp.reshape(taken, (*indices.shape, *values.shape[1:]))


def pick(values: Array, columns: Array) -> Array:
    """`values[i, columns[i, j]]` for all i and j."""
    flat = array_namespace(values).reshape(values, (-1,))
    return take(flat, flat_indices(values, columns))


def flat_indices(values: Array, columns: Array) -> Array:
    """Indices, in the flattened first two axes of `values`, of `columns` in every row."""
    rows = array_namespace(columns).arange(values.shape[0], device=device(columns))
    return rows[:, None] * values.shape[1] + columns


def _draw_types(model: XPModel, n_types: int) -> np.ndarray:
    """Stellar types from the prior, within the trained range, shape (n_types, n_label)."""
    rng = np.random.default_rng(TYPES_SEED)
    types = np.empty((0, model.forward.n_label))
    while len(types) < n_types:
        drawn = model.prior.sample(n_types, rng)
        types = np.concatenate([types, drawn[model.in_range(drawn).all(axis=1)]])
    return types[:n_types]


def _tiled(points: np.ndarray, tile: int) -> np.ndarray:
    """Order in which the points of each leaf of a balanced k-d tree follow each other.

    Parameters
    ----------
    points : ndarray, shape (n, n_dimension)
    tile : int
        Size of the leaves; `n` is a power of two times this.
    """

    def split(rows: np.ndarray) -> list[np.ndarray]:
        if len(rows) <= tile:
            return [rows]
        widest = np.argmax(np.ptp(points[rows], axis=0))
        ordered = rows[np.argsort(points[rows, widest], kind="stable")]
        half = len(rows) // 2
        return split(ordered[:half]) + split(ordered[half:])

    if tile == 1:
        return np.arange(len(points))
    return np.concatenate(split(np.arange(len(points))))
