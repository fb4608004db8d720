"""Spectra as the archive sends them -> HDF5 files of the layout of mirrors of Gaia."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...data.hdf5 import new_hdf5
from ...files import atomic_output

COEFFICIENTS = {"source_id", "bp_coefficients", "rp_coefficients"}
"""Columns without which a table is none of XP continuous spectra."""


def write_mirror(tables: list[np.ma.MaskedArray], path: Path, release: str) -> None:
    """Write XP continuous spectra as HDF5, one dataset per column of the archive.

    Parameters
    ----------
    tables : list of numpy.ma.MaskedArray
        Records with the same columns, in any case. The first row of a repeated source is used.
    path : Path
        Replaced if it exists.
    release : str
        Data release, recorded as an attribute of the file.
    """
    ids, first = np.unique(ids_of(tables), return_index=True)
    with atomic_output(path, overwrite=True) as part, new_hdf5(part) as file:
        file.attrs["release"] = release
        own_names = [column_names(table) for table in tables]
        for name in own_names[0]:
            cells = [c for t, own in zip(tables, own_names, strict=True) for c in t[own[name]]]
            file.create_dataset(name, data=_stack([cells[i] for i in first]), compression="gzip")
        file["source_id"][:] = ids


def column_names(table: np.ma.MaskedArray) -> dict[str, str]:
    """Names of the columns of records, by those in lower case: the archive writes both."""
    return {name.lower(): name for name in table.dtype.names}


def _stack(cells: list) -> np.ndarray:
    """Cells as one array: lists padded with NaN, texts as bytes."""
    arrays = [np.ma.filled(np.ma.asarray(c), np.nan) if _is_float(c) else c for c in cells]
    arrays = [np.asarray(0 if np.ma.is_masked(a) else a) for a in arrays]
    if arrays[0].dtype.kind in "SUO":
        return np.array([str(a).encode() for a in arrays])
    size = max(a.size for a in arrays)
    if all(a.ndim == 0 for a in arrays):
        return np.array(arrays)
    kind = np.result_type(*(a.dtype for a in arrays if a.size), np.float32)
    stacked = np.full((len(arrays), size), np.nan, dtype=kind)
    for row, a in zip(stacked, arrays, strict=True):
        row[: a.size] = a.ravel()
    return stacked


def _is_float(cell) -> bool:
    """Whether a cell holds floats, one or many, masked or not."""
    return np.ma.asarray(cell).dtype.kind == "f"


def ids_of(tables: list[np.ma.MaskedArray]) -> np.ndarray:
    """Ids in all tables, int64; the column's name may be in any case."""
    if not tables:
        return np.empty(0, dtype=np.int64)
    columns = [np.ma.getdata(t[column_names(t)["source_id"]]) for t in tables]
    return np.concatenate(columns).astype(np.int64)
