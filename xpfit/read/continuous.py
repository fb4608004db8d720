"""XP continuous spectra in every format of the Gaia archive, as astropy Tables.

A spectrum is 55 + 55 coefficients (fewer in later releases: the number comes from the data) with
errors and correlations, the upper triangle without the diagonal, column by column. Files are read
in chunks, so that all but VOTables fit in memory whatever their length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .cells import array_column, number
from .formats import Format, RowType
from .rows import chunked, iterate_rows, source_table

XP_BANDS = ("bp", "rp")
"""The two spectrophotometers."""

ARRAY_COLUMNS = ("coefficients", "coefficient_errors", "coefficient_correlations")
"""Columns of each band that hold one array per source."""

SOURCES_PER_TABLE = 2000
"""Sources that are read at a time: 50 MB."""

CONTINUOUS = RowType(
    "XP continuous spectra (XP_CONTINUOUS, retrieval type of Gaia's datalink)",
    required=("source_id", *(f"{band}_{name}" for band in XP_BANDS for name in ARRAY_COLUMNS)),
    optional=tuple(
        f"{band}_{name}"
        for band in XP_BANDS
        for name in ("n_relevant_bases", "standard_deviation", "chi_squared")
    ),
)
"""Columns of the archive's table; the optional ones are NaN where a file lacks them."""


def read_continuous(
    path: str | os.PathLike, chunk_size: int = SOURCES_PER_TABLE, form: Format | None = None
) -> Iterator[Table]:
    """Read XP continuous spectra, in any format of `xpfit.read.formats`.

    Parameters
    ----------
    path : path-like
        An archive file of one source or many, the archive's bulk files
        (``XpContinuousMeanSpectrum_*.csv.gz``) included. The content decides on the format, not
        the name.
    chunk_size : int
        Sources per table.
    form : Format, optional
        Format of the file, if it is recognised already.

    Yields
    ------
    astropy.table.Table
        `source_id` (int64, masked where missing); for each band b = ``bp``, ``rp``
        ``b_coefficients`` and ``b_coefficient_errors`` (n_source, n_coefficient),
        ``b_coefficient_correlations`` (n_source, n (n - 1) / 2), ``b_n_relevant_bases``,
        ``b_standard_deviation`` and ``b_chi_squared``, all float64 and NaN where missing; and
        `problem`, an error message that is empty for a good row. A bad row is all NaN in the band
        concerned; the others are read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, of another kind, lacks columns, has ids that are not
        integers, or has no rows.
    """
    sizes: dict[str, int] = {}
    for rows in chunked(iterate_rows(path, CONTINUOUS, form), chunk_size, path):
        yield _table(rows, sizes, path)


def _table(rows: list[dict], sizes: dict[str, int], path: Path) -> Table:
    """Table of rows; `sizes` holds the length of each array, from the first rows."""
    problems = [row.get("problem", "") for row in rows]
    table = source_table(rows, path)
    for band in XP_BANDS:
        for column in ARRAY_COLUMNS:
            name = f"{band}_{column}"
            table[name] = array_column(rows, name, sizes, problems)
        _require_lengths(table, band, path)
    for name in CONTINUOUS.optional:
        table[name] = [number(row.get(name, b"")) for row in rows]
    table["problem"] = problems
    return table


def _require_lengths(table: Table, band: str, path: Path) -> None:
    """Refuse errors and correlations that do not go with the coefficients of a band.

    Where no row has coefficients, there is nothing for them to go with: they are left out.
    """
    coefficients, *others = (f"{band}_{column}" for column in ARRAY_COLUMNS)
    n = table[coefficients].shape[1]
    for name, what, expected in zip(
        others, ("errors", "correlations"), (n, n * (n - 1) // 2), strict=True
    ):
        size = table[name].shape[1]
        if size and not n:
            table[name] = np.empty((len(table), 0))
        elif size not in (0, expected):
            raise InputError(
                f"{path}: {size} {what} for {n} {band} coefficients; expected {expected}"
            )
