"""Tables of catalogues as the archive sends them -> FITS files, by batch and all together."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table, join, vstack

from ...files import atomic_output
from ..tables import read_table


def write_batch(table: Table, path: Path) -> None:
    """Write a table as FITS, replacing what is there."""
    with atomic_output(path, overwrite=True) as part:
        _plain(table).write(part, format="fits")


def merge_batches(paths: Iterable[Path], path: Path, release: str) -> None:
    """Write all batches as one table, of a repeated source the row in the first file.

    Parameters
    ----------
    paths : iterable of Path
        The newest first.
    path : Path
        Replaced if it exists; not written if there are no rows.
    release : str
        Recorded in the header.
    """
    tables = [table for table in map(read_table, paths) if len(table)]
    if not tables:
        return
    merged = first_rows(vstack(tables, metadata_conflicts="silent"))
    merged.sort("source_id")
    merged.meta.pop("path", None)
    merged.meta["RELEASE"] = release
    with atomic_output(path, overwrite=True) as part:
        merged.write(part, format="fits")


def first_rows(table: Table) -> Table:
    """The first row of each source."""
    _, first = np.unique(np.asarray(table["source_id"]), return_index=True)
    return table[np.sort(first)]


def join_photometry(tables: list[Table], sources: Table | None) -> Table:
    """Photometry of all sources that have any, with `norm_dg` where the release has it."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0]
    joined = reduce(partial(join, keys="source_id", join_type="outer"), filled)
    if sources is not None and len(sources) and "norm_dg" in sources.colnames:
        joined = join(joined, sources["source_id", "norm_dg"], keys="source_id", join_type="left")
    return joined


def _plain(table: Table) -> Table:
    """Copy with texts in place of objects, as FITS requires, and without the archive's metadata."""
    plain = Table()
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "O":
            texts = ["" if np.ma.is_masked(cell) else str(cell) for cell in column]
            column = MaskedColumn(np.array(texts, dtype="S"), mask=np.ma.getmaskarray(column))
        plain[name] = MaskedColumn(np.ma.asarray(column))
    return plain
