"""Distances: what the spectrum and the measured parallax say together.

A fit gives ln varpi with a Gaussian error that contains the measured parallax already. Here the two
are taken apart: the spectrum's part is a Gaussian in ln varpi (an amplitude has an error in
per cent), the parallax's is one in varpi. Their product, times a prior, is the posterior of
distance, however noisy or negative the measured parallax is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, batches
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from .data import attainable_parallax_err
from .result import FitResult

DISTANCE_PRIORS = ("none", "uniform")
"""none: the posterior of the fit as it is; uniform: stars of uniform density in space."""

DISTANCE_LIMITS = (1e-3, 100.0)
"""kpc; beyond them the prior is zero. No star is nearer, and hardly one with an XP spectrum is
further away."""

QUANTILES = (0.16, 0.5, 0.84)

MIN_INFORMATION = 1e-11
"""Of the spectrum, per information of the measured parallax. Less is lost in rounding, and is none.
"""

N_GRID, N_PASSES = 256, 4
"""Points in ln distance, and how often they are placed anew where the posterior is."""

NEGLIGIBLE = 18.0
"""By how much ln posterior is lower, where it is of no importance."""

STARS_PER_CHUNK = 2000


@dataclass(frozen=True)
class SpectrumTerm:
    """Likelihood of the spectrum alone, near the best fit, marginalised over all but ln varpi.

    Its ln is ``slope * (x - x0) - information / 2 * (x - x0)**2``, with x = ln varpi and x0 that of
    the best fit. The prior on stellar type, which moved the best fit, is part of it.

    Attributes
    ----------
    ln_parallax : ndarray, shape (n_star,)
        x0; varpi in mas.
    slope : ndarray, shape (n_star,)
        Not zero where the measured parallax, or its prior, pulled at the fit.
    information : ndarray, shape (n_star,)
        Zero where the spectrum does not constrain the parallax.
    """

    ln_parallax: Array
    slope: Array
    information: Array

    @property
    def estimate(self) -> Array:
        """Ln of the parallax (mas) from the spectrum alone, shape (n_star,); NaN if unknown."""
        information = np.where(self.information > 0, self.information, np.nan)
        estimate: Array = self.ln_parallax + self.slope / information
        return estimate

    @property
    def error(self) -> Array:
        """Standard error of `estimate`, shape (n_star,)."""
        error: Array = np.where(self.information > 0, self.information, np.nan) ** -0.5
        return error


def spectrum_term(
    model: XPModel, result: FitResult, parallax: np.ndarray, parallax_err: np.ndarray
) -> SpectrumTerm:
    """Take the measured parallax out of fits.

    Parameters
    ----------
    model : XPModel
        Absolute.
    result : FitResult
    parallax, parallax_err : ndarray, shape (n_star,)
        As they were fitted, in mas; infinite errors where there was none.

    Returns
    -------
    SpectrumTerm

    Notes
    -----
    The Fisher matrix (ZGR23, eq. 22) without 1 / s^2 of the parallax, marginalised by its Schur
    complement. At the best fit the slopes of all terms add up to zero, which gives that of the
    spectrum from those of the parallax and its prior.
    """
    column = result.parameter_names.index("parallax")
    others = np.delete(np.arange(len(result.parameter_names)), column)
    fisher, measured = result.inverse_covariance, parallax_err**-2.0
    cross = fisher[:, others, column]
    block = fisher[:, others[:, None], others]
    known = np.isfinite(fisher).all(axis=(1, 2))
    block = np.where(known[:, None, None], block, np.eye(len(others)))
    share = np.einsum("si,si->s", cross, np.linalg.solve(block, cross[:, :, None])[:, :, 0])
    own = fisher[:, column, column] - measured
    linear = own - share
    enough = linear > np.maximum(MIN_INFORMATION * measured, 1e-12 * np.abs(own))
    best = result["parallax"]
    pull = np.where(np.isfinite(parallax_err), best * (best - parallax), 0.0) * measured
    slope = np.where(enough, pull - prior_slope(model), 0.0)
    information = np.where(enough, linear * best**2, 0.0)
    unknown = np.where(known & (best > 0), 0.0, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return SpectrumTerm(np.log(best), slope + unknown, information + unknown)


def prior_slope(model: XPModel) -> float:
    """Slope in ln varpi of the model's ln prior: 1 if it is flat in varpi (ZGR23, eq. 19)."""
    return 1.0 if getattr(model, "parallax_prior", "flat") == "flat" else 0.0


def parallax_tension(term: SpectrumTerm, parallax: np.ndarray, parallax_err: np.ndarray) -> Array:
    """How far the parallax from the spectrum alone is above the measured one, in sigma.

    Parameters
    ----------
    term : SpectrumTerm
    parallax, parallax_err : ndarray, shape (n_star,)
        Measured, in mas.

    Returns
    -------
    ndarray, shape (n_star,)
        NaN without a measured parallax, or where the spectrum says nothing of it.

    Notes
    -----
    The residual of the best fit, varpi - varpi_obs, over the square root of its variance, which is
    s^2 - sigma^2: the fit's own error sigma contains the measurement. For linear models that is
    (varpi_spec - varpi_obs) / sqrt(sigma_spec^2 + s^2). ZGR23's eq. 26 takes the same residual over
    s alone: for precise parallaxes the fit follows the measurement, and that is always small.
    """
    measured, best = np.isfinite(parallax_err), np.exp(term.ln_parallax)
    observed, error = (np.where(measured, x, np.nan) for x in (parallax, parallax_err))
    information = np.where(term.information > 0, term.information, np.nan)
    # One step to where spectrum and parallax alone would be, without a prior on the parallax.
    prior = best * (best - observed) / error**2 - term.slope
    best = best * np.exp(-prior / (information + (best / error) ** 2))
    tension: Array = (best - observed) / error * np.sqrt(1.0 + (best / error) ** 2 / information)
    return tension


def tension_of_fits(model: XPModel, spectra: Spectra, result: FitResult) -> Array:
    """`parallax_tension` of fitted stars.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        What was fitted.
    result : FitResult

    Returns
    -------
    ndarray, shape (n_star,)
        NaN without a measured parallax, and throughout for a model without luminosities.
    """
    if not model.absolute:
        return np.full(len(result), np.nan)
    measured = spectra.parallax, attainable_parallax_err(spectra)
    return parallax_tension(spectrum_term(model, result, *measured), *measured)


def distance_quantiles(
    term: SpectrumTerm,
    parallax: np.ndarray,
    parallax_err: np.ndarray,
    *,
    prior: str = "none",
    fit_slope: float = 0.0,
) -> Array:
    """Quantiles of the posterior of distance.

    Parameters
    ----------
    term : SpectrumTerm
    parallax, parallax_err : ndarray, shape (n_star,)
        Measured, in mas; infinite errors where there is none.
    prior : str
        ``"none"`` or ``"uniform"``: density constant in space. Both are zero beyond
        `DISTANCE_LIMITS`.
    fit_slope : float
        Slope of the fit's own prior (`prior_slope`), which ``"none"`` keeps.

    Returns
    -------
    ndarray, shape (3, n_star)
        16, 50 and 84 %, in kpc.

    Raises
    ------
    InputError
        If there is no such prior.

    Notes
    -----
    On a grid of `N_GRID` points in ln distance, which is placed anew `N_PASSES` times where the
    posterior is, so that errors of 0.01 % and of a factor of ten are resolved alike.
    """
    check_prior(prior)
    # Uniform density: r^2 dr = r^3 d ln r.
    slope = fit_slope if prior == "none" else -3.0
    result = np.full((len(QUANTILES), len(parallax)), np.nan)
    known = np.flatnonzero(np.isfinite(term.information) & np.isfinite(term.ln_parallax))
    for rows in batches(len(known), STARS_PER_CHUNK):
        stars = known[rows]
        terms = SpectrumTerm(*(x[stars] for x in vars(term).values()))
        result[:, stars] = _quantiles(terms, parallax[stars], parallax_err[stars], slope)
    return result


def check_prior(prior: str) -> None:
    """Raise an `InputError` unless there is a distance prior of this name."""
    if prior not in DISTANCE_PRIORS:
        raise InputError(f"no distance prior {prior!r}; there are {', '.join(DISTANCE_PRIORS)}")


def _quantiles(
    term: SpectrumTerm, parallax: np.ndarray, parallax_err: np.ndarray, slope: float
) -> Array:
    """Quantiles of distance for some stars, shape (3, n_star)."""
    low, high = (np.full(len(parallax), np.log(limit)) for limit in DISTANCE_LIMITS)
    unit = np.linspace(0.0, 1.0, N_GRID)
    rows = np.arange(len(parallax))
    for _ in range(N_PASSES):
        grid = low[:, None] + (high - low)[:, None] * unit
        ln_p = _ln_posterior(-grid, term, parallax, parallax_err, slope)
        ln_p -= ln_p.max(axis=1, keepdims=True)
        there = ln_p > -NEGLIGIBLE
        first = np.maximum(there.argmax(axis=1) - 1, 0)
        last = np.minimum(N_GRID - there[:, ::-1].argmax(axis=1), N_GRID - 1)
        low, high = grid[rows, first], grid[rows, last]
    density = np.exp(ln_p)
    mass = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
    mass = np.concatenate([np.zeros((len(mass), 1)), mass / mass[:, -1:]], axis=1)
    found = []
    for quantile in QUANTILES:
        upper = np.clip(np.sum(mass < quantile, axis=1), 1, N_GRID - 1)
        below, above = mass[rows, upper - 1], mass[rows, upper]
        weight = (quantile - below) / np.where(above > below, above - below, 1.0)
        found.append(grid[rows, upper - 1] * (1.0 - weight) + grid[rows, upper] * weight)
    return np.exp(np.stack(found))


def _ln_posterior(
    x: np.ndarray, term: SpectrumTerm, parallax: np.ndarray, parallax_err: np.ndarray, slope: float
) -> Array:
    """Ln posterior of ln varpi = x, but for a constant, shape (n_star, n_grid)."""
    offset = x - term.ln_parallax[:, None]
    total: Array = (term.slope[:, None] - 0.5 * term.information[:, None] * offset) * offset
    measured = np.isfinite(parallax_err)
    pull = (np.exp(x) - np.where(measured, parallax, 0.0)[:, None]) / parallax_err[:, None]
    return total - 0.5 * pull**2 + slope * x
