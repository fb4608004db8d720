"""Extinction against dust maps (ZGR23, section 5.3 and fig. 20)."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..catalogue import REFERENCE_PREFIX
from ..dust import DustMap, DustTable, Estimates, behind_all_dust, estimate_extinction
from ..errors import InputError
from ..quality import is_reliable
from ..read.tables import float_column
from ..statistics import robust_width
from .metrics import require_columns

INDEPENDENT = "independent_extinction"
"""Column with the extinction of a second map, against which residuals are shown."""

N_ERROR_BINS = 12
"""Bins of extinction in which typical errors are taken."""

CLIP = 5.0
"""Residuals in units of their errors beyond which a star does not count for the line."""

N_ITERATIONS = 50

MAX_PAIRED = 1000
"""Points of which the first line takes all pairs."""


def attach_dust_map(
    fitted: Table, dust_map: DustMap | DustTable, independent: DustMap | DustTable | None = None
) -> Table:
    """Add the reddening of a dust map to a catalogue, as reference of the extinction.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with positions.
    dust_map : DustMap or DustTable
        From `xpfit.dust.load_dust_map`. Asked at the position of each star and its distance, by
        the fitted parallax and its error; behind all dust where that is not known.
    independent : DustMap or DustTable, optional
        Another, whose errors are independent of the first one's, to show residuals against.

    Returns
    -------
    astropy.table.Table
        A copy whose `ref_extinction` and `ref_extinction_err` are those of the map; NaN where it
        has none. With a second map, also its `independent_extinction`.

    Raises
    ------
    InputError
        If columns are missing.
    """
    found = _estimates(fitted, dust_map)
    joined = fitted.copy()
    columns = {
        f"{REFERENCE_PREFIX}extinction": found.extinction,
        f"{REFERENCE_PREFIX}extinction_err": found.extinction_err,
    }
    if independent is not None:
        columns[INDEPENDENT] = _estimates(fitted, independent).extinction
    joined.remove_columns({*columns}.intersection(joined.colnames))
    for name, values in columns.items():
        joined[name] = values * u.mag
    return joined


def _estimates(table: Table, dust_map: DustMap | DustTable) -> Estimates:
    """What a map gives for the stars of a catalogue."""
    if isinstance(dust_map, DustTable):
        require_columns(table, ("source_id",))
        extinction, error = dust_map.of(np.asarray(table["source_id"]))
        return Estimates(extinction, error, np.zeros(len(table), dtype=np.int8))
    require_columns(table, ("ra", "dec", "parallax"))
    ra, dec, parallax = (float_column(table[name]) for name in ("ra", "dec", "parallax"))
    error = np.abs(parallax) * EXACT
    if "parallax_err" in table.colnames:
        error = float_column(table["parallax_err"])
    return estimate_extinction(dust_map, ra, dec, parallax, error, far_if_unknown=True)


EXACT = 1e-3
"""Relative error of parallaxes in catalogues without their errors."""


def distance_pc(table: Table) -> np.ndarray:
    """1000 / parallax (pc) of each star, NaN where no parallax was fitted."""
    parallax = float_column(table["parallax"])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parallax > 0, 1000.0 / parallax, np.nan)


def beyond_the_dust(table: Table) -> np.ndarray:
    """Stars behind all dust, whose extinction a map of the whole line of sight should give.

    Parameters
    ----------
    table : astropy.table.Table

    Returns
    -------
    ndarray of bool, shape (n_star,)
        Reliable, more than 10 deg from the Galactic plane, more than 400 pc above or below it
        where the distance is known, more than 8 deg from the Large and 6 deg from the Small
        Magellanic Cloud (ZGR23, section 5.3).
    """
    require_columns(table, ("ra", "dec", "parallax"))
    position = SkyCoord(*(float_column(table[name]) * u.deg for name in ("ra", "dec")))
    keep = is_reliable(table["quality_flags"], table["fit_flags"])
    return keep & behind_all_dust(position, distance_pc(table))


@dataclass(frozen=True)
class DustComparison:
    """Fitted extinction beside that of a map, of stars that have both.

    Attributes
    ----------
    abscissa : ndarray, shape (n,)
        Extinction (mag) whose errors are not those of the residuals: the independent map's; else
        the mean of fit and map, weighted by their errors.
    residual : ndarray, shape (n,)
        Fitted minus map's (mag).
    slope : float
        Of the fitted extinction against the map's, both of which have errors, minus one; NaN with
        fewer than three stars, or if all have the same extinction.
    """

    abscissa: np.ndarray
    residual: np.ndarray
    slope: float


def compare_dust(table: Table, rows: np.ndarray) -> DustComparison:
    """Compare fitted extinctions with the reference.

    Parameters
    ----------
    table : astropy.table.Table
        From `attach_dust_map`.
    rows : ndarray of bool, shape (n_star,)

    Returns
    -------
    DustComparison

    Notes
    -----
    Residuals contain the map's errors. Against the map they therefore fall where the fit is right:
    a star whose map value is too high has a residual that is too low. The weighted mean
    (w_1 E_fit + w_2 E_map) / (w_1 + w_2) with w = 1 / s^2 has errors that are uncorrelated with
    those of E_fit - E_map. The errors are typical ones of stars of like extinction, since those of
    single stars, which grow with the measured E, are correlated with its errors.
    """
    fitted = float_column(table["extinction"])
    reference = float_column(table[f"{REFERENCE_PREFIX}extinction"])
    keep = rows & np.isfinite(fitted) & np.isfinite(reference)
    if INDEPENDENT in table.colnames:
        independent = float_column(table[INDEPENDENT])
        keep &= np.isfinite(independent)
    middle = 0.5 * (fitted + reference)[keep]
    names = ("extinction_err", f"{REFERENCE_PREFIX}extinction_err")
    variance = [_typical(_errors(table, name)[keep], middle) ** 2 for name in names]
    fitted, reference = fitted[keep], reference[keep]
    slope = line_with_errors(reference, fitted, variance[1], variance[0])[1] - 1.0
    if INDEPENDENT in table.colnames:
        return DustComparison(independent[keep], fitted - reference, slope)
    weight = variance[1] / (variance[0] + variance[1])
    return DustComparison(weight * fitted + (1.0 - weight) * reference, fitted - reference, slope)


def _errors(table: Table, name: str) -> np.ndarray:
    """A column of errors."""
    if name not in table.colnames:
        raise InputError(
            f"comparing extinctions needs the column {name}: without errors of both, their "
            "difference cannot be shown against either"
        )
    return float_column(table[name])


def _typical(error: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Median errors of stars with like values, shape (n,)."""
    typical = np.empty(len(error))
    for rows in np.array_split(np.argsort(value, kind="stable"), N_ERROR_BINS):
        if len(rows):
            known = error[rows][np.isfinite(error[rows])]
            typical[rows] = np.median(known) if len(known) else np.nan
    return typical


def line_with_errors(
    x: np.ndarray, y: np.ndarray, x_variance: np.ndarray, y_variance: np.ndarray
) -> tuple[float, float]:
    """Straight line through points with independent errors in both coordinates.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    x_variance, y_variance : ndarray, shape (n,)

    Returns
    -------
    intercept, slope : float
        NaN with fewer than three points, or if these have no extent.

    Notes
    -----
    York et al. (2004, Am. J. Phys. 72, 367), iterated from the line of Theil and Sen. Points
    further than `CLIP` of their errors
    (or of the robust width of the residuals, if that is larger) do not count.
    """
    from scipy.stats import theilslopes

    good = np.isfinite(x_variance + y_variance) & (x_variance + y_variance > 0)
    x, y, x_variance, y_variance = (v[good] for v in (x, y, x_variance, y_variance))
    if len(x) < 3 or not np.ptp(x) > 0:
        return np.nan, np.nan
    sample = np.linspace(0, len(x) - 1, min(len(x), MAX_PAIRED)).astype(int)
    slope = theilslopes(y[sample], x[sample])[0]
    intercept = np.median(y - slope * x)
    for _ in range(N_ITERATIONS):
        pull = (y - intercept - slope * x) / np.sqrt(y_variance + slope**2 * x_variance)
        keep = np.abs(pull) < CLIP * max(1.0, robust_width(pull))
        weight = keep / (y_variance + slope**2 * x_variance)
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        du, dv = x - mean_x, y - mean_y
        beta = weight * (du * y_variance + slope * dv * x_variance)
        previous, slope = slope, np.sum(weight * beta * dv) / np.sum(weight * beta * du)
        intercept = mean_y - slope * mean_x
        if abs(slope - previous) < 1e-10:
            break
    return float(intercept), float(slope)


def dust_numbers(table: Table, rows: np.ndarray) -> dict[str, float | int | None]:
    """Compare the extinction of stars with the reference.

    Parameters
    ----------
    table : astropy.table.Table
        From `attach_dust_map`.
    rows : ndarray of bool, shape (n_star,)

    Returns
    -------
    dict
        `n`; `bias` and `scatter` (mag) of fitted minus reference; `slope` of the fitted against the
        reference, minus one, with errors in both (`line_with_errors`).
    """
    compared = compare_dust(table, rows)
    residual = compared.residual
    if not len(residual):
        return {"n": 0, "bias": None, "scatter": None, "slope": None}
    return {
        "n": len(residual),
        "bias": float(np.median(residual)),
        "scatter": robust_width(residual),
        "slope": compared.slope if np.isfinite(compared.slope) else None,
    }
