"""Lists of Gaia source ids."""

from __future__ import annotations

import os
import re

import numpy as np

from ..errors import InputError
from ..files import existing_file, file_of
from .formats import recognise
from .formats.compressed import bounded_lines, open_binary
from .formats.text import Text
from .joins import integer_ids
from .source_ids import id_of_text
from .tables import read_table


def read_source_ids(path: str | os.PathLike) -> np.ndarray:
    """Read source ids from a text file or from a table.

    Parameters
    ----------
    path : path-like
        Text with one id, or designation ("Gaia DR3 123"), per line (blank lines and lines that
        start with ``#`` are skipped), or a table in any format (see `read_table`) with a column of
        ids (see `xpfit.read.joins`).

    Returns
    -------
    ndarray of int64, shape (n_id,)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If a line is not an integer (the line is named), or a table has no column of ids.
    """
    path = existing_file(path)
    if not file_of(path).stat().st_size:
        return np.array([], dtype=np.int64)
    form, head = recognise(path)
    if form.name != Text.name or not _is_list(head):
        return integer_ids(read_table(path), str(path))
    ids = []
    with open_binary(path) as file:
        for number, line in enumerate(bounded_lines(file, path), start=1):
            text = line.decode("utf-8-sig", errors="replace").strip()
            if text and not text.startswith("#"):
                ids.append(_id(text, f"{path}, line {number}"))
    return np.array(ids, dtype=np.int64)


def _is_list(head: bytes) -> bool:
    """Whether a text is a list of ids, not a table: no line names columns."""
    text = head.decode("utf-8-sig", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first[:1].isdigit() or first.lower().startswith("gaia ") or not _NAMES.search(first)


_NAMES = re.compile(r"source|[,;\t|]", re.IGNORECASE)
"""What is in a line of names of columns."""


def _id(text: str, where: str) -> np.int64:
    """The id in a line."""
    try:
        return np.int64(id_of_text(text))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (ValueError, OverflowError):
        raise InputError(
            f"{where}: {text[:40]!r} is not a source id; give one 64-bit integer a line"
        ) from None
