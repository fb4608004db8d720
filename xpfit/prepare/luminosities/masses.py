"""Masses of stars of given Teff, log g and [M/H], from one set of isochrones.

Luminosities follow from them as ln L = ln M + 4 ln Teff - ln g: of all that isochrones tell, the
mass depends on the labels most smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ...constants import SOLAR_LOGG, SOLAR_TEFF
from ...read.isochrones import Isochrones

AGES = (0.3, 13.8)
"""Ages (Gyr) of stars, all equally likely."""

IMF_SLOPE = -2.35
"""d ln N / d ln M of the initial mass function (Salpeter 1955)."""

PHASES = {"MIST": (0, 2, 3, 4, 5), "PARSEC": (1, 2, 3, 4, 5, 6, 7, 8)}
"""Phases from the main sequence to the asymptotic giant branch, by the name of the grid; of other
grids all points count. Numbers between these are interpolated between two phases: no stars."""

LN_TEFF_WIDTH, LOGG_WIDTH = 0.012, 0.1
"""Standard deviations of the smoothing: 60 K at 5000 K, and 0.1 dex."""

LN_TEFF_STEP, LOGG_STEP = LN_TEFF_WIDTH / 3.0, LOGG_WIDTH / 3.0
"""Cells of the table."""

LN_TEFF_RANGE, LOGG_RANGE = (np.log(2.5), np.log(25.0)), (-1.0, 6.0)
"""Range of the table, Teff in kK."""

TRUNCATE = 7.0
"""The smoothing ends at this many standard deviations."""

MAX_DISTANCE = 3.0
"""Standard deviations of the smoothing from the nearest isochrone beyond which no mass is given."""

NO_ISOCHRONES = 1e3
"""Distance where there are none at an [M/H]."""

MH_MARGIN = 0.5
"""How far beyond a grid's last [M/H] (dex) its last isochrones are used."""


@dataclass(frozen=True)
class MassTable:
    """Masses of stars on a regular grid of [M/H], ln Teff and log g.

    Attributes
    ----------
    name : str
        Of the isochrones.
    mh : ndarray, shape (n_mh,)
    ln_mass, variance : ndarray, shape (n_mh, n_teff, n_logg)
        Mean and variance of ln mass (solar masses) in each cell; NaN where there are no isochrones.
    distance : ndarray, shape (n_mh, n_teff, n_logg)
        Distance from the nearest isochrone of that [M/H], in standard deviations of the smoothing.
    """

    name: str
    mh: np.ndarray
    ln_mass: np.ndarray
    variance: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class IsochroneMasses:
    """Masses of stars, by one set of isochrones.

    Attributes
    ----------
    ln_mass, variance : ndarray, shape (n_star,)
        Mean and variance of ln mass in solar masses; NaN where not covered.
    gradient : ndarray, shape (n_star, 3)
        Derivatives of the mean by [M/H], ln Teff and log g.
    covered : ndarray of bool, shape (n_star,)
        Whether the star lies within `MAX_DISTANCE` of the isochrones.
    """

    ln_mass: np.ndarray
    variance: np.ndarray
    gradient: np.ndarray
    covered: np.ndarray


def point_weights(isochrones: Isochrones) -> np.ndarray:
    """How many stars each point of the isochrones stands for, in arbitrary units.

    Parameters
    ----------
    isochrones : Isochrones

    Returns
    -------
    ndarray, shape (n_point,)
        Initial-mass function times spacing in initial mass times spacing in age; zero outside the
        phases and ages of stars (`PHASES`, `AGES`).
    """
    same = (np.diff(isochrones.age_index) == 0) & (np.diff(isochrones.feh_index) == 0)
    step = np.where(same, np.maximum(np.diff(isochrones.initial_mass), 0.0), 0.0)
    spacing = 0.5 * (np.append(step, 0.0) + np.insert(step, 0, 0.0))
    age = 10.0 ** (isochrones.log_age - 9.0)
    age_spacing = np.gradient(age) if len(age) > 1 else np.ones(1)
    age_spacing = np.where((age >= AGES[0]) & (age <= AGES[1]), age_spacing, 0.0)
    weights = isochrones.initial_mass**IMF_SLOPE * spacing * age_spacing[isochrones.age_index]
    if isochrones.name in PHASES:
        weights = np.where(np.isin(isochrones.phase, PHASES[isochrones.name]), weights, 0.0)
    return weights


def isochrone_masses(isochrones: Isochrones) -> MassTable:
    """Tabulate the masses of stars.

    Parameters
    ----------
    isochrones : Isochrones

    Returns
    -------
    MassTable

    Notes
    -----
    In each cell, mean and variance of ln M over the points of the isochrones of one [M/H], each
    weighted by the number of stars that it stands for and by a Gaussian in ln Teff and log g about
    the cell. M is what follows from a point's L, Teff and log g, hence the present mass.
    """
    ln_teff = np.log(isochrones.teff)
    ln_mass = isochrones.ln_luminosity - ln_luminosity_over_mass(ln_teff, isochrones.logg)
    weights = point_weights(isochrones)
    shape = tuple(
        int(np.ceil((high - low) / step)) + 1
        for (low, high), step in ((LN_TEFF_RANGE, LN_TEFF_STEP), (LOGG_RANGE, LOGG_STEP))
    )
    row = np.rint((ln_teff - LN_TEFF_RANGE[0]) / LN_TEFF_STEP).astype(int)
    column = np.rint((isochrones.logg - LOGG_RANGE[0]) / LOGG_STEP).astype(int)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1]) & (weights > 0)
    cell = row * shape[1] + column
    layers = []
    for i in range(len(isochrones.feh)):
        here = inside & (isochrones.feh_index == i)
        layers.append(_layer(cell[here], weights[here], ln_mass[here], shape))
    mean, variance, distance = (np.array(parts) for parts in zip(*layers, strict=True))
    return MassTable(isochrones.name, isochrones.feh, mean, variance, distance)


def _layer(
    cell: np.ndarray, weights: np.ndarray, ln_mass: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of ln mass, and distance from the isochrones, for one [M/H]."""

    def histogram(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, values, shape[0] * shape[1]).reshape(shape)

    widths = (LN_TEFF_WIDTH / LN_TEFF_STEP, LOGG_WIDTH / LOGG_STEP)
    sums = [histogram(weights * ln_mass**power) for power in range(3)]
    total, first, second = (
        gaussian_filter(s, widths, mode="constant", truncate=TRUNCATE) for s in sums
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(total > 0, first / total, np.nan)
        variance = np.maximum(second / total - mean**2, 0.0)
    if not len(cell):
        return mean, variance, np.full(shape, NO_ISOCHRONES)
    distance = distance_transform_edt(sums[0] == 0, sampling=[1.0 / width for width in widths])
    return mean, variance, distance


def masses_at(
    table: MassTable, mh: np.ndarray, teff: np.ndarray, logg: np.ndarray
) -> IsochroneMasses:
    """Masses of stars, interpolated linearly in a table.

    Parameters
    ----------
    table : MassTable
    mh, teff, logg : ndarray, shape (n_star,)
        Teff in kK. NaN gives NaN.

    Returns
    -------
    IsochroneMasses
    """
    known = np.isfinite(mh) & np.isfinite(logg) & (teff > 0)
    mh, ln_teff, logg = (
        np.where(known, x, 0.0) for x in (mh, np.log(np.where(known, teff, 1.0)), logg)
    )
    n = len(table.mh)
    below = np.clip(np.searchsorted(table.mh, mh, side="right") - 1, 0, max(n - 2, 0))
    above = np.minimum(below + 1, n - 1)
    width = np.where(above > below, table.mh[above] - table.mh[below], 1.0)
    fraction = np.clip((mh - table.mh[below]) / width, 0.0, 1.0)
    within = (mh > table.mh[0]) & (mh < table.mh[-1])
    (mean0, gradient0, variance0, distance0), (mean1, gradient1, variance1, distance1) = (
        _in_layer(table, layer, ln_teff, logg) for layer in (below, above)
    )
    # Where only one of the two layers has isochrones nearby, it is used alone.
    share = np.where(np.isnan(mean0), 1.0, np.where(np.isnan(mean1), 0.0, fraction))
    both = (share == fraction) & within & np.isfinite(mean0 + mean1)

    def mixed(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return (1.0 - share) * np.nan_to_num(lower) + share * np.nan_to_num(upper)

    distance = (1.0 - fraction) * distance0 + fraction * distance1
    near = (mh >= table.mh[0] - MH_MARGIN) & (mh <= table.mh[-1] + MH_MARGIN)
    found = ~(np.isnan(mean0) & np.isnan(mean1))
    covered = known & near & found & (distance <= MAX_DISTANCE)
    by_mh = np.where(both, (mean1 - mean0) / width, 0.0)
    gradient = np.column_stack(
        [by_mh, *(mixed(*g) for g in zip(gradient0, gradient1, strict=True))]
    )
    return IsochroneMasses(
        ln_mass=np.where(covered, mixed(mean0, mean1), np.nan),
        variance=np.where(covered, mixed(variance0, variance1), np.nan),
        gradient=np.where(covered[:, None], gradient, np.nan),
        covered=covered,
    )


def _in_layer(
    table: MassTable, layer: np.ndarray, ln_teff: np.ndarray, logg: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Mean, its derivatives by ln Teff and log g, variance and distance, bilinear in one layer."""
    i, x, inside_x = _cell(ln_teff, LN_TEFF_RANGE[0], LN_TEFF_STEP, table.ln_mass.shape[1])
    j, y, inside_y = _cell(logg, LOGG_RANGE[0], LOGG_STEP, table.ln_mass.shape[2])

    def corners(values: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(values[layer, i + a, j + b] for a in (0, 1) for b in (0, 1))

    def bilinear(values: np.ndarray) -> np.ndarray:
        v00, v01, v10, v11 = corners(values)
        return (1 - x) * ((1 - y) * v00 + y * v01) + x * ((1 - y) * v10 + y * v11)

    v00, v01, v10, v11 = corners(table.ln_mass)
    by_teff = ((1 - y) * (v10 - v00) + y * (v11 - v01)) / LN_TEFF_STEP
    by_logg = ((1 - x) * (v01 - v00) + x * (v11 - v10)) / LOGG_STEP
    mean = np.where(inside_x & inside_y, bilinear(table.ln_mass), np.nan)
    return mean, (by_teff, by_logg), bilinear(table.variance), bilinear(table.distance)


def _cell(
    values: np.ndarray, start: float, step: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of the knot below each value, fraction of the way to the next, whether inside."""
    place = (values - start) / step
    index = np.clip(np.floor(place).astype(int), 0, n - 2)
    return index, np.clip(place - index, 0.0, 1.0), (place >= 0) & (place <= n - 1)


def ln_luminosity_over_mass(ln_teff: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """ln (L / M) in solar units of stars of given surface: 4 ln Teff - ln g.

    Parameters
    ----------
    ln_teff : ndarray
        ln of kK.
    logg : ndarray

    Returns
    -------
    ndarray
    """
    return 4.0 * (ln_teff - np.log(SOLAR_TEFF)) - np.log(10.0) * (logg - SOLAR_LOGG)
