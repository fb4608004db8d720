"""Files that users bring for a correction, known by their contents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...errors import InputError

N_DIGITS = 12
"""Hexadecimal digits of a digest that stand for files in the identifier of a correction."""


def digest_of(paths: Iterable[Path]) -> str:
    """Digest of the names and contents of files.

    Raises
    ------
    InputError
        If one cannot be read.
    """
    sha = hashlib.sha256()
    for path in paths:
        sha.update(f"{path.name} {_digest(path)}\n".encode())
    return sha.hexdigest()[:N_DIGITS]


def _digest(path: Path) -> str:
    """SHA-256 of a file."""
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                sha.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return sha.hexdigest()


def directory_with(path: str | os.PathLike, names: Iterable[str], where: str) -> Path:
    """A directory that must hold files.

    Parameters
    ----------
    path : path-like
    names : iterable of str
    where : str
        Where these files are to be had, for messages.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    InputError
        If it lacks a file.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such directory; it is to hold {where}")
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{directory} lacks {missing[0]}{more}; it is to hold {where}")
    return directory


def count_cells(path: Path) -> tuple[int, int]:
    """Rows of a text file, and cells of its first.

    Raises
    ------
    InputError
        If it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
            n_rows = bool(first.strip()) + sum(1 for line in file if line.strip())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not n_rows:
        raise InputError(f"{path}: the file is empty; fetch it again")
    return n_rows, first.count(b",") + 1


def read_numbers(path: Path, expected: str) -> np.ndarray:
    """Numbers separated by commas, without a header.

    Parameters
    ----------
    path : Path
    expected : str
        What the file is to hold, for messages.

    Returns
    -------
    ndarray, shape (n_row, n_column)

    Raises
    ------
    InputError
        If it holds anything else than finite numbers.
    """
    try:
        values = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; expected {expected}") from error
    if not np.all(np.isfinite(values)):
        raise InputError(f"{path}: holds numbers that are not finite; expected {expected}")
    return values
