"""How commands end otherwise than well: errors in one line, and signals like Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ..errors import InputError, XpfitError
from ..files import file_of
from ..temporary import PREFIX

REPORT_TO = "the developers (see README.md)"

_PATHS = ("path", "filename", "output")
"""Names of variables that hold the file that a function works on."""


def explain(error: Exception) -> str:
    """What went wrong, in words, with the name of the file.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str
    """
    text = str(error)
    if isinstance(error, InputError):
        return text + _hint(text)
    if isinstance(error, XpfitError):
        return text
    name = _file_of(error)
    of_file = f"{name}: " if name else ""
    if isinstance(error, OSError):
        if error.filename is not None:
            of_file = f"{_text(error.filename)}: "
        elif error.errno is None:
            return text if isinstance(error, FileNotFoundError) else f"{of_file}{text}"
        return f"{of_file}{error.strerror or text}"
    if isinstance(error, UnicodeError):
        return f"{of_file}not UTF-8 text ({text}); save it as UTF-8, or give another file"
    if isinstance(error, MemoryError):
        return (
            f"{of_file}not enough memory {f'({text})' if text else ''}; give fewer or smaller files"
        )
    if isinstance(error, RecursionError):
        return f"{of_file}nested too deeply; the file is damaged, or not what it seems"
    if isinstance(error, OverflowError):
        return f"{of_file}a number is too large ({text})"
    return (
        f"{of_file}a fault of xpfit ({type(error).__name__}: {text}); please report it to "
        f"{REPORT_TO}, with what the same command prints with --debug"
    )


def _hint(text: str) -> str:
    """How to find out more about a file that a message begins with."""
    name = text.partition(": ")[0]
    try:
        is_file = file_of(name).is_file()
    except ValueError:  # no file has such a name
        return ""
    return f" ('xpfit inspect {shlex.quote(name)}' shows what is in it)" if is_file else ""


def _file_of(error: Exception) -> str:
    """File that the innermost function of xpfit worked on, where it says so."""
    found, trace = "", error.__traceback__
    while trace is not None:
        if _is_ours(trace.tb_frame):
            for name in _PATHS:
                value = trace.tb_frame.f_locals.get(name)
                if isinstance(value, (str, Path)) and PREFIX not in str(value):
                    found = str(value)
        trace = trace.tb_next
    return found


def _is_ours(frame: FrameType) -> bool:
    """Whether a function is one of xpfit."""
    return Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parents[1])


def _text(name: object) -> str:
    """A file name as text."""
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)


@contextmanager
def ending_signals() -> Iterator[list[int]]:
    """Have SIGTERM and SIGHUP end a block as Ctrl-C does, so that it cleans up after itself.

    Yields
    ------
    list of int
        Of the signals received so far. The second one ends the process at once.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
        # What is ignored (nohup) or handled already stays so.
        before = {n: end for n in numbers if n and signal.getsignal(n) is signal.SIG_DFL}
    for number, handler in before.items():
        signal.signal(number, handler)
    try:
        yield received
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
