"""Cells of tables: arrays and numbers, as text or as what a format's reader gives."""

from __future__ import annotations

from collections import Counter

import numpy as np
import orjson

NULLS = ("", "null", "NULL", "None", "nan", "NaN", "NA", "N/A", "--", "()", "[]")
"""Texts of a missing value."""


def array_column(
    rows: list[dict],
    name: str,
    sizes: dict[str, int],
    problems: list[str],
    lengths: Counter | None = None,
) -> np.ndarray:
    """Arrays of one column.

    Parameters
    ----------
    rows : list of dict
        From `iterate_rows`.
    name : str
    sizes : dict of str to int
        Length of each array, the most frequent one of the first rows; filled in here.
    problems : list of str
        Error of each row, empty if there is none; filled in here.
    lengths : Counter, optional
        How many rows have arrays of each length; filled in here.

    Returns
    -------
    ndarray, shape (n_row, size)
        NaN where missing or bad.
    """
    cells = []
    for i, row in enumerate(rows):
        try:
            cells.append(_array(row[name]))
        except ValueError as error:
            cells.append(np.empty(0))
            problems[i] = problems[i] or f"{name}: {error}"
    lengths = Counter() if lengths is None else lengths
    lengths.update(len(cell) for cell in cells if len(cell))
    size = sizes.get(name) or max(lengths, key=lengths.__getitem__, default=0)
    if size:
        sizes[name] = size
    column = np.full((len(rows), size), np.nan)
    for i, cell in enumerate(cells):
        if len(cell) == size:
            column[i] = cell
        elif len(cell):
            problems[i] = problems[i] or f"{name}: {len(cell)} values, expected {size}"
    return column


def _array(cell) -> np.ndarray:
    """Values of one array cell as float64; empty where missing."""
    if isinstance(cell, bytes):
        return _parse_array(cell)
    if np.ma.is_masked(cell):
        return np.empty(0) if np.all(np.ma.getmaskarray(cell)) else np.ma.filled(cell, np.nan)
    return np.asarray(cell, dtype=float).ravel()


def _parse_array(text: bytes) -> np.ndarray:
    """Values of an array cell, written ``(a, b)`` or ``[a, b]``."""
    if len(text) < 5 and text.decode("utf-8") in NULLS:
        return np.empty(0)
    if text[:1] + text[-1:] not in (b"()", b"[]"):
        raise ValueError(f"an array in brackets was expected, not {text[:20]!r}")
    inner = text[1:-1]
    try:
        values = orjson.loads(b"[" + inner + b"]")
        return np.fromiter(values, dtype=float, count=len(values))
    except (orjson.JSONDecodeError, TypeError, ValueError):
        pass  # JSON has neither NaN nor numbers like "1." and ".5"
    try:
        return np.array(inner.replace(b"null", b"nan").split(b","), dtype=float)
    except ValueError:
        raise ValueError("not numbers between commas") from None


def number(cell) -> float:
    """A scalar cell as float; NaN where missing or not a number."""
    if np.ma.is_masked(cell):
        return np.nan
    try:
        return float(cell)
    except ValueError:
        return np.nan
