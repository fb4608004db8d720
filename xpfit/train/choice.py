"""Which stars the epochs of a phase use, and what is known of those without an estimate of E."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..data import Spectra
from ..dust import star_positions, typical_extinction
from ..model.prior import N_COMPONENTS
from ..nn import minibatches
from .recipe import Phase, Recipe
from .stars import StarConstraints

MIN_TRAINING_STARS = 10 * N_COMPONENTS
"""Fewest stars that a model and its prior can be trained on."""

LOW_DUST = 0.5
"""Typical E of stars of low extinction without an estimate, over the limit on E of others: real
lines of sight differ from typical ones by factors of about two."""

MIN_TYPICAL_ERROR = 0.02
"""mag; smallest error of a typical E, which otherwise is as large as E itself."""

DISTANCE_SNR = 3.0
"""Parallax over its error from which it is used as a distance here."""


def estimated_extinction(
    spectra: Spectra, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates of E to train on: those of the spectra, and typical ones where there is no dust.

    Parameters
    ----------
    spectra : Spectra
    recipe : Recipe

    Returns
    -------
    extinction, extinction_err : ndarray, shape (n_star,)
        NaN and infinity where nothing is known: there E is free.
    low_dust : ndarray of bool, shape (n_star,)
        Stars without an estimate that are where there is little dust, judged by Galactic latitude
        and distance (`xpfit.dust.typical_extinction`): they get the typical E, with an error as
        large as that.
    """
    extinction, error = spectra.extinction.copy(), spectra.extinction_err.copy()
    known = np.isfinite(extinction) & np.isfinite(error)
    ra, dec = star_positions(spectra)
    placed = np.isfinite(ra) & np.isfinite(dec)
    typical = np.full(len(spectra), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = spectra.parallax > DISTANCE_SNR * spectra.parallax_err
        distance = np.where(measured, 1e3 / spectra.parallax, np.nan)
    latitude = SkyCoord(ra[placed] * u.deg, dec[placed] * u.deg).galactic.b.deg
    typical[placed] = typical_extinction(latitude, distance[placed])
    low_dust = ~known & (typical < LOW_DUST * recipe.low_extinction)
    extinction[~known], error[~known] = np.nan, np.inf
    extinction[low_dust] = typical[low_dust]
    error[low_dust] = np.maximum(typical[low_dust], MIN_TYPICAL_ERROR)
    return extinction, error, low_dust


def choose_stars(
    phase: Phase,
    clean_flags: np.ndarray,
    constraints: StarConstraints,
    label_names: Sequence[str],
    recipe: Recipe,
) -> np.ndarray:
    """Stars that the epochs of a phase use.

    Parameters
    ----------
    phase : Phase
        With `stars`: ``kept``, ``all``, ``high_quality`` or ``low_extinction``.
    clean_flags : ndarray of int, shape (n_star,)
    constraints : StarConstraints
    label_names : sequence of str
    recipe : Recipe
        With the limits.

    Returns
    -------
    ndarray of int
        Rows. Stars of which nothing is known of E are among those of high quality where the phase
        fits them; where it holds E fixed, there is nothing to hold it at.
    """
    if phase.stars == "all":
        return np.arange(len(clean_flags))
    chosen = clean_flags == 0
    if phase.stars == "kept":
        return np.flatnonzero(chosen)
    with np.errstate(invalid="ignore"):
        for name, limit in recipe.high_quality.items():
            if name in label_names:
                chosen &= constraints.label_err[:, label_names.index(name)] < limit
            elif name == "extinction":
                free = constraints.free_extinction & (phase.star_step != "none")
                chosen &= (constraints.extinction_err < limit) | free
            elif name == "parallax" and constraints.absolute:
                chosen &= constraints.parallax_err < limit * constraints.parallax
        if phase.stars == "low_extinction":
            chosen &= constraints.extinction < recipe.low_extinction
    return np.flatnonzero(chosen)


def too_few(phase: Phase, n_chosen: int, constraints: StarConstraints) -> str:
    """Why a phase has too few stars, and what can be done.

    Parameters
    ----------
    phase : Phase
    n_chosen : int
        Stars that it has.
    constraints : StarConstraints

    Returns
    -------
    str
    """
    text = (
        f"only {n_chosen} stars for training phase {phase.name!r}, at least {MIN_TRAINING_STARS} "
        "are needed; "
    )
    n_free = int(constraints.free_extinction.sum())
    if phase.stars in ("low_extinction", "high_quality") and n_free > 0.5 * len(constraints):
        return text + (
            f"the extinction of {n_free} of {len(constraints)} stars is unknown, and neither "
            "latitude nor distance tells that there is little dust in front of them: attach "
            "estimates with 'xpfit prepare --dust-map' (and --astrometry, for the distances)"
        )
    return text + "give more stars, or a recipe with wider limits"


def epoch_minibatches(
    phase: Phase, n_star: int, batch_size: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Minibatches of an epoch: one pass over its stars, or the passes that the phase needs.

    Parameters
    ----------
    phase : Phase
    n_star, batch_size : int
    rng : numpy.random.Generator

    Yields
    ------
    ndarray of int, shape (<= batch_size,)
    """
    n_passes = max(1, math.ceil(phase.min_batches / math.ceil(n_star / batch_size)))
    for _ in range(n_passes):
        yield from minibatches(n_star, batch_size, rng)
