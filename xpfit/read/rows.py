"""Rows of archive tables whose cells hold arrays, in every format that they come in.

Each format (`xpfit.read.formats`) is read row by row or block by block, so that all but VOTables
fit in memory whatever their length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .formats import Format, RowType, recognise


def iterate_rows(
    path: str | os.PathLike, kind: RowType, form: Format | None = None
) -> Iterator[dict]:
    """Read a table row by row.

    Parameters
    ----------
    path : path-like
        The content decides on the format, not the name.
    kind : RowType
    form : Format, optional
        Format of the file, if it is recognised already.

    Yields
    ------
    dict
        Cells by column, as the format has them; `source_id` is an int, zero where missing.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, damaged or of another kind, lacks columns, or its ids are
        not integers.
    """
    path = Path(path)
    yield from (form or recognise(path)[0]).rows(path, kind)


def chunked(rows: Iterator[dict], size: int, path: str | os.PathLike) -> Iterator[list[dict]]:
    """Rows in lists of a given size.

    Raises
    ------
    InputError
        If there are no rows.
    """
    chunk = list(islice(rows, size))
    if not chunk:
        raise InputError(f"{path}: the table has no rows")
    while chunk:
        yield chunk
        chunk = list(islice(rows, size))


def source_table(rows: list[dict], path: str | os.PathLike) -> Table:
    """Table of the ids of rows, masked where missing; the caller adds the other columns."""
    ids = np.array([row["source_id"] for row in rows], dtype=np.int64)
    return Table({"source_id": np.ma.masked_less_equal(ids, 0)}, meta={"path": str(path)})
