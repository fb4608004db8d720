"""XP sampled spectra (XP_SAMPLED of the Gaia archive) as astropy Tables."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .cells import array_column, number
from .continuous import SOURCES_PER_TABLE
from .formats import Format, RowType
from .rows import chunked, iterate_rows, source_table

SAMPLED_WAVELENGTH = np.arange(336.0, 1021.0, 2.0)
"""Wavelengths (nm) of the archive's sampled spectra."""

SAMPLED = RowType(
    "XP sampled spectra (XP_SAMPLED, retrieval type of Gaia's datalink, data structure RAW)",
    required=("source_id", "flux", "flux_error"),
)


def read_sampled(
    path: str | os.PathLike, chunk_size: int = SOURCES_PER_TABLE, form: Format | None = None
) -> Iterator[Table]:
    """Read XP sampled spectra from CSV, ECSV, FITS or VOTable, gzipped or not, or from HDF5.

    Parameters
    ----------
    path : path-like
        An archive file with one row per source, the archive's bulk files
        (``XpSampledMeanSpectrum_*.csv.gz``) included.
    chunk_size : int
        Sources per table.
    form : Format, optional
        Format of the file, if it is recognised already.

    Yields
    ------
    astropy.table.Table
        `source_id` (int64, masked where missing); `flux` and `flux_error` in W m-2 nm-1, shape
        (n_source, 343), NaN where missing; and `problem`, as in `xpfit.read.read_continuous`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        As `xpfit.read.read_continuous`, or if the spectra do not have the archive's 343 samples.
    """
    sizes = {name: len(SAMPLED_WAVELENGTH) for name in ("flux", "flux_error")}
    for rows in chunked(iterate_rows(path, SAMPLED, form), chunk_size, path):
        if all(_is_number(row["flux"]) for row in rows[:2]):
            raise InputError(
                f"{path}: one flux per row; ask the archive for data structure RAW, which has one "
                "source per row"
            )
        problems = [row.get("problem", "") for row in rows]
        table = source_table(rows, path)
        for name in ("flux", "flux_error"):
            table[name] = array_column(rows, name, sizes, problems)
        table["problem"] = problems
        yield table


def _is_number(cell) -> bool:
    """Whether a cell holds one number, not an array."""
    if isinstance(cell, bytes):
        return np.isfinite(number(cell))
    return np.ndim(cell) == 0 and not np.ma.is_masked(cell)
