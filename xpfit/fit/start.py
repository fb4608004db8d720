"""Starting points: a grid of prior stellar types times extinctions (ZGR23, section 4.2)."""

from __future__ import annotations

import numpy as np

from ..model import XPModel
from ..model.gauge import best_ln_parallax
from ..spectra import whiten

N_TYPES = 512
"""Stellar types drawn from the prior."""

EXTINCTIONS = 10.0 ** np.arange(-2.0, 1.001, 0.05)
"""The 61 extinctions (mag) tried with each type."""

GRID_SEED = 20230415
"""Seed of the draws, fixed so that a star's start does not depend on its neighbours."""

SEPARATION = 1.0
"""Distance in standardised labels within which two cells count as the same mode."""


class StartGrid:
    """Grid of candidate starts, with their fluxes, for one model.

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior; draws outside the trained range are drawn again.
    extinctions : ndarray, shape (n_extinction,)
        mag.

    Attributes
    ----------
    theta : ndarray, shape (n_cell, n_parameter)
    flux : ndarray, shape (n_cell, n_obs)
    scale : ndarray, shape (n_parameter,)
        Lengths that make the parameters comparable (`ForwardModel.scale`).
    """

    def __init__(
        self, model: XPModel, n_types: int = N_TYPES, extinctions: np.ndarray = EXTINCTIONS
    ):
        types = _draw_types(model, n_types)
        self.n_extinctions = len(extinctions)
        self.theta = np.column_stack(
            [
                np.repeat(types, len(extinctions), axis=0),
                np.tile(np.log(extinctions), n_types),
                # ln varpi, and xi where the curve varies
                np.zeros(
                    (n_types * len(extinctions), model.forward.n_stellar - types.shape[1] - 1)
                ),
            ]
        )
        self.flux = model.forward.flux(self.theta)
        self.penalty = -2.0 * np.repeat(model.prior.ln_p(types), len(extinctions))
        self.scale = model.forward.scale
        self.n_label = types.shape[1]

    def starts(self, flux: np.ndarray, whitener: np.ndarray, n_starts: int) -> list[np.ndarray]:
        """Best types that lie apart from each other, best first, for one star.

        Parameters
        ----------
        flux : ndarray, shape (n_obs,)
        whitener : ndarray, shape (n_obs,) or (n_obs, n_obs)
        n_starts : int
            At most this many.

        Returns
        -------
        list of ndarray, shape (n_parameter,)
            Each with the amplitude that minimises chi2 in its cell.

        Notes
        -----
        ZGR23 guess the parallax from the ratio of observed to model flux at 592-782 nm; the best
        amplitude over all values is as cheap and closer.
        """
        predicted = whiten(whitener[None], self.flux[None])[0]
        observed = whiten(whitener[None], flux[None])
        norm = np.einsum("gi,gi->g", predicted, predicted)
        overlap = predicted @ observed[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where((overlap > 0) & (norm > 0), overlap**2 / norm, 0.0)
        loss = (self.penalty - gain).reshape(-1, self.n_extinctions)
        best = np.arange(len(loss)) * self.n_extinctions + np.argmin(loss, axis=1)
        chosen = self._separate(best[np.argsort(loss.min(axis=1))], n_starts)
        theta = self.theta[chosen]
        observed = np.broadcast_to(observed, predicted[chosen].shape)
        amplitude = self.n_label + 1
        theta[:, amplitude] = best_ln_parallax(theta[:, amplitude], predicted[chosen], observed)
        return list(theta)

    def _separate(self, candidates: np.ndarray, n_starts: int) -> list[int]:
        """First candidates, in order, that lie `SEPARATION` apart in standardised labels."""
        k = self.n_label
        labels = self.theta[candidates, :k] / self.scale[:k]
        chosen = [0]
        for i in range(1, len(candidates)):
            if len(chosen) == n_starts:
                break
            if np.min(np.sum((labels[chosen] - labels[i]) ** 2, axis=1)) > SEPARATION**2:
                chosen.append(i)
        return [int(candidates[i]) for i in chosen]


def _draw_types(model: XPModel, n_types: int) -> np.ndarray:
    """Stellar types from the prior, within the trained range, shape (n_types, n_label)."""
    rng = np.random.default_rng(GRID_SEED)
    types = np.empty((0, model.forward.n_label))
    while len(types) < n_types:
        drawn = model.prior.sample(n_types, rng)
        types = np.concatenate([types, drawn[model.in_range(drawn).all(axis=1)]])
    return types[:n_types]
