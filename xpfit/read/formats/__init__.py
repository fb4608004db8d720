"""Formats of tables with arrays in their cells, one file each.

A new format is a file with a `Format` and an entry in `ROW_FORMATS`.
"""

from __future__ import annotations

import os

from ...files import existing_file
from .base import Format, RowType
from .compressed import read_head
from .fits import FITS
from .hdf5 import HDF5
from .parquet import Parquet
from .text import Text
from .votable import VOTable

ROW_FORMATS: tuple[Format, ...] = (HDF5(), Parquet(), FITS(), VOTable(), Text())
"""In the order in which they are tried."""


def recognise(path: str | os.PathLike) -> tuple[Format, bytes]:
    """Format of a file by its content, and the first bytes of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty or damaged.
    """
    path = existing_file(path, empty=False)
    head = read_head(path)
    return next(form for form in ROW_FORMATS if form.matches(head)), head


__all__ = ["ROW_FORMATS", "Format", "RowType", "recognise"]
