"""Starting points: where the posterior of each star may have its modes.

Two ways to look for them, in array code. `GridStarts` is the paper's grid of prior stellar types
times extinctions (ZGR23, section 4.2), each cell compared with the data exactly. `ProfileStarts`
compares logarithms of flux, in which the model is linear in extinction and amplitude, so that both
are solved for instead of tried, and four times as many types cost a hundredth of the work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from array_api_compat import array_namespace
from array_api_compat import device as _device

from ..data.spectra import whiten
from ..model import ForwardModel, XPModel

N_TYPES = 512
"""Stellar types drawn from the prior for the grid (ZGR23)."""

EXTINCTIONS = 10.0 ** np.arange(-2.0, 1.001, 0.05)
"""The 61 extinctions (mag) tried with each type (ZGR23)."""

N_PROFILE_TYPES = 2048
"""Stellar types drawn from the prior where extinction is solved for."""

TILE = 8
"""Neighbouring types of which only the best may become a start; a power of two."""

RANK = 8
"""Components that the types' ln flux is compressed to; more find no more modes."""

MIN_EXTINCTION = 0.003
"""Smallest extinction (mag) to start from: closer to zero, the loss no longer depends on ln E."""

TYPE_SPACING = 0.1
"""Fractional error in parallax that a star not being of any of the types makes, about."""

TYPES_SEED = 20230415
"""Seed of the draws, fixed so that a star's start does not depend on its neighbours."""

SEPARATION = 0.7
"""Distance in standardised labels within which two starts count as the same mode.

Of 1,000 real stars without parallax, 12 starts a distance of 0.7 apart missed the best mode of
0.6 %; 1 apart, of 2 %, because modes of cool giants are narrow; 0.35 apart, of 0.9 %.
"""

GAP = 150.0
"""Candidates whose approximate loss is further than this above a star's lowest are not tried."""

GRID_BYTES = 2**28
"""Memory for whitened cells of the grid; more stars are done in turns."""


class Starts(ABC):
    """A way to find starts. All arrays are of one namespace (see `xpfit.arrays`).

    Attributes
    ----------
    forward : ForwardModel
    types : ndarray, shape (n_type, n_label)
        Candidates, drawn from the prior within the trained range. Tiles of `tile` of them in a row
        are neighbours.
    penalty : ndarray, shape (n_type,)
        -2 ln p_gmm of each.
    """

    forward: ForwardModel
    types: np.ndarray
    penalty: np.ndarray
    tile: int

    def _draw(self, model: XPModel, n_types: int) -> None:
        """Draw the types."""
        self.forward = model.forward
        self.absolute = model.absolute
        types = _draw_types(model, n_types)
        self.types = types[_tiled(types / model.forward.label_scale, self.tile)]
        self.penalty = -2.0 * model.prior.ln_p(self.types)
        labels = self.types / model.forward.label_scale
        distance = np.sum((labels[:, None] - labels) ** 2, axis=2)
        self.near = (distance <= SEPARATION**2).ravel()

    @abstractmethod
    def candidates(self, flux, whitener, parallax, parallax_err) -> tuple[np.ndarray, ...]:
        """The best type of every tile, at its best extinction and amplitude.

        Parameters
        ----------
        flux : ndarray, shape (n_star, n_obs)
        whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
        parallax, parallax_err : ndarray, shape (n_star,)

        Returns
        -------
        loss : ndarray, shape (n_star, n_tile)
            Approximate; infinite where there are no data.
        which : ndarray of int, shape (n_star, n_tile)
            Row of the type in `types`.
        own : ndarray, shape (n_star, n_tile, 2)
            ln E and ln varpi.
        """

    def find(
        self, flux, whitener, parallax, parallax_err, n_starts: int, gap: float = GAP
    ) -> np.ndarray:
        """Best candidates that lie apart from each other, best first.

        Parameters
        ----------
        flux, whitener, parallax, parallax_err
            As for `candidates`.
        n_starts : int
            At most this many for each star.
        gap : float
            How far a candidate's loss may be above the star's lowest; more if that is above 1 per
            value, in proportion.

        Returns
        -------
        ndarray, shape (n_star, n_starts, n_parameter)
            Labels are NaN where a star has fewer. Every star has a first one, even one whose
            numbers overflow: a descent from there ends at once, and the star is reported.
        """
        loss, which, own = self.candidates(flux, whitener, parallax, parallax_err)
        xp = array_namespace(loss)
        lowest = xp.min(loss, axis=1)[:, None]
        limit = lowest + gap * xp.clip(lowest / flux.shape[1], 1.0, None)
        loss = xp.where(loss <= limit, loss, xp.full_like(loss, xp.inf))
        best, exists = self._separate(loss, which, n_starts)
        own = xp.reshape(own, (-1, 2))
        parts = [_take(self.types, _pick(which, best)), _take(own, _flat(which, best))]
        if self.forward.curve_varies:
            parts.append(xp.zeros_like(parts[1][:, :, :1]))
        theta = xp.concat(parts, axis=2)
        return xp.where(exists[:, :, None], theta, xp.full_like(theta, xp.nan))

    def _separate(self, loss, which, n_starts: int) -> tuple[np.ndarray, np.ndarray]:
        """Tiles of lowest loss whose types lie apart, and whether there are so many of them."""
        xp = array_namespace(loss)
        chosen, exists = [], []
        for _ in range(n_starts):
            lowest = xp.argmin(loss, axis=1)[:, None]
            exists.append(xp.isfinite(_pick(loss, lowest)) | (len(chosen) == 0))
            chosen.append(lowest)
            if not xp.any(exists[-1]):
                break
            row = _pick(which, lowest) * self.types.shape[0]
            loss = xp.where(_take(self.near, row + which), xp.full_like(loss, xp.inf), loss)
        missing = n_starts - len(chosen)
        chosen += [chosen[-1]] * missing
        exists += [exists[-1]] * missing
        return xp.concat(chosen, axis=1), xp.concat(exists, axis=1)


class GridStarts(Starts):
    """The paper's grid: prior types times extinctions, compared with the data exactly.

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior; draws outside the trained range are drawn again.
    extinctions : ndarray, shape (n_extinction,)
        mag.

    Notes
    -----
    ZGR23, section 4.2. They guess the parallax from the ratio of observed to model flux at
    592-782 nm; the best amplitude over all values is as cheap and closer.
    """

    def __init__(
        self, model: XPModel, n_types: int = N_TYPES, extinctions: np.ndarray = EXTINCTIONS
    ):
        self.tile = 1
        self._draw(model, n_types)
        self.ln_extinction = np.log(extinctions)
        theta = np.zeros((n_types, len(extinctions), model.forward.n_stellar))
        n_label = self.types.shape[1]
        theta[:, :, :n_label] = self.types[:, None]
        theta[:, :, n_label] = self.ln_extinction
        self.flux = model.forward.flux(theta.reshape(-1, theta.shape[2]))

    def candidates(self, flux, whitener, parallax, parallax_err):
        """See `Starts.candidates`."""
        xp = array_namespace(flux)
        n_together = max(1, GRID_BYTES // (8 * self.flux.shape[0] * self.flux.shape[1]))
        parts = [
            self._compare(flux[i:j, :], whitener[i:j, ...])
            for i, j in turns(flux.shape[0], n_together)
        ]
        return tuple(xp.concat(part, axis=0) for part in zip(*parts, strict=True))

    def _compare(self, flux, whitener):
        """Every cell with some stars, in matrix products."""
        xp = array_namespace(flux)
        cells = xp.broadcast_to(self.flux[None, :, :], (flux.shape[0], *self.flux.shape))
        predicted, observed = whiten(whitener, cells), whiten(whitener, flux)
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
        cell = xp.arange(self.types.shape[0], device=_device(flux)) * n_extinction + best
        amplitude = 0.5 * xp.log(_pick(xp.reshape(ratio, (shape[0], -1)), cell))
        own = xp.stack([_take(self.ln_extinction, best), amplitude], axis=2)
        which = xp.arange(self.types.shape[0], device=_device(flux))
        return self.penalty - xp.max(gain, axis=2), xp.broadcast_to(which, best.shape), own


class ProfileStarts(Starts):
    """Prior types, each at the extinction and amplitude that fit the logarithm of the flux best.

    Parameters
    ----------
    model : XPModel
    n_types : int
        Stellar types drawn from the prior; a power of two.

    Notes
    -----
    With f the flux of a nearby model, f_pred - f_obs is to first order f (ln f_pred - ln f) +
    f - f_obs, and ln f_pred = g(Theta) + 2 ln varpi - E R is linear in 2 ln varpi and E. So
    chi2 is a quadratic form in them, which is minimised exactly (E under its prior), and, at that
    minimum, one in the components that the types' g are compressed to. For all types together this
    is a product of matrices. The nearby model is found in a first pass with few types, in which
    the observed flux itself, where positive, takes its place.
    """

    def __init__(self, model: XPModel, n_types: int = N_PROFILE_TYPES):
        self.tile = TILE
        self._draw(model, n_types)
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

    def candidates(self, flux, whitener, parallax, parallax_err):
        """See `Starts.candidates`."""
        xp, space = array_namespace(flux), self.forward.space
        seen = space.spectrum(flux)
        positive = seen > 0
        reference = xp.where(positive, seen, xp.zeros_like(seen))
        ln_reference = xp.log(xp.where(positive, seen, xp.ones_like(seen)))
        parallaxes = (parallax, parallax_err)
        first = self._profile(flux, whitener, parallaxes, reference, ln_reference, self.tile, 1)
        ln_reference = self._ln_flux(*first)
        reference = xp.exp(ln_reference)
        return self._profile(flux, whitener, parallaxes, reference, ln_reference, 1, self.tile)

    def _ln_flux(self, loss, which, own):
        """ln flux, on the grid, of the best candidate of each star."""
        xp, rank = array_namespace(loss), self.components.shape[1]
        best = xp.argmin(loss, axis=1)[:, None]
        own = _take(xp.reshape(own, (-1, 2)), _flat(loss, best))[:, 0, :]
        components = _take(self.components, _pick(which, best)[:, 0])
        ln_flux = components @ self.rows[:rank, :] + self.rows[rank, :]
        return ln_flux + own[:, 1:] * self.rows[rank + 1, :] + xp.exp(own[:, :1]) * self.rows[-1, :]

    def _profile(self, flux, whitener, parallaxes, reference, ln_reference, step, tile):
        """Candidates: of every `step`-th type, the best in each tile of `tile` that are left."""
        xp, space = array_namespace(flux), self.forward.space
        rank = self.components.shape[1]
        white = whiten(whitener, space.observe(reference[:, None, :] * self.rows))
        target = space.observe(reference * ln_reference) + flux - space.observe(reference)
        target = whiten(whitener, target) - white[:, rank, :]
        shapes, amplitude, dust = white[:, :rank, :], white[:, rank + 1, :], white[:, rank + 2, :]
        # Take out of everything what a change of the amplitude can do.
        norm = xp.sum(amplitude**2, axis=1)
        direction = amplitude / xp.where(norm > 0, norm, xp.ones_like(norm))[:, None]
        by_amplitude = [_dot(x, direction) for x in (shapes, target, dust)]
        shapes = shapes - by_amplitude[0][:, :, None] * amplitude[:, None, :]
        target = target - by_amplitude[1][:, None] * amplitude
        dust = dust - by_amplitude[2][:, None] * amplitude
        # The best extinction is linear in the components, chi2 there quadratic.
        stiffness = xp.sum(dust**2, axis=1)
        stiffness = xp.where(stiffness > 0, stiffness, xp.ones_like(stiffness))
        along, along_target = _dot(shapes, dust), _dot(target, dust)
        quadratic = shapes @ xp.matrix_transpose(shapes)
        quadratic = quadratic - (along / stiffness[:, None])[:, :, None] * along[:, None, :]
        linear = _dot(shapes, target) - along * (along_target / stiffness)[:, None]
        quadratic = xp.take(xp.reshape(quadratic, (-1, rank * rank)), self.pairs, axis=1)
        constant = xp.sum(target**2, axis=1) - along_target**2 / stiffness
        ones = xp.ones_like(constant)
        form = xp.concat([quadratic, -2.0 * linear, constant[:, None], ones[:, None]], axis=1)
        lines = self.lines[:, ::step]
        loss = form @ self.features[:, ::step]
        # Extinction below zero costs; in units of its error.
        root = xp.sqrt(stiffness)[:, None]
        free = xp.concat([-along, along_target[:, None]], axis=1) / root @ lines
        short = xp.clip(free, None, 0.0)
        loss = loss + short**2
        # From here on only the best type of each tile.
        n_tile = loss.shape[1] // tile
        in_tile = xp.argmin(xp.reshape(loss, (-1, n_tile, tile)), axis=2)
        which = xp.arange(n_tile, device=_device(loss)) * tile + in_tile
        loss, free, short = (_pick(x, which) for x in (loss, free, short))
        # The extinction that minimises stiffness (E - free)^2 - 2 ln E is positive.
        free = free / root
        extinction = 0.5 * (free + xp.sqrt(free**2 + 4.0 / root**2))
        extinction = xp.clip(extinction, MIN_EXTINCTION, None)
        ln_extinction = xp.log(extinction)
        loss = loss + (root * (extinction - free)) ** 2 - short**2 - 2.0 * ln_extinction
        without_dust = xp.concat([-by_amplitude[0], by_amplitude[1][:, None]], axis=1) @ lines
        ln_parallax = _pick(without_dust, which) - extinction * by_amplitude[2][:, None]
        if self.absolute:
            parallax, error = (x[:, None] for x in parallaxes)
            predicted = xp.exp(ln_parallax)
            offset = xp.where(xp.isfinite(error), predicted - parallax, xp.zeros_like(predicted))
            variance = error**2 + (TYPE_SPACING * predicted) ** 2
            loss = loss + offset**2 / variance - 2.0 * ln_parallax
        loss = xp.where(xp.isnan(loss), xp.full_like(loss, xp.inf), loss)
        return loss, which * step, xp.stack([ln_extinction, ln_parallax], axis=2)


def complete(
    forward: ForwardModel, labels: np.ndarray, flux: np.ndarray, whitener: np.ndarray
) -> np.ndarray:
    """Starts from guessed labels, at the extinction and amplitude that fit ln flux best.

    Parameters
    ----------
    forward : ForwardModel
    labels : ndarray, shape (n_star, n_label)
    flux : ndarray, shape (n_star, n_obs)
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)

    Returns
    -------
    ndarray, shape (n_star, n_parameter)

    Notes
    -----
    As in `ProfileStarts`: linear least squares in 2 ln varpi and E about a nearby model, which is
    the observed flux, where positive, and then the outcome.
    """
    xp, space = array_namespace(flux), forward.space
    ln_absolute = forward.ln_absolute_flux(labels)
    curve = forward.extinction_curve
    rows = xp.stack([2.0 * xp.ones_like(curve), -curve])
    seen = space.spectrum(flux)
    reference = xp.where(seen > 0, seen, xp.zeros_like(seen))
    ln_reference = xp.log(xp.where(seen > 0, seen, xp.ones_like(seen)))
    for _ in range(2):
        target = space.observe(reference * (ln_reference - ln_absolute))
        target = whiten(whitener, target + flux - space.observe(reference))
        white = whiten(whitener, space.observe(reference[:, None, :] * rows))
        norm, cross, stiffness = (
            xp.sum(white[:, i, :] * white[:, j, :], axis=1) for i, j in ((0, 0), (0, 1), (1, 1))
        )
        norm = xp.where(norm > 0, norm, xp.ones_like(norm))
        along, dust = (xp.sum(white[:, i, :] * target, axis=1) for i in (0, 1))
        own = stiffness - cross**2 / norm
        own = xp.where(own > 0, own, xp.ones_like(own))
        extinction = xp.clip((dust - cross * along / norm) / own, MIN_EXTINCTION, None)
        ln_parallax = (along - cross * extinction) / norm
        ln_reference = ln_absolute + 2.0 * ln_parallax[:, None] - extinction[:, None] * curve
        reference = xp.exp(ln_reference)
    parts = [labels, xp.log(extinction)[:, None], ln_parallax[:, None]]
    if forward.curve_varies:
        parts.append(xp.zeros_like(parts[1]))
    return xp.concat(parts, axis=1)


def turns(n: int, most: int) -> list[tuple[int, int]]:
    """Starts and ends of turns of at most so many."""
    return [(i, min(i + most, n)) for i in range(0, max(n, 1), most)]


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scalar products over the data vector; x (n_star, [n_row,] n_obs), y (n_star, n_obs)."""
    if x.ndim == 3:
        return (x @ y[:, :, None])[:, :, 0]
    return array_namespace(x).sum(x * y, axis=1)


def _take(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`values[indices]` for an array of indices of any shape."""
    xp = array_namespace(values)
    taken = xp.take(values, xp.reshape(indices, (-1,)), axis=0)
    return xp.reshape(taken, (*indices.shape, *values.shape[1:]))


def _pick(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """`values[i, columns[i, j]]` for all i and j."""
    flat = array_namespace(values).reshape(values, (-1,))
    return _take(flat, _flat(values, columns))


def _flat(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Indices, in a flattened array of the first two axes of `values`, of columns in every row."""
    rows = array_namespace(columns).arange(values.shape[0], device=_device(columns))
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
    """Order in which points that lie in the same leaf of a balanced k-d tree follow each other.

    Parameters
    ----------
    points : ndarray, shape (n, n_dimension)
    tile : int
        Size of the leaves; `n` is a power of two times this.
    """

    def split(rows):
        if len(rows) <= tile:
            return [rows]
        widest = np.argmax(np.ptp(points[rows], axis=0))
        ordered = rows[np.argsort(points[rows, widest], kind="stable")]
        half = len(rows) // 2
        return split(ordered[:half]) + split(ordered[half:])

    if tile == 1:
        return np.arange(len(points))
    return np.concatenate(split(np.arange(len(points))))
