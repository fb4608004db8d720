"""Lists of Gaia source ids."""

from __future__ import annotations

import os

import numpy as np

from ..errors import InputError
from ..files import existing_file
from .joins import id_of_text, integer_ids
from .tables import is_table, read_table


def read_source_ids(path: str | os.PathLike) -> np.ndarray:
    """Read source ids from a text file or from a table.

    Parameters
    ----------
    path : path-like
        Text with one id, or designation ("Gaia DR3 123"), per line (blank lines and lines that
        start with ``#`` are skipped), or a table (FITS, ECSV, CSV, VOTable) with a column of ids
        (see `xpfit.read.joins`).

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
    if is_table(path):
        return integer_ids(read_table(path), str(path))
    ids = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            ids.append(np.int64(id_of_text(text)))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        except (ValueError, OverflowError):
            raise InputError(
                f"{path}, line {number}: {text[:40]!r} is not a source id; give one "
                "64-bit integer a line"
            ) from None
    return np.array(ids, dtype=np.int64)
