"""XP sampled spectra with one sample per row, as the Gaia archive has them for single sources.

With data structure INDIVIDUAL (DATAMODEL_STANDARD), FITS, VOTable and ECSV hold wavelength, flux
and its error, and the source id in their metadata; CSV repeats the source id in every row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack

from ..errors import InputError
from .formats import Format, RowType
from .formats.base import of_kind, warn_of_unused
from .grid import FLUX_UNIT, require_wavelengths
from .release import SOLUTION, release_of_rows
from .source_ids import id_of_text, ids_of
from .tables import float_column
from .units import converted, stated_unit

SAMPLES = RowType(
    "XP sampled spectra, one sample per row", required=("wavelength", "flux", "flux_error")
)

ID_KEYS = ("source_id", "SOURCE_ID", "SOURCEID")
"""Names of the source id among a table's metadata."""


def is_by_sample(names: set[str]) -> bool:
    """Whether a table of these columns (in lower case) may have one sample per row."""
    return SAMPLES.fits(list(names))


def read_samples(path: Path, form: Format, told: str | None = None) -> Table:
    """Read all spectra of a file that has one sample per row.

    Parameters
    ----------
    path : Path
    form : Format
    told : str, optional
        Data release.

    Returns
    -------
    astropy.table.Table
        As those of `xpfit.read.read_sampled`, in the order of the file; all wavelengths that a
        source has, NaN at those that others have.

    Raises
    ------
    InputError
        If the source id of a table is not known, the wavelengths are none of XP spectra, or a
        source has two values at one wavelength.
    """
    tables = form.tables(path)
    used = of_kind(tables, SAMPLES)
    warn_of_unused(path, [name for name in tables if name not in used], SAMPLES)
    raw = [form.table(path, name) for name in used]
    parts = [_long(table, path) for table in raw]
    long = vstack(parts, metadata_conflicts="silent") if len(parts) > 1 else parts[0]
    if not len(long):
        raise InputError(f"{path}: the table has no rows")
    wide = _wide(long, path)
    solutions = [cell for table in raw for cell in _solutions(table)]
    wide.meta["release"] = release_of_rows(path, {SOLUTION: solutions}, told=told)
    return wide


def _solutions(raw: Table) -> list:
    """Solution identifiers in a column or in the metadata of a table."""
    columns = [name for name in raw.colnames if name.lower() == SOLUTION]
    if columns:
        return list(np.unique(np.ma.filled(np.ma.asarray(raw[columns[0]]), 0)))
    return [raw.meta[key] for key in (SOLUTION, "SOLUTION") if key in raw.meta]


def _long(raw: Table, path: Path) -> Table:
    """Ids, wavelengths and fluxes of a table, row by row."""
    names = {name.lower(): name for name in raw.colnames}
    table = Table()
    table["source_id"] = _ids(raw, names, path)
    for name, unit in (("wavelength", u.nm), ("flux", FLUX_UNIT), ("flux_error", FLUX_UNIT)):
        column = raw[names[name]]
        where = f"{path}: column {names[name]}"
        table[name] = converted(float_column(column), stated_unit(column), unit, where)
    return table


def _ids(raw: Table, names: dict[str, str], path: Path) -> np.ndarray:
    """Source id of every row, from a column or from the metadata."""
    if "source_id" in names:
        return ids_of(raw[names["source_id"]], str(path))
    for key in ID_KEYS:
        if key in raw.meta:
            return np.full(len(raw), id_of_text(str(raw.meta[key])), dtype=np.int64)
    raise InputError(
        f"{path}: one sample per row, but no source id, neither in a column nor in the header; ask "
        "the archive for data structure RAW"
    )


def _wide(long: Table, path: Path) -> Table:
    """One row per source."""
    ids, first, star = np.unique(
        np.asarray(long["source_id"]), return_index=True, return_inverse=True
    )
    grid, sample = np.unique(np.asarray(long["wavelength"]), return_inverse=True)
    require_wavelengths(grid, path)
    counts = np.zeros((len(ids), len(grid)), dtype=int)
    np.add.at(counts, (star, sample), 1)
    if counts.max() > 1:
        row, place = np.argwhere(counts > 1)[0]
        raise InputError(
            f"{path}: source {ids[row]} has {counts[row, place]} values at {grid[place]:g} nm; "
            "remove what is repeated"
        )
    order = np.argsort(first)
    table = Table({"source_id": np.ma.masked_less_equal(ids[order], 0)}, meta={"path": str(path)})
    for name in ("flux", "flux_error"):
        values = np.full(counts.shape, np.nan)
        values[star, sample] = long[name]
        table[name] = values[order]
    short = int((counts.sum(axis=1) < len(grid)).sum())
    if short:
        warnings.warn(
            f"{path}: {short} of {len(ids)} sources lack some of the {len(grid)} wavelengths; these"
            " are left out of their fits",
            stacklevel=3,
        )
    table.meta["wavelength"] = grid
    table["problem"] = [""] * len(table)
    return table


def in_chunks(table: Table, size: int) -> Iterator[Table]:
    """Parts of a table."""
    for start in range(0, len(table), size):
        yield table[start : start + size]
