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

from ..errors import InputError, TruncatedError
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
        Cells by column, as the format has them; `source_id` is an int, zero where missing. A
        damaged row has a `problem`, and cells that are missing.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, damaged or of another kind, lacks columns, or its ids are
        not integers.
    TruncatedError
        If a text is cut off, after the rows before.
    """
    path = Path(path)
    yield from (form or recognise(path)[0]).rows(path, kind)


def chunked(rows: Iterator[dict], size: int, path: str | os.PathLike) -> Iterator[list[dict]]:
    """Rows in lists of a given size.

    Raises
    ------
    InputError
        If there are no rows, or all of the first are damaged.
    TruncatedError
        If the table is cut off, after the rows before.
    """
    chunk: list[dict] = []
    n_chunk, cut = 0, None
    while True:
        try:
            for row in islice(rows, size):
                chunk.append(row)
        except TruncatedError as error:
            cut = error
        if chunk:
            problems = [row.get("problem") for row in chunk]
            if not n_chunk and all(problems):
                raise InputError(f"{path}, {problems[0]}")
            yield chunk
            n_chunk += 1
        if cut:
            raise cut
        if len(chunk) < size:
            break
        chunk = []
    if not n_chunk:
        raise InputError(f"{path}: the table has no rows")


def source_table(rows: list[dict], path: str | os.PathLike) -> Table:
    """Table of the ids of rows, masked where missing; the caller adds the other columns."""
    ids = np.array([row["source_id"] for row in rows], dtype=np.int64)
    return Table({"source_id": np.ma.masked_less_equal(ids, 0)}, meta={"path": str(path)})
