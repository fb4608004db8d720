"""NumPy arrays with one row per star <-> Arrow columns (needs pyarrow)."""

from __future__ import annotations

import os

import numpy as np

from .errors import InputError
from .integrity import require_plausible_size, verifying


def pyarrow_modules(error: type[Exception]):
    """pyarrow and pyarrow.parquet.

    Parameters
    ----------
    error : type of Exception
        Raised if they are not installed, with the remedy.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as reason:
        raise error(
            "Parquet files need pyarrow: python -m pip install 'xpfit[scale]', or use HDF5"
        ) from reason
    return pyarrow, pyarrow.parquet


def open_parquet(path: str | os.PathLike, error: type[Exception]):
    """An open `pyarrow.parquet.ParquetFile`.

    Parameters
    ----------
    path : path-like
    error : type of Exception
        Raised if pyarrow is not installed.

    Raises
    ------
    InputError
        If its rows cannot be in a file of its size.
    """
    pa, pq = pyarrow_modules(error)
    file = pq.ParquetFile(path, page_checksum_verification=verifying())
    widths = (_width(pa, field.type) for field in file.schema_arrow)
    try:
        require_plausible_size(path, file.metadata.num_rows * sum(widths))
    except InputError:
        file.close()
        raise
    return file


def _width(pa, kind) -> int:
    """Bytes of a cell, as far as they are known from its type."""
    if pa.types.is_fixed_size_list(kind):
        return kind.list_size * _width(pa, kind.value_type)
    try:
        return max(kind.bit_width // 8, 1)
    except ValueError:  # texts and lists
        return 1


def to_arrow(pa, values: np.ndarray):
    """Arrow array of (n_star,) or, as lists of fixed size, (n_star, n) values."""
    flat = pa.array(np.ascontiguousarray(values).ravel())
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return flat


def to_numpy(column) -> np.ndarray:
    """Values of an Arrow array, (n_star,) or (n_star, n)."""
    if hasattr(column.type, "list_size"):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), column.type.list_size)
    return column.to_numpy(zero_copy_only=False)
