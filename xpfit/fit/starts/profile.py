"""Starts from many types, each at the extinction and amplitude that fit ln flux best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace, device

from ...arrays import Array
from ...model import XPModel
from ..data import FitData
from .base import Starts, flat_indices, pick, take
from .linear import MIN_EXTINCTION, dot, linearise, observed_reference, positive_or_one, project_out

N_PROFILE_TYPES = 2048
"""Stellar types drawn from the prior."""

TILE = 8
"""Neighbouring types of which only the best may become a start; a power of two."""

RANK = 8
"""Components that the types' ln flux is compressed to; more find no more modes."""

TYPE_SPACING = 0.1
"""Approximate fractional error in parallax because a star is of none of the types exactly."""


class ProfileStarts(Starts):
    """Prior types, each at the extinction and amplitude that fit the logarithm of the flux best.

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior; a power of two.

    Notes
    -----
    In ln flux the model is linear in ln varpi and E (see `xpfit.fit.starts.linear`). So chi2 is a
    quadratic form in them, which is minimised exactly (E under its prior), and, at that minimum,
    one in the components that the types' g are compressed to. For all types together this is a
    product of matrices. The reference model is found in a first pass with few types, in which it
    is the observed flux itself, where positive.
    """

    def __init__(self, model: XPModel, n_types: int = N_PROFILE_TYPES) -> None:
        super().__init__(model, n_types, TILE)
        ln_flux = model.forward.ln_absolute_flux(self.types)
        self.mean = ln_flux.mean(axis=0)
        left, values, right = np.linalg.svd(ln_flux - self.mean, full_matrices=False)
        rank = min(RANK, len(values))
        components = left[:, :rank] * values[:rank]
        amplitude, dust = np.full_like(self.mean, 2.0), -model.forward.extinction_curve
        self.rows = np.stack([*right[:rank], self.mean, amplitude, dust])
        self.components = components
        a, b = np.triu_indices(rank)
        self.pairs = np.ravel_multi_index((a, b), (rank, rank))
        products = components[:, a] * components[:, b] * np.where(a == b, 1.0, 2.0)
        ones, penalty = np.ones((n_types, 1)), self.penalty[:, None]
        self.features = np.concatenate([products, components, ones, penalty], axis=1).T.copy()
        self.lines = np.concatenate([components, ones], axis=1).T.copy()

    def candidates(self, data: FitData) -> tuple[Array, Array, Array]:
        """See `Starts.candidates`."""
        xp, space = array_namespace(data.flux), self.forward.space
        reference, ln_reference = observed_reference(space, data.flux)
        profile = self._profile(*linearise(space, data, reference, ln_reference, self.rows))
        first = self._rate(profile, data, self.tile, 1)
        ln_reference = self._ln_flux(*first)
        reference = xp.exp(ln_reference)
        profile = self._profile(*linearise(space, data, reference, ln_reference, self.rows))
        return self._rate(profile, data, 1, self.tile)

    def _ln_flux(self, loss: Array, which: Array, ln_extinction_parallax: Array) -> Array:
        """ln flux, on the grid, of the best candidate of each star."""
        xp, rank = array_namespace(loss), self.components.shape[1]
        best = xp.argmin(loss, axis=1)[:, None]
        pairs = xp.reshape(ln_extinction_parallax, (-1, 2))
        pairs = take(pairs, flat_indices(loss, best))[:, 0, :]
        components = take(self.components, pick(which, best)[:, 0])
        ln_flux = components @ self.rows[:rank, :] + self.rows[rank, :]
        ln_flux = ln_flux + pairs[:, 1:] * self.rows[rank + 1, :]
        return ln_flux + xp.exp(pairs[:, :1]) * self.rows[-1, :]

    def _profile(self, white: Array, target: Array) -> _Profile:
        """Minimise chi2 over amplitude and extinction, as a function of the components.

        Parameters
        ----------
        white : ndarray, shape (n_star, n_row, n_obs)
            Whitened `rows`.
        target : ndarray, shape (n_star, n_obs)
        """
        xp, rank = array_namespace(white), self.components.shape[1]
        target = target - white[:, rank, :]
        shapes, amplitude, dust = white[:, :rank, :], white[:, rank + 1, :], white[:, rank + 2, :]
        (by_shapes, shapes), (by_target, target), (by_dust, dust) = project_out(
            amplitude, shapes, target, dust
        )
        stiffness = positive_or_one(xp.sum(dust**2, axis=1))
        along, along_target = dot(shapes, dust), dot(target, dust)
        quadratic = shapes @ xp.matrix_transpose(shapes)
        quadratic = quadratic - (along / stiffness[:, None])[:, :, None] * along[:, None, :]
        linear = dot(shapes, target) - along * (along_target / stiffness)[:, None]
        quadratic = xp.take(xp.reshape(quadratic, (-1, rank * rank)), self.pairs, axis=1)
        constant = xp.sum(target**2, axis=1) - along_target**2 / stiffness
        ones = xp.ones_like(constant)
        root = xp.sqrt(stiffness)[:, None]
        return _Profile(
            xp.concat([quadratic, -2.0 * linear, constant[:, None], ones[:, None]], axis=1),
            xp.concat([-along, along_target[:, None]], axis=1) / root,
            root,
            xp.concat([-by_shapes, by_target[:, None]], axis=1),
            by_dust[:, None],
        )

    def _rate(
        self, profile: _Profile, data: FitData, stride: int, tile: int
    ) -> tuple[Array, Array, Array]:
        """Candidates: of every `stride`-th type, the best of each `tile` in a row."""
        xp = array_namespace(data.flux)
        loss = profile.loss @ self.features[:, ::stride]
        lines = self.lines[:, ::stride]
        free = profile.extinction @ lines
        # Negative extinction is penalised.
        negative = xp.clip(free, None, 0.0)
        loss = loss + negative**2
        # From here on only the best type of each tile.
        n_tile = loss.shape[1] // tile
        in_tile = xp.argmin(xp.reshape(loss, (-1, n_tile, tile)), axis=2)
        which = xp.arange(n_tile, device=device(loss)) * tile + in_tile
        loss, free, negative = (pick(x, which) for x in (loss, free, negative))
        # The extinction that minimises ((E - free) / error)^2 - 2 ln E is positive.
        root = profile.inverse_error
        free = free / root
        extinction = 0.5 * (free + xp.sqrt(free**2 + 4.0 / root**2))
        extinction = xp.clip(extinction, MIN_EXTINCTION, None)
        ln_extinction = xp.log(extinction)
        loss = loss + (root * (extinction - free)) ** 2 - negative**2 - 2.0 * ln_extinction
        ln_parallax = pick(profile.ln_parallax @ lines, which) - extinction * profile.per_extinction
        if self.absolute:
            parallax, error = data.parallax[:, None], data.parallax_err[:, None]
            predicted = xp.exp(ln_parallax)
            offset = xp.where(xp.isfinite(error), predicted - parallax, xp.zeros_like(predicted))
            variance = error**2 + (TYPE_SPACING * predicted) ** 2
            loss = loss + offset**2 / variance
            if self.flat_parallax:
                loss = loss - 2.0 * ln_parallax
        loss = xp.where(xp.isnan(loss), xp.full_like(loss, xp.inf), loss)
        return loss, which * stride, xp.stack([ln_extinction, ln_parallax], axis=2)


@dataclass
class _Profile:
    """chi2, minimised over amplitude and extinction, and where its minimum is.

    Attributes
    ----------
    loss : ndarray, shape (n_star, n_feature)
        chi2 - 2 ln p_gmm, as coefficients of `ProfileStarts.features`.
    extinction : ndarray, shape (n_star, n_component + 1)
        E in units of its error, as coefficients of `ProfileStarts.lines`.
    inverse_error : ndarray, shape (n_star, 1)
        1 / error of E.
    ln_parallax : ndarray, shape (n_star, n_component + 1)
        ln varpi without dust, as coefficients of `ProfileStarts.lines`.
    per_extinction : ndarray, shape (n_star, 1)
        What an extinction of 1 mag subtracts from it.
    """

    loss: Array
    extinction: Array
    inverse_error: Array
    ln_parallax: Array
    per_extinction: Array
