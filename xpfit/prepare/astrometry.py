"""Attaching observed parallaxes, with their zero point subtracted."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import metadata

import numpy as np
from astropy.table import Table

from ..data import UNCORRECTED, Spectra
from ..errors import InputError
from ..read.tables import float_column, integer_ids, match_ids, matched_values
from .gaia import gaia_columns

PARALLAX_COLUMNS = ("parallax", "parallax_error")

OVER_ERROR = "parallax_over_error"
"""Gives the error of the parallax in tables that lack it."""

ZERO_POINT_COLUMNS = (
    "phot_g_mean_mag", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat",
    "astrometric_params_solved",
)  # fmt: skip
"""Columns of gaia_source on which the zero point depends (Lindegren et al. 2021, A&A 649, A4)."""

GIVEN_ZERO_POINT = "zero_point"
"""Column with the zero point of each parallax (mas), of tables from several surveys."""

WITH_PARALLAX = (31, 95)
"""Values of `astrometric_params_solved` of solutions with five and six parameters."""


def parallax_zero_point(table: Table) -> np.ndarray:
    """Zero point of Gaia DR3 parallaxes, by the gaiadr3-zeropoint package.

    Parameters
    ----------
    table : astropy.table.Table
        With `ZERO_POINT_COLUMNS`.

    Returns
    -------
    ndarray, shape (n_row,)
        mas, to be subtracted from the parallax; NaN for sources without a parallax. Outside
        6 < G < 21 the value at the limit is used.

    Raises
    ------
    InputError
        If a column is missing.
    """
    from zero_point import zpt

    missing = [name for name in ZERO_POINT_COLUMNS if name not in table.colnames]
    if missing:
        raise InputError(
            f"the table of astrometry lacks {', '.join(missing)}, on which the parallax zero point "
            f"depends; add them, or a column {GIVEN_ZERO_POINT} with its value in mas, or switch "
            "the zero point off (zero_point=False)"
        )
    g, nu_eff, pseudocolour, latitude, solved = (
        float_column(table[name]) for name in ZERO_POINT_COLUMNS
    )
    usable = np.isin(solved, WITH_PARALLAX) & np.isfinite(g) & np.isfinite(latitude)
    usable &= np.isfinite(np.where(solved == WITH_PARALLAX[0], nu_eff, pseudocolour))
    zero_point = np.full(len(table), np.nan)
    if usable.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of magnitudes and colours beyond the limits
            zpt.load_tables()
            zero_point[usable] = zpt.get_zpt(
                g[usable],
                np.nan_to_num(nu_eff[usable], nan=1.5),
                np.nan_to_num(pseudocolour[usable], nan=1.5),
                latitude[usable],
                solved[usable].astype(int),
            )
    return zero_point


def attach_astrometry(spectra: Spectra, table: Table, *, zero_point: bool = True) -> Spectra:
    """Attach parallaxes and other columns of gaia_source to spectra, by source id.

    Parameters
    ----------
    spectra : Spectra
    table : astropy.table.Table
        Rows of gaia_source: ids, `parallax`, `parallax_error` (mas) or `parallax_over_error`,
        `ZERO_POINT_COLUMNS`, and any of `xpfit.prepare.GAIA_COLUMNS`. Or parallaxes from several
        releases, each with its `zero_point` (mas): where there is that column, it is used in place
        of Gaia DR3's formula.
    zero_point : bool
        Subtract the parallax zero point.

    Returns
    -------
    Spectra
        With `parallax` and `parallax_err`; unknown (infinite error) for sources that the table
        lacks or for which there is no parallax or zero point. The correction is recorded in
        ``preparation.parallax_zero_point``. The table's columns replace those in `gaia`.

    Raises
    ------
    InputError
        If a column is missing.

    Notes
    -----
    Parallaxes are used as they are given, negative ones and those of bad solutions too: a negative
    parallax is a measurement like any other, and leaving it out would bias distances. Fits by a
    model that knows luminosities flag stars with a `ruwe` above 1.4 and those whose parallax is
    below 5 of its errors (`xpfit.quality.FitFlag`).
    """
    what = "the table of astrometry"
    rows, matched = match_ids(spectra.source_id, integer_ids(table, what), what)
    parallax, error = _measured(table, what)
    done = UNCORRECTED
    if zero_point and GIVEN_ZERO_POINT in table.colnames:
        parallax = parallax - float_column(table[GIVEN_ZERO_POINT])
        done = f"column {GIVEN_ZERO_POINT} of the table"
    elif zero_point:
        parallax = parallax - parallax_zero_point(table)
        done = f"gaiadr3-zeropoint {metadata.version('gaiadr3-zeropoint')}"
    known = np.isfinite(parallax) & np.isfinite(error) & (error > 0)
    parallax, error = np.where(known, parallax, np.nan), np.where(known, error, np.inf)
    return spectra.replace(
        parallax=matched_values(parallax, rows, matched),
        parallax_err=matched_values(error, rows, matched, np.inf),
        gaia={**spectra.gaia, **gaia_columns(table, rows, matched)},
        preparation=replace(spectra.preparation, parallax_zero_point=done),
    )


def _measured(table: Table, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Parallaxes as published, and their errors."""
    columns = table.colnames
    missing = [name for name in PARALLAX_COLUMNS if name not in columns]
    if missing == [*PARALLAX_COLUMNS[1:]] and OVER_ERROR in columns:
        missing = []
    if missing:
        raise InputError(f"{what} lacks {', '.join(missing)}")
    parallax = float_column(table[PARALLAX_COLUMNS[0]])
    if PARALLAX_COLUMNS[1] in columns:
        return parallax, float_column(table[PARALLAX_COLUMNS[1]])
    with np.errstate(invalid="ignore", divide="ignore"):
        return parallax, parallax / float_column(table[OVER_ERROR])
