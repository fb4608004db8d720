"""Checksums of stars in stores: one number for each row, so that any range of rows is verified.

The checksum of a row is a sum over its 64-bit words, each multiplied by an odd number that depends
on its place: one word that changes always changes it, and so do many but for one in 2^64 cases. It
costs 2 microseconds for a star with a full whitener; SHA-256 would cost ten times as much.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...data import InputFlag
from ...integrity import verifying

COLUMN = "checksum"

MAX_NAMED = 5
"""Sources that a warning names."""

_UNKNOWN = {"flux": 0.0, "whitener": 0.0}
_UNKNOWN |= dict.fromkeys(("flux_err", "parallax_error", "extinction_error"), np.inf)
"""Numbers of a star of which nothing is known, NaN in other columns."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio."""

_BY_ALL_ROWS = int(InputFlag.DUPLICATE_ID | InputFlag.MISSING_ID)
"""Input flags that depend on other rows, and are set when these are known."""


def row_checksums(columns: Mapping[str, np.ndarray], first: int) -> np.ndarray:
    """Checksums of rows.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_star,) or (n_star, n)
    first : int
        Number of the first row in the file.

    Returns
    -------
    ndarray of uint64, shape (n_star,)
    """
    total = np.uint64(1) + np.arange(first, first + len(columns["source_id"]), dtype=np.uint64)
    total *= _GOLDEN
    for name, values in columns.items():
        if name != COLUMN:
            words = _words(values & ~_BY_ALL_ROWS if name == "input_flags" else values)
            total += np.einsum("ij,j->i", words, _weights(name, words.shape[1]))
    return total


def verified_rows(
    columns: Mapping[str, np.ndarray], first: int, path: Path
) -> dict[str, np.ndarray]:
    """Columns of a file without their checksums, and without the numbers of damaged stars.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Files of earlier versions have no checksums.
    first : int
        Number of the first row in the file.
    path : Path

    Returns
    -------
    dict of str to ndarray
        Stars whose checksums differ have no weight, no labels, and a flag.

    Warns
    -----
    UserWarning
        If there are such stars; they are named.
    """
    columns = dict(columns)
    stored = columns.pop(COLUMN, None)
    if stored is None or not verifying():
        return columns
    wrong = np.flatnonzero(row_checksums(columns, first) != stored)
    if not len(wrong):
        return columns
    named = ", ".join(str(i) for i in columns["source_id"][wrong[:MAX_NAMED]])
    warnings.warn(
        f"{path}, row {first + wrong[0]}: {len(wrong)} sources whose checksums do not match are "
        f"left out, and flagged: {named}; the file is damaged or was changed by another program, "
        "prepare it again (--no-verify uses it as it is)",
        stacklevel=5,
    )
    for name, values in columns.items():
        if values.dtype.kind == "f":
            columns[name] = values.copy()
            columns[name][wrong] = _UNKNOWN.get(name, np.nan)
    columns["input_flags"] = columns["input_flags"].copy()
    columns["input_flags"][wrong] |= int(InputFlag.BAD_COEFFICIENTS)
    return columns


def _words(values: np.ndarray) -> np.ndarray:
    """Values as 64-bit words, shape (n_star, n)."""
    if values.dtype.itemsize != 8:
        values = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    return np.ascontiguousarray(values).view(np.uint64).reshape(len(values), -1)


@lru_cache(maxsize=256)
def _weights(name: str, n: int) -> np.ndarray:
    """Odd numbers that look random, by the place of a word: splitmix64 (Steele et al. 2014)."""
    seed = np.uint64(zlib.crc32(name.encode()))
    mixed = (seed << np.uint64(32)) + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)
