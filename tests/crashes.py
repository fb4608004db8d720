"""Commands in forked processes, stopped at a chosen write, rename or other step of their output.

Points are counted, not timed: the profiler of Python tells of every call of a function of the
operating system that changes files, before and after it, wherever it is made (in xpfit, the
standard library, astropy, ...). What compiled libraries write is reached by a limit on the size of
files, at which the system stops the process, or refuses to write more.
"""

from __future__ import annotations

import errno
import inspect
import io
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers import run_command

CHANGES = {
    "link", "rename", "replace", "fsync", "mkdir", "rmdir", "unlink", "remove", "chmod", "truncate",
    "ftruncate", "flock", "write", "writelines", "tofile", "flush", "close",
}  # fmt: skip
"""Functions and methods that change files."""


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes
    ----------
    status : int
        As a shell gives it: 128 and the number of the signal that killed the process.
    said : str
        On standard error.
    """

    status: int
    said: str


def steps(work: Callable[[], object]) -> list[str]:
    """Names of the steps of some work that change files, before (call) and after (return)."""
    found: list[str] = []

    def note(frame, event, function):
        if event in ("c_call", "c_return") and _changes_files(function):
            found.append(f"{event.removeprefix('c_')} {function.__name__}")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def chosen(names: list[str], n: int, rng: np.random.Generator) -> list[int]:
    """At most `n` of the steps, of every kind about as many."""
    kinds = [np.flatnonzero(np.array(names) == kind) for kind in sorted(set(names))]
    found = [int(rng.choice(kind)) for kind in rng.permutation(np.array(kinds, dtype=object))]
    others = rng.permutation(np.setdiff1d(np.arange(len(names)), found)).tolist()
    return sorted([*found, *others][:n])


def stop_at(step: int, action: int | OSError) -> Callable[[], None]:
    """What has a process stopped by a signal, or met by an error, at one of its `steps`."""
    n_left = step

    def count(frame, event, function):
        nonlocal n_left
        if event not in ("c_call", "c_return") or not _changes_files(function):
            return
        n_left -= 1
        if n_left < 0:
            sys.setprofile(None)
            if isinstance(action, OSError):
                raise action
            os.kill(os.getpid(), action)

    return lambda: sys.setprofile(count)


def full_disk() -> OSError:
    """The error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def limited(n_bytes: int, *, fatal: bool = False) -> Callable[[], None]:
    """What has no file of a process grow above a size: an error; or fatal, in a write."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if fatal else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def in_child(command: list, directory: Path, prepare: Callable[[], None] = lambda: None) -> Ending:
    """Run a command in a forked process, in a directory, after some preparations."""
    receiver, sender = os.pipe()
    process = os.fork()
    if process == 0:
        _as_child(command, directory, prepare, sender)
    os.close(sender)
    with open(receiver, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return Ending(code if code >= 0 else 128 - code, said)


def _as_child(command, directory, prepare, sender) -> None:
    """Run a command and end the process."""
    status = 99
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(sender, 2)
        sys.stdout, sys.stderr = (os.fdopen(i, "w", closefd=False) for i in (1, 2))
        os.chdir(directory)
        warnings.simplefilter("default")
        prepare()
        status = run_command(*command)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.setprofile(None)
        sys.stderr.flush()
        os._exit(status)


def _changes_files(function) -> bool:
    """Whether a function of C is one of `CHANGES`, of the operating system or of a file."""
    if function.__name__ not in CHANGES:
        return False
    owner = getattr(function, "__self__", None)
    if inspect.ismodule(owner):
        return owner.__name__ in ("posix", "fcntl")
    if isinstance(owner, np.ndarray):
        return True
    if owner in (sys.stdout, sys.stderr):
        return False
    if not isinstance(owner, (io.FileIO, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)):
        return False
    try:
        return owner.writable() and owner.fileno() > 2
    except (OSError, ValueError):
        return False
