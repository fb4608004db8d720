"""A smooth factor by which the flux of another release differs, learned from stars in common.

ln f_new = ln f_old + r(wavelength). The factor and the parameters of all stars are found together,
by Gauss and Newton's method, from the flux of the new release and from what is known of the stars
otherwise; each star's parameters are eliminated from the normal equations (their Schur complement),
so that the error of the factor contains what their errors leave open.

What stars can imitate, a grey factor (their amplitude), one like extinction or like a change of
Teff, is determined only through what is known of them otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, StarRows, batches
from ..data import Whitener
from ..model import ForwardModel
from ..model.covariance import ModelCovariance
from .linear import flux_and_jacobian
from .smooth import N_INTERVALS, SIZE, best_smooth, spline_basis

CHUNK = 250
"""Stars whose equations are set up together, which bounds memory."""

OUTLIER_DOF = 5.0
"""Degrees of freedom of the t distributions by which outliers have less weight."""

ROUNDS = 2
"""The emulator's error, relative to the predicted flux, is known after the first."""

MAX_STEPS = 12
TOLERANCE = 0.05
"""Change of the factor, in units of its error, at which the iteration ends."""

TINY = 1e-12
"""Added to the diagonals of the stars' normal matrices, in units of their largest element."""

LARGEST_STEP = 0.5
"""Of the parameters of a star, in units of their spread; of E in mag; of ln parallax."""


@dataclass
class KnownParameters(StarRows):
    """What is known of stars besides the flux that is fitted.

    Parameters
    ----------
    values : ndarray, shape (n_star, n_parameter)
        Labels, E, parallax[, xi], in kK, dex, mag, mas; anything finite where unknown.
    information : ndarray, shape (n_star, n_parameter, n_parameter)
        Inverse covariances of their errors, zero where unknown.
    """

    values: np.ndarray
    information: np.ndarray


@dataclass
class StarFlux(StarRows):
    """Flux of N stars, with the information beside it.

    Parameters
    ----------
    flux : ndarray, shape (n_star, n_obs)
    whitener : Whitener
    known : KnownParameters
    """

    flux: np.ndarray
    whitener: Whitener
    known: KnownParameters


@dataclass(frozen=True)
class Recalibration:
    """A smooth factor of the flux.

    Attributes
    ----------
    ln_factor : ndarray, shape (n_grid,)
        r; zero where the flux has not changed.
    root : ndarray, shape (n_grid, n_coefficient)
        Its product with its transpose is the covariance of `ln_factor`.
    weight : ndarray, shape (n_star,)
        How much each star counts: near one, but for outliers.
    n_intervals : int
        Between knots of the spline.
    scatter : float
        Variance of the stars' contributions in units of that from their errors, at least one; the
        covariance has been multiplied by it.
    """

    ln_factor: np.ndarray
    root: np.ndarray
    weight: np.ndarray
    n_intervals: int
    scatter: float

    @property
    def error(self) -> Array:
        """Standard error of `ln_factor`, (n_grid,)."""
        return np.sqrt(np.sum(self.root**2, axis=1))


def recalibrate(
    forward: ForwardModel,
    stars: StarFlux,
    channels: np.ndarray,
    covariance: ModelCovariance | None = None,
) -> Recalibration:
    """Find the factor.

    Parameters
    ----------
    forward : ForwardModel
        In sampled space.
    stars : StarFlux
        With the errors of the measurements.
    channels : ndarray of bool, shape (n_grid,)
        Where the flux may have changed; elsewhere, as in photometric bands, the factor is one.
    covariance : ModelCovariance, optional
        Of the emulator's own error.

    Returns
    -------
    Recalibration

    Notes
    -----
    The emulator's error is taken relative to the predicted flux, not the observed one as in fits:
    the latter contains the error, whose square then does not vanish in the mean over the stars.
    """
    at = np.flatnonzero(channels)
    wavelength = forward.space.wavelength[at]
    ln_factor, values = np.zeros(len(channels)), _start(forward, stars)
    for _ in range(ROUNDS):
        inflated = _inflated(forward, stars, values, ln_factor, covariance)
        for _ in range(MAX_STEPS):
            weight = _weights(forward, inflated, values, ln_factor)
            equations = _equations(forward, inflated, (values, ln_factor), at, weight)
            scatter = equations.scatter(spline_basis(wavelength, N_INTERVALS[-1]))
            normal = equations.normal / scatter
            gradient = equations.gradient / scatter + normal @ ln_factor[at]
            smooth = best_smooth(wavelength, normal, gradient)
            change = smooth.value - ln_factor[at]
            ln_factor[at] = smooth.value
            values = _moved(forward, values, equations.steps - equations.responses @ change)
            if np.max(np.abs(change) / np.linalg.norm(smooth.root, axis=1)) < TOLERANCE:
                break
    root = np.zeros((len(channels), smooth.root.shape[1]))
    root[at] = smooth.root
    return Recalibration(ln_factor, root, weight, smooth.n_intervals, scatter)


def recalibrated(forward: ForwardModel, ln_factor: np.ndarray) -> ForwardModel:
    """A model whose flux is multiplied by exp(ln_factor).

    Parameters
    ----------
    forward : ForwardModel
    ln_factor : ndarray, shape (n_grid,)

    Returns
    -------
    ForwardModel
        Exactly that in sampled space: the network's output is ln flux, whose biases are shifted.
    """
    new = replace(forward, parameters=forward.parameters.copy())
    _, bias = new.output_layer.split(new.weights[new.network.slices[-1]])
    bias += ln_factor
    return new


def _start(forward: ForwardModel, stars: StarFlux) -> Array:
    """What is known, with the best amplitude for it."""
    values, column = stars.known.values.copy(), forward.layout.parallax
    values[:, column] = 1.0
    for rows in batches(len(stars), CHUNK):
        part = stars[rows]
        predicted = part.whitener(flux_and_jacobian(forward, values[rows])[0])
        observed = part.whitener(part.flux)
        overlap, norm = np.sum(predicted * observed, axis=1), np.sum(predicted**2, axis=1)
        values[rows, column] = np.sqrt(np.maximum(overlap, 1e-6 * norm) / norm)
    return values


def _inflated(
    forward: ForwardModel,
    stars: StarFlux,
    values: np.ndarray,
    ln_factor: np.ndarray,
    covariance: ModelCovariance | None,
) -> StarFlux:
    """Stars with the emulator's error added to those of the measurements."""
    if covariance is None:
        return stars
    root = covariance.root()
    parts = []
    for rows in batches(len(stars), CHUNK):
        predicted = flux_and_jacobian(forward, values[rows])[0] * np.exp(ln_factor)
        parts.append(stars.whitener[rows].inflate(predicted, root))
    return replace(stars, whitener=Whitener.concatenate(parts))


def _moved(forward: ForwardModel, values: np.ndarray, steps: np.ndarray) -> Array:
    """Parameters after steps, which are made shorter where they are large."""
    column = forward.layout.parallax
    scale = forward.scale.copy()
    steps = steps.copy()
    steps[:, column] /= values[:, column]
    size = np.max(np.abs(steps) / (LARGEST_STEP * scale), axis=1)
    steps = np.nan_to_num(steps) / np.maximum(np.nan_to_num(size), 1.0)[:, None]
    moved = values + steps
    moved[:, column] = values[:, column] * np.exp(steps[:, column])
    return moved


def _weights(
    forward: ForwardModel, stars: StarFlux, values: np.ndarray, ln_factor: np.ndarray
) -> Array:
    """Weights of stars: of t distributions of their misfits to the flux and to what is known."""
    chi2, dof = np.empty((2, len(stars))), np.empty((2, len(stars)))
    for rows in batches(len(stars), CHUNK):
        part = stars[rows]
        predicted = flux_and_jacobian(forward, values[rows])[0] * np.exp(ln_factor)
        chi2[0, rows] = np.sum(part.whitener(part.flux - predicted) ** 2, axis=1)
        dof[0, rows] = np.sum(part.whitener.has_weight, axis=1)
        off = part.known.values - values[rows]
        chi2[1, rows] = np.einsum("si,sij,sj->s", off, part.known.information, off)
        dof[1, rows] = np.sum(np.diagonal(part.known.information, axis1=1, axis2=2) > 0, axis=1)
    typical = np.median(chi2 / np.maximum(dof, 1.0), axis=1, keepdims=True)
    relative = np.nan_to_num(chi2 / np.maximum(typical, 1.0), nan=np.inf)
    weights = np.minimum(1.0, (OUTLIER_DOF + dof) / (OUTLIER_DOF + relative))
    return np.prod(weights, axis=0)


@dataclass
class _Equations:
    """Normal equations of the factor, and what a change of it does to the stars' parameters.

    Attributes
    ----------
    normal : ndarray, shape (n_channel, n_channel)
    gradient : ndarray, shape (n_channel,)
        The factor changes by the solution v of ``normal v = gradient``.
    spread : ndarray, shape (n_channel, n_channel)
        Sum of the outer products of the stars' parts of the gradient, about their mean.
    steps : ndarray, shape (n_star, n_parameter)
    responses : ndarray, shape (n_star, n_parameter, n_channel)
        The parameters change by ``steps - responses @ v``.
    """

    normal: np.ndarray
    gradient: np.ndarray
    spread: np.ndarray
    steps: np.ndarray
    responses: np.ndarray

    def scatter(self, basis: np.ndarray) -> float:
        """`spread` in units of `normal`, on average over a basis; at least one."""
        normal, spread = (basis.T @ m @ basis for m in (self.normal, self.spread))
        inverse = np.linalg.inv(normal + np.eye(basis.shape[1]) / SIZE**2)
        return max(1.0, float(np.sum(inverse * spread) / np.sum(inverse * normal)))


def _equations(
    forward: ForwardModel,
    stars: StarFlux,
    point: tuple[np.ndarray, np.ndarray],
    at: np.ndarray,
    weight: np.ndarray,
) -> _Equations:
    """Normal equations at a point, the stars' parameters and the factor, in channels `at`."""
    values, ln_factor = point
    n, diagonal = len(at), np.arange(values.shape[1])
    normal, spread, gradient = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    steps, responses = np.empty_like(values), np.empty((*values.shape, n))
    for rows in batches(len(stars), CHUNK):
        part, w = stars[rows], weight[rows]
        flux, jacobian = flux_and_jacobian(forward, values[rows])
        flux, jacobian = flux * np.exp(ln_factor), jacobian * np.exp(ln_factor)
        residual = part.whitener(part.flux - flux)
        white = part.whitener(jacobian)
        by_factor = _columns(part.whitener, flux, at)
        known = part.known
        matrix = white @ np.swapaxes(white, 1, 2) + known.information
        # What nothing constrains must not stop all other stars.
        matrix[:, diagonal, diagonal] += TINY * np.max(matrix, axis=(1, 2))[:, None]
        off = known.information @ (known.values - values[rows])[:, :, None]
        right = white @ residual[:, :, None] + off
        mixed = white @ by_factor
        lower = np.linalg.cholesky(matrix)
        half, half_mixed = np.linalg.solve(lower, right), np.linalg.solve(lower, mixed)
        upper = np.swapaxes(lower, 1, 2)
        steps[rows] = np.linalg.solve(upper, half)[:, :, 0]
        responses[rows] = np.linalg.solve(upper, half_mixed)
        each = np.einsum("sic,si->sc", by_factor, residual)
        each -= np.einsum("spc,sp->sc", half_mixed, half[:, :, 0])
        normal += _gram(by_factor, w) - _gram(half_mixed, w)
        gradient += w @ each
        spread += (w[:, None] * each).T @ (w[:, None] * each)
    spread -= np.outer(gradient, gradient) / len(stars)
    return _Equations(normal, gradient, spread, steps, responses)


def _columns(whitener: Whitener, flux: np.ndarray, at: np.ndarray) -> Array:
    """L diag(flux), in columns `at`: whitened derivatives by the factor, (n_star, n_obs, n)."""
    unit = np.zeros((len(flux), len(at), flux.shape[1]))
    unit[:, np.arange(len(at)), at] = flux[:, at]
    return np.swapaxes(whitener(unit), 1, 2)


def _gram(matrix: np.ndarray, weight: np.ndarray) -> Array:
    """Weighted sum of M^T M over the stars."""
    flat = (np.sqrt(weight)[:, None, None] * matrix).reshape(-1, matrix.shape[2])
    return flat.T @ flat
