"""Formats of tables, whose cells may hold arrays.

A new format is a file with a `Format` and an entry in `ROW_FORMATS`.
"""

from __future__ import annotations

import os
import re

from ...errors import InputError
from ...files import existing_file
from .arrow import Feather, Parquet
from .base import Format, RowType
from .compressed import read_head
from .fits import FITS
from .hdf5 import HDF5
from .records import Avro, JSONLines
from .text import Text
from .votable import VOTable

ROW_FORMATS: tuple[Format, ...] = (
    HDF5(), Parquet(), Feather(), FITS(), Avro(), VOTable(), JSONLines(), Text()
)  # fmt: skip
"""In the order in which they are tried."""

_REFUSED = (
    (re.compile(rb"\s*<(!doctype\s+html|html)", re.IGNORECASE),
     "a web page, such as a server's error or a login; fetch the file again"),
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle, which is not read; write a table"),
    (re.compile(rb"\x93NUMPY|.{0,200}\.npy", re.DOTALL),
     "a NumPy file; write a table with named columns"),
    (re.compile(rb"ORC"), "an ORC file; write it as Parquet"),
    (re.compile(rb"\xd0\xcf\x11\xe0|PK.{0,300}\[Content_Types\]", re.DOTALL),
     "a spreadsheet; save it as CSV"),
    (re.compile(rb"SQLite format 3"), "a SQLite database; write the table as CSV or FITS"),
    (re.compile(rb"\\documentclass|\\begin\{"), "a LaTeX table; write it as CSV or FITS"),
    (re.compile(rb".{0,4000}\n# This TST file", re.DOTALL),
     "a table in Starlink's TST format; write it as CSV or FITS"),
    (re.compile(rb"[+]-[-+]*[+]\s"), "a table printed for people; write it as CSV or FITS"),
)  # fmt: skip
"""What is no table that is read, by its beginning, and the remedy."""


def recognise(path: str | os.PathLike) -> tuple[Format, bytes]:
    """Format of a file by its content, and the first bytes of the file.

    Parameters
    ----------
    path : path-like
        Of a file, or of a table in it (`xpfit.files.split_choice`).

    Returns
    -------
    format : Format
    head : bytes

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, damaged, or of a kind that is not read.
    """
    path = existing_file(path, empty=False)
    head = read_head(path)
    for beginning, what in _REFUSED:
        if beginning.match(head):
            raise InputError(f"{path}: {what}")
    return next(form for form in ROW_FORMATS if form.matches(head)), head


__all__ = ["ROW_FORMATS", "Format", "RowType", "recognise"]
