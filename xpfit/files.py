"""Input files that must exist, and output files that are written completely or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from .errors import InputError, OutputError
from .temporary import make_directory, temporary_directory

_CHOICE = re.compile(r"(.+)\[([^\[\]]+)\]", re.DOTALL)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def split_choice(path: str | os.PathLike) -> tuple[Path, str]:
    """File, and which of its tables is meant.

    Parameters
    ----------
    path : path-like
        ``FILE``, or ``FILE[TABLE]`` with the number or the name of a table in a file.

    Returns
    -------
    file : Path
    choice : str
        Number or name of the table; empty if none is given.
    """
    path = Path(path)
    match = _CHOICE.fullmatch(str(path))
    if match is None or os.path.lexists(path):
        return path, ""
    return Path(match[1]), match[2].strip()


def file_of(path: str | os.PathLike) -> Path:
    """The file of a path that may name a table in it (see `split_choice`)."""
    return split_choice(path)[0]


def existing_file(
    path: str | os.PathLike, hint: str = "no such file; check the path", *, empty: bool = True
) -> Path:
    """Path of an existing file.

    Parameters
    ----------
    path : path-like
        With a table in it, where the caller can choose one (see `split_choice`).
    hint : str
        Text of the error otherwise.
    empty : bool
        Whether it may be empty.

    Returns
    -------
    Path
        As given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is empty and must not be.
    """
    path = Path(path)
    file = file_of(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: {hint}")
    if not empty and file.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; fetch or write it again")
    return path


def check_output(
    path: str | os.PathLike, *, overwrite: bool, inputs: Mapping[str, str] | None = None
) -> Path:
    """Refuse an output that cannot or must not be written, before any computation.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.
    inputs : mapping of str to str, optional
        Files that are read, and what each is, for messages; none of them may be the output.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If the file is one of the inputs (under whatever name), if it exists and `overwrite` is
        off, if it is a directory or a device, if its name is too long, or if its directory does
        not exist or cannot be written to.
    """
    path = Path(path)
    try:
        _check_place(path, overwrite, inputs or {})
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _check_place(path: Path, overwrite: bool, inputs: Mapping[str, str]) -> None:
    """The checks of `check_output`."""
    if path.is_dir():
        raise OutputError(f"{path} is a directory; give a file name")
    if os.path.lexists(path):
        _refuse_inputs(path, inputs)
        if not overwrite:
            raise OutputError(
                f"{path} exists already; use --overwrite (overwrite=True) to replace it"
            )
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is a device or a pipe; give the name of a file")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such directory; create it first")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot write here ({error.strerror})") from error


def _refuse_inputs(path: Path, inputs: Mapping[str, str]) -> None:
    """Refuse an existing output that is one of the inputs, or in an input directory."""
    for name, what in inputs.items():
        try:
            files = Path(name).rglob("*") if os.path.isdir(name) else [file_of(name)]
            same = any(os.path.samefile(path, file) for file in files if os.path.exists(file))
        except OSError:
            continue  # an input that cannot be examined is refused when it is read
        if same:
            raise OutputError(
                f"{path} is read by this command as well ({what}), so that writing would destroy "
                "it; give another output"
            )


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
        make_directory(path)
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
        Whether an existing file may be replaced; the new one keeps its permissions.

    Yields
    ------
    Path
        The same name in a temporary directory beside it. Nothing is left of it if the block raises.

    Raises
    ------
    OutputError
        As `check_output`, or if writing fails. If another program has written `path` in the
        meantime and must not be overwritten, the message names the file that holds this output.
    """
    path = check_output(path, overwrite=overwrite)
    with ExitStack() as stack:
        with _explained(path, path.parent):
            directory = stack.enter_context(temporary_directory(path.parent))
        with _explained(path, directory):
            yield directory / path.name
        with _explained(path, path.parent):
            _finish(directory / path.name, path, overwrite)


def new_log(path: str | os.PathLike, *, overwrite: bool) -> TextIO:
    """Open a text file that is to be read while it grows; links are not followed.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    file open for writing text

    Raises
    ------
    OutputError
        If it cannot be opened.
    """
    path = check_output(path, overwrite=overwrite)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return open(
            os.open(path, flags | (os.O_TRUNC if overwrite else os.O_EXCL), 0o666),
            "w",
            encoding="utf-8",
        )
    except OSError as error:
        raise OutputError(f"{path}: could not be written ({error.strerror})") from error


@contextmanager
def _explained(path: Path, directory: Path) -> Iterator[None]:
    """Raise `OutputError` for errors of writing in a directory, not of reading something else."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if isinstance(error.filename, (str, bytes, os.PathLike)):
            writing = Path(os.fsdecode(error.filename)).is_relative_to(directory)
        elif error.errno is None:
            writing = not isinstance(error, FileNotFoundError)
        else:
            writing = error.errno in _FULL
        if not writing:
            raise
        raise OutputError(f"{path}: could not be written ({error})") from error


def _finish(part: Path, path: Path, overwrite: bool) -> None:
    """Put a complete file into its place, on disk when this returns."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    with suppress(FileNotFoundError):
        part.chmod(stat.S_IMODE(path.stat().st_mode) & 0o777)
    if overwrite:
        os.replace(part, path)
    else:
        _place(part, path)
    with suppress(OSError):  # directories cannot be opened everywhere
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _place(part: Path, path: Path) -> None:
    """Give a file its name, unless there is one; then a name with a number, and an error."""
    try:
        _link(part, path)
        return
    except FileExistsError:
        pass
    for number in range(1, 1000):
        other = path.with_name(f"{path.stem}.{number}{path.suffix}")
        with suppress(FileExistsError):
            _link(part, other)
            raise OutputError(
                f"{path} was written by another program in the meantime; the output of this one "
                f"is in {other}"
            )


def _link(part: Path, path: Path) -> None:
    """Give a file another name, in one step with the check that there is no such file."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(part, path)
