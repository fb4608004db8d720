"""Ids of more than one row of a store, found in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...data import InputFlag

IDS_AT_A_TIME = 50_000_000
"""Ids that are sorted together, in about 2 GB."""

ROWS_AT_A_TIME = 1_000_000
"""Rows of a store that are looked through together."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiplied by it, ids are spread evenly, whatever their last bits."""


def repeated_ids(read: Callable[[], Iterator[np.ndarray]], n_row: int) -> np.ndarray:
    """Ids of more than one row.

    Parameters
    ----------
    read : callable
        Gives the ids (int64, zero where missing) of all rows, block by block; called several times
        for more than `IDS_AT_A_TIME` rows.
    n_row : int
        About how many there are.

    Returns
    -------
    ndarray of int64
        In order; those that are missing do not count.
    """
    n_pass = max(1, -(-n_row // IDS_AT_A_TIME))
    found = []
    for k in range(n_pass):
        ids = np.concatenate([_share(block, k, n_pass) for block in read()])
        ids.sort()
        again = ids[1:][ids[1:] == ids[:-1]]
        found.append(np.unique(again[again > 0]))
    return np.sort(np.concatenate(found))


def _share(ids: np.ndarray, k: int, n_pass: int) -> np.ndarray:
    """The ids that are looked at in a pass."""
    if n_pass == 1:
        return ids
    with np.errstate(over="ignore"):
        spread = (ids.astype(np.uint64) * _GOLDEN) >> np.uint64(32)
    return ids[spread % np.uint64(n_pass) == k]


def flags_of(ids: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """Input flags of rows with ids that are missing, or repeated in the store, shape (n_row,)."""
    flags = np.where(ids <= 0, int(InputFlag.MISSING_ID), 0)
    return (flags | np.where(np.isin(ids, repeated), int(InputFlag.DUPLICATE_ID), 0)).astype(
        np.int32
    )
