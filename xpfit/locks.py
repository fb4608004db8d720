"""Locks that the system releases when their owner ends, however it ends."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def hold(path: Path) -> int | None:
    """Hold the lock of a file, which is created if it does not exist.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int or None
        Descriptor of the open file, which holds the lock until it is closed; None if another
        process holds it, or has removed it.

    Raises
    ------
    OSError
        If the file system does not support locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o600)
    except FileNotFoundError:
        return None
    held = False
    try:
        held = _lock(descriptor) and os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        pass
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


@contextmanager
def locked(path: Path, busy: str, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock of a file in a block; the file names its owner.

    Parameters
    ----------
    path : Path
    busy : str
        What is wrong, and what to do, if another process holds it.
    remove : bool
        Remove the file at the end.

    Raises
    ------
    OutputError
        If another process holds it, or the file system does not support locks.
    """
    try:
        descriptor = hold(path)
        owner = "" if descriptor is not None else path.read_text("utf-8", "replace")[:80].strip()
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be locked ({error.strerror or error}); use a directory on a file "
            "system with locks"
        ) from error
    if descriptor is None:
        raise OutputError(f"{busy} ({owner or 'unknown owner'})")
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        if remove:
            with suppress(OSError):  # it is open, which some systems mind
                path.unlink()
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file if it is free; whether it was."""
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
