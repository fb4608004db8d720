"""XP continuous spectra in every format of the Gaia archive, as astropy Tables.

A spectrum is 55 + 55 coefficients (fewer in later releases: the number comes from the data) with
errors and correlations, the upper triangle without the diagonal, column by column. Files are read
in chunks, so that all but VOTables fit in memory whatever their length.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .cells import array_column, number
from .formats import Format, RowType, recognise
from .release import EVIDENCE, release_of_rows, require_one_release
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
    )
    + EVIDENCE,
)
"""Columns of the archive's table; the optional ones are NaN where a file lacks them."""


def read_continuous(
    path: str | os.PathLike,
    chunk_size: int = SOURCES_PER_TABLE,
    form: Format | None = None,
    release: str | None = None,
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
    release : str, optional
        Data release of the spectra; by default what the file tells.

    Yields
    ------
    astropy.table.Table
        `source_id` (int64, masked where missing); for each band b = ``bp``, ``rp``
        ``b_coefficients`` and ``b_coefficient_errors`` (n_source, n_coefficient),
        ``b_coefficient_correlations`` (n_source, n (n - 1) / 2), ``b_n_relevant_bases``,
        ``b_standard_deviation`` and ``b_chi_squared``, all float64 and NaN where missing; and
        `problem`, an error message that is empty for a good row. A bad row is all NaN in the band
        concerned; the others are read. ``meta["release"]`` is the data release.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, of another kind, lacks columns, has ids that are not
        integers, or has no rows; if its sources are of different data releases, or of an unknown
        one.
    """
    path, sizes, found = Path(path), {}, set()
    form = form or recognise(path)[0]
    told = release or form.release(path) or None
    for rows in chunked(iterate_rows(path, CONTINUOUS, form), chunk_size, path):
        table = _table(rows, sizes, path)
        table.meta["release"] = _release(rows, table, path, told)
        found.add(table.meta["release"])
        if len(found) > 1:
            raise InputError(
                f"{path}: sources of different data releases in one table: "
                f"{' and '.join(sorted(found))}; give each release as a file of its own"
            )
        yield table


def _release(rows: list[dict], table: Table, path: Path, told: str | None) -> str:
    """Data release of rows and the table that was made of them."""
    evidence = {name: [row[name] for row in rows] for name in EVIDENCE if name in rows[0]}
    sizes = tuple(table[f"{band}_coefficients"].shape[1] for band in XP_BANDS)
    return release_of_rows(path, evidence, sizes, told)


def _table(rows: list[dict], sizes: dict[str, int], path: Path) -> Table:
    """Table of rows; `sizes` holds the length of each array, from the first rows."""
    problems = [row.get("problem", "") for row in rows]
    table = source_table(rows, path)
    for band in XP_BANDS:
        for column in ARRAY_COLUMNS:
            name = f"{band}_{column}"
            lengths: Counter = Counter()
            table[name] = array_column(rows, name, sizes, problems, lengths)
            if column == ARRAY_COLUMNS[0]:
                require_one_release(path, band, lengths)
        _require_lengths(table, band, path)
    for name in CONTINUOUS.optional[: -len(EVIDENCE)]:
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
