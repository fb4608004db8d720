"""Input files that must exist, and output files that are written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, OutputError


def existing_file(
    path: str | os.PathLike, hint: str = "no such file; check the path", *, empty: bool = True
) -> Path:
    """Path of an existing file.

    Parameters
    ----------
    path : path-like
    hint : str
        Text of the error otherwise.
    empty : bool
        Whether it may be empty.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is empty and must not be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {hint}")
    if not empty and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; fetch or write it again")
    return path


def check_output(path: str | os.PathLike, *, overwrite: bool) -> Path:
    """Refuse an output that cannot or must not be written, before any computation.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If the file exists and `overwrite` is off, if it is a directory, or if its directory does
        not exist or cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a directory; give a file name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; use --overwrite (overwrite=True) to replace it")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such directory; create it first")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot write here ({error.strerror})") from error
    return path


def output_directory(path: str | os.PathLike) -> Path:
    """Create a directory for output, if it does not exist.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If it cannot be created or written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OutputError(
            f"{path}: not a directory that can be written to ({error.strerror})"
        ) from error
    return path


@contextmanager
def atomic_output(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[Path]:
    """Path to write to, which becomes `path` when the block ends without an error.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    Path
        A temporary name in the same directory, with the same ending. Such a file is removed if the
        block raises.

    Raises
    ------
    OutputError
        As `check_output`, or if writing fails.
    """
    path = check_output(path, overwrite=overwrite)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: could not be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
