"""NumPy arrays with one row per star <-> Arrow columns (needs pyarrow)."""

from __future__ import annotations

import numpy as np


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
