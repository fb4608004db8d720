"""Spectra as the archive sends them -> HDF5 files of the layout of mirrors of Gaia."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...data.hdf5 import new_hdf5
from ...files import atomic_output


def write_mirror(tables: list[np.ma.MaskedArray], path: Path) -> None:
    """Write XP continuous spectra as HDF5, one dataset per column of the archive.

    Parameters
    ----------
    tables : list of numpy.ma.MaskedArray
        Records with the same columns. The first row of a repeated source is used.
    path : Path
        Replaced if it exists.
    """
    ids, first = np.unique(ids_of(tables), return_index=True)
    with atomic_output(path, overwrite=True) as part, new_hdf5(part) as file:
        for name in tables[0].dtype.names:
            cells = [cell for table in tables for cell in table[name]]
            file.create_dataset(
                name.lower(), data=_stack([cells[i] for i in first]), compression="gzip"
            )
        file["source_id"][:] = ids


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
    names = [next(n for n in t.dtype.names if n.lower() == "source_id") for t in tables]
    columns = [np.ma.getdata(t[name]) for t, name in zip(tables, names, strict=True)]
    return np.concatenate(columns).astype(np.int64)
