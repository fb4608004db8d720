"""Extinction of stars from a dust map, averaged over what their parallaxes say of the distance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..arrays import batches
from .distances import distance_nodes
from .maps import MIN_ERROR, DustMap, at_distance

CHUNK = 4096
"""Stars whose distances are looked up together."""

MIN_INSIDE = 0.8
"""Probability that a star is where the map is reliable, below which there is no estimate."""


class NoEstimate(IntEnum):
    """Why a star has no estimate of extinction, or that it has one."""

    GIVEN = 0
    NO_POSITION = 1
    NOT_COVERED = 2
    TOO_NEAR = 3
    TOO_FAR = 4
    NO_DISTANCE = 5

    @property
    def text(self) -> str:
        """For people."""
        return {
            self.GIVEN: "estimated",
            self.NO_POSITION: "no position",
            self.NOT_COVERED: "not covered by the map, or not in the table",
            self.TOO_NEAR: "nearer than the map is reliable, or not behind the dust of a 2D map",
            self.TOO_FAR: "further than the map is reliable",
            self.NO_DISTANCE: "no parallax, and not behind all dust if far away",
        }[self]


@dataclass(frozen=True)
class Estimates:
    """Extinction of N stars.

    Attributes
    ----------
    extinction, extinction_err : ndarray, shape (n_star,)
        Our E in mag; NaN where there is no estimate.
    reason : ndarray of int8, shape (n_star,)
        `NoEstimate` values.
    """

    extinction: np.ndarray
    extinction_err: np.ndarray
    reason: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """Number of stars by reason, those that occur."""
        found = {r.text: int(np.sum(self.reason == r)) for r in NoEstimate}
        return {text: n for text, n in found.items() if n}


def estimate_extinction(
    dust_map: DustMap,
    ra: np.ndarray,
    dec: np.ndarray,
    parallax: np.ndarray,
    parallax_err: np.ndarray,
    *,
    far_if_unknown: bool = False,
) -> Estimates:
    """Extinction that a map gives for stars with parallaxes.

    Parameters
    ----------
    dust_map : DustMap
    ra, dec : ndarray, shape (n_star,)
        Degrees (ICRS), NaN where unknown.
    parallax, parallax_err : ndarray, shape (n_star,)
        mas, zero point subtracted; NaN or an infinite error where unknown.
    far_if_unknown : bool
        Take stars without a parallax to be behind all dust. Else they are anywhere on the line of
        sight: the total E is an upper limit, and the estimate half of it, with its twelfth
        root as error (mean and standard deviation of a uniform distribution).

    Returns
    -------
    Estimates

    Notes
    -----
    Mean and variance of E over the posterior of the distance (`distance_nodes`), where the map is
    reliable: the variance is the mean of the map's own plus the variance of its means. To it the
    map's systematic error and `MIN_ERROR` are added. No estimate is made where less than
    `MIN_INSIDE` of the probability is where the map is reliable.
    """
    n = len(ra)
    known = np.isfinite(ra) & np.isfinite(dec)
    value, variance = np.full(n, np.nan), np.full(n, np.nan)
    reason = np.where(known, NoEstimate.GIVEN, NoEstimate.NO_POSITION).astype(np.int8)
    stars = np.flatnonzero(known)
    for rows in batches(len(stars), CHUNK):
        part = stars[rows]
        measured = (parallax[part], parallax_err[part])
        position = SkyCoord(ra[part] * u.deg, dec[part] * u.deg)
        value[part], variance[part], reason[part] = _chunk(
            dust_map, position, *measured, far_if_unknown
        )
    given = reason == NoEstimate.GIVEN
    with np.errstate(invalid="ignore"):
        error = np.sqrt(variance + (dust_map.relative_err * value) ** 2 + MIN_ERROR**2)
    return Estimates(np.where(given, value, np.nan), np.where(given, error, np.nan), reason)


def _chunk(dust_map, position, parallax, parallax_err, far_if_unknown):
    """Mean, variance and `NoEstimate` of stars with positions."""
    n = len(position)
    nearest, furthest = dust_map.reliable(position)
    covered = ~np.isnan(nearest) & ~np.isnan(furthest)
    measured = np.isfinite(parallax) & np.isfinite(parallax_err) & (parallax_err > 0)
    value, variance, reason = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=np.int8)
    reason[~covered] = NoEstimate.NOT_COVERED
    rows = np.flatnonzero(covered & measured)
    if len(rows):
        value[rows], variance[rows], reason[rows] = _averaged(
            dust_map, position[rows], nearest[rows], furthest[rows],
            distance_nodes(parallax[rows], parallax_err[rows]),
        )  # fmt: skip
    rows = np.flatnonzero(covered & ~measured)
    if len(rows):
        unreachable = ~np.isfinite(nearest[rows])
        reason[rows] = np.where(unreachable, NoEstimate.NO_DISTANCE, NoEstimate.GIVEN)
        value[rows], error = dust_map.column(position[rows])
        variance[rows] = error**2
        if not far_if_unknown:
            value[rows] *= 0.5
            variance[rows] = 0.25 * variance[rows] + value[rows] ** 2 / 3.0
    reason[(reason == NoEstimate.GIVEN) & ~np.isfinite(value + variance)] = NoEstimate.NOT_COVERED
    return value, variance, reason


def _averaged(dust_map, position, nearest, furthest, distance):
    """Mean and variance over the distances of each star that are in the map's range."""
    near, far = distance < nearest[:, None], distance > furthest[:, None]
    inside = ~near & ~far
    star, node = np.nonzero(inside)
    mean, variance = np.zeros(distance.shape), np.zeros(distance.shape)
    found, error = dust_map.at(at_distance(position[star], distance[star, node]))
    mean[star, node], variance[star, node] = found, error**2
    n = np.maximum(inside.sum(axis=1), 1)
    value = mean.sum(axis=1) / n
    spread = np.where(inside, mean - value[:, None], 0.0)
    total = (variance.sum(axis=1) + np.sum(spread**2, axis=1)) / n
    outside = np.where(near.sum(axis=1) > far.sum(axis=1), NoEstimate.TOO_NEAR, NoEstimate.TOO_FAR)
    reason = np.where(inside.mean(axis=1) >= MIN_INSIDE, NoEstimate.GIVEN, outside)
    return value, total, reason
