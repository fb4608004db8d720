"""Attaching observed parallaxes, with their zero point subtracted."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import metadata

import numpy as np
from astropy.table import Table

from ..data import UNCORRECTED, Spectra
from ..errors import InputError
from ..read.columns import GAIA, MEANINGS, PARALLAXES, POSITIONS
from ..read.joins import Key
from ..read.known import known_columns, name_of, report_uses
from ..read.tables import float_column, matched_values
from ..read.units import require_median
from ..releases import PARALLAX_BIAS, PARAMS_SOLVED
from .gaia import gaia_columns

PARALLAX_COLUMNS = ("parallax", "parallax_error")

OVER_ERROR = "parallax_over_error"
"""Gives the error of the parallax in tables that lack it."""

ZERO_POINT_COLUMNS = (
    "phot_g_mean_mag", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat",
    PARAMS_SOLVED,
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


class Astrometry:
    """A table of parallaxes and other columns of gaia_source, to be joined to spectra.

    Parameters
    ----------
    table : astropy.table.Table
        As for `attach_astrometry`.
    zero_point : bool
        Subtract the parallax zero point.

    Attributes
    ----------
    key : xpfit.read.joins.Key

    Raises
    ------
    InputError
        If a column is missing, or as `xpfit.read.known.known_columns`.
    """

    def __init__(self, table: Table, *, zero_point: bool = True):
        what = name_of(table, "the table of astrometry")
        self.key = Key(table, what)
        names = (m.name for m in (*PARALLAXES, *GAIA, *POSITIONS))
        columns, uses = known_columns(table, names, what)
        known = Table(columns)
        self._parallax, self._error = _measured(known, what)
        self.correction = UNCORRECTED
        given = next((c for c in (GIVEN_ZERO_POINT, PARALLAX_BIAS) if c in columns), None)
        if zero_point and given:
            self._parallax = self._parallax - columns[given]
            self.correction = f"column {given} of the table"
        elif zero_point:
            self._parallax = self._parallax - parallax_zero_point(known)
            self.correction = f"gaiadr3-zeropoint {metadata.version('gaiadr3-zeropoint')}"
        self._gaia = known
        report_uses(table, what, self.key.column, uses)

    def of_sources(self, source_id: np.ndarray, release: str = "") -> dict[str, np.ndarray]:
        """Parallaxes and other columns of gaia_source of some sources.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_star,)
        release : str
            Data release of these ids, which must be that of the table's if both are known.

        Returns
        -------
        dict of str to ndarray, shape (n_star,)
            `parallax` (mas, NaN if unknown), `parallax_error` (then infinite), and those of
            `xpfit.prepare.GAIA_COLUMNS` that the table has.
        """
        rows, matched = self.key.rows(source_id, release)
        known = np.isfinite(self._parallax) & np.isfinite(self._error) & (self._error > 0)
        parallax = np.where(known, self._parallax, np.nan)
        error = np.where(known, self._error, np.inf)
        return {
            "parallax": matched_values(parallax, rows, matched),
            "parallax_error": matched_values(error, rows, matched, np.inf),
            **gaia_columns(self._gaia, rows, matched),
        }

    def attach(self, spectra: Spectra, source_id: np.ndarray | None = None) -> Spectra:
        """Spectra with the astrometry of their stars, as `attach_astrometry`."""
        if source_id is None:
            columns = self.of_sources(spectra.source_id, spectra.release)
        else:  # of the release of the table
            columns = self.of_sources(source_id)
        return spectra.replace(
            parallax=columns.pop("parallax"),
            parallax_err=columns.pop("parallax_error"),
            gaia={**spectra.gaia, **columns},
            preparation=replace(spectra.preparation, parallax_zero_point=self.correction),
        )


def attach_astrometry(spectra: Spectra, table: Table, *, zero_point: bool = True) -> Spectra:
    """Attach parallaxes and other columns of gaia_source to spectra, by source id.

    Parameters
    ----------
    spectra : Spectra
    table : astropy.table.Table
        Rows of gaia_source: ids, `parallax`, `parallax_error` (mas where they state no other unit)
        or `parallax_over_error`, `ZERO_POINT_COLUMNS`, and any of `xpfit.prepare.GAIA_COLUMNS`,
        under the names of `xpfit.read.columns`. Or parallaxes from several
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
        As `Astrometry`, or if none of the stars is in the table.

    Warns
    -----
    UserWarning
        If the table has few of the stars, repeats some, or holds impossible values.

    Notes
    -----
    Parallaxes are used as they are given, negative ones and those of bad solutions too: a negative
    parallax is a measurement like any other, and leaving it out would bias distances. Fits by a
    model that knows luminosities flag stars with a `ruwe` above 1.4 and those whose parallax is
    below 5 of its errors (`xpfit.quality.FitFlag`).
    """
    astrometry = Astrometry(table, zero_point=zero_point)
    spectra = astrometry.attach(spectra)
    astrometry.key.check()
    return spectra


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
        error = parallax / float_column(table[OVER_ERROR])
    meaning = MEANINGS[PARALLAX_COLUMNS[1]]
    require_median(error, meaning.unit, meaning.typical, f"{what}: column {PARALLAX_COLUMNS[0]}")
    return parallax, error
