"""What is unfinished: temporary directories, new directories, and how they are cleared away.

An output is written in a temporary directory beside it, which only its owner may enter and whose
name cannot be guessed, so that nobody can put links into the way. Its owner holds a lock in it:
what a killed process leaves behind is not locked, and the next writer removes it. An interruption
may come at any moment, that of clearing away included: what this process has begun is recorded
first, so that `cleared` finds it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .locks import hold

PREFIX, SUFFIX, LOCK = ".xpfit-", ".part", "lock"
"""Of temporary directories, and the lock in them."""

_temporary: dict[Path, int] = {}
"""Temporary directories, and the processes that made them."""

_made: dict[Path, int] = {}
"""Directories for output that did not exist before, and the processes that made them."""


@contextmanager
def cleared() -> Iterator[None]:
    """Whatever ends the block other than well, it leaves nothing unfinished behind.

    Directories that were made in it, and are empty, are removed as well.
    """
    _made.clear()
    try:
        yield
    except BaseException:
        for directory in _own(_temporary):
            shutil.rmtree(directory, ignore_errors=True)
            _temporary.pop(directory, None)
        for directory in reversed(_own(_made)):
            with suppress(OSError):  # it is not empty
                directory.rmdir()
        raise


def _own(directories: dict[Path, int]) -> list[Path]:
    """Those of this process, not of the one that it was forked from."""
    return [directory for directory, process in directories.items() if process == os.getpid()]


def make_directory(path: Path) -> None:
    """Make a directory for output, and those above it, if they do not exist.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
    """
    path = path.absolute()
    new = [p for p in (*reversed(path.parents), path) if not p.exists()]
    _made.update(dict.fromkeys(new, os.getpid()))
    path.mkdir(parents=True, exist_ok=True)


@contextmanager
def temporary_directory(parent: Path) -> Iterator[Path]:
    """A locked directory of this process alone; earlier ones without an owner are removed.

    Parameters
    ----------
    parent : Path

    Yields
    ------
    Path

    Raises
    ------
    OSError
        If it cannot be made.
    """
    remove_leftovers(parent)
    directory, lock = parent, None
    while lock is None:  # another process may take it for a leftover before it is locked
        directory = parent / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
        _temporary[directory.absolute()] = os.getpid()
        try:
            directory.mkdir(0o700)
        except OSError:
            del _temporary[directory.absolute()]
            raise
        try:
            lock = hold(directory / LOCK)
        except OSError:
            lock = -1  # locks are not supported here: nobody can remove it
    try:
        yield directory
    finally:
        _remove(directory, lock)
        _temporary.pop(directory.absolute(), None)


def remove_leftovers(directory: Path) -> None:
    """Remove what killed processes have left unfinished in a directory.

    Parameters
    ----------
    directory : Path
    """
    with os.scandir(directory) as entries:
        names = [e.name for e in entries if e.name.startswith(PREFIX) and e.name.endswith(SUFFIX)]
    for name in names:
        leftover = directory / name
        with suppress(OSError):  # locks are not supported here, or somebody else was faster
            status = leftover.lstat()
            if not stat.S_ISDIR(status.st_mode) or (
                hasattr(os, "geteuid") and status.st_uid != os.geteuid()
            ):
                continue
            lock = hold(leftover / LOCK)
            if lock is not None:
                _remove(leftover, lock)


def _remove(directory: Path, lock: int) -> None:
    """Remove a temporary directory, its lock last."""
    with suppress(OSError):
        for entry in sorted(directory.iterdir(), key=lambda entry: entry.name == LOCK):
            if entry.name == LOCK and lock >= 0:
                os.close(lock)
                lock = -1
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        directory.rmdir()
    if lock >= 0:
        os.close(lock)
