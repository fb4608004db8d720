"""Whether a file is what it says: sizes that cannot be, checksums that are to be compared."""

from __future__ import annotations

import os

from .errors import InputError

MAX_EXPANSION = 50
"""Real spectra and catalogues are packed to a fifth at most, single columns to a fiftieth."""

ALWAYS_PLAUSIBLE = 1 << 26
"""Bytes that any file may hold: 64 MB."""

VERIFY = "XPFIT_VERIFY"
"""Environment variable: 0 to read files without comparing their checksums."""


def verifying() -> bool:
    """Whether checksums of files are compared when they are read: `VERIFY`, or ``--no-verify``."""
    return os.environ.get(VERIFY, "1") != "0"


def require_plausible_size(path: str | os.PathLike, n_bytes: int) -> None:
    """Refuse a file that would fill the memory with what is not in it.

    Parameters
    ----------
    path : path-like
    n_bytes : int
        What the file says that it holds, or what was unpacked of it so far.

    Raises
    ------
    InputError
        If that is more than `MAX_EXPANSION` times the size of the file, and `ALWAYS_PLAUSIBLE`.
    """
    size = os.stat(path).st_size
    if n_bytes > max(ALWAYS_PLAUSIBLE, MAX_EXPANSION * size):
        raise InputError(
            f"{path}: a file of {size:,} bytes that is said to hold {n_bytes:,} or more; it is "
            "damaged, or made to fill the memory"
        )
