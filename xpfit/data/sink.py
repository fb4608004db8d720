"""What HDF5 writes to: HDF5 crashes if an error or a signal comes while it closes a file."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Sink:
    """A file for HDF5 that keeps the first error of writing, and ignores all writes after it.

    The lost writes do not matter, since the file is not used.

    Parameters
    ----------
    raw : io.FileIO
    """

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self.error: OSError | None = None
        self._signals: list[int] = []

    def require_written(self) -> None:
        """Raise the error of an earlier write, if there was one, or have a signal take effect."""
        while self._signals:
            signal.raise_signal(self._signals.pop())
        if self.error is not None:
            raise self.error

    @contextmanager
    def postponing_signals(self) -> Iterator[None]:
        """Postpone what handlers of signals do, while HDF5 writes, to the next `require_written`.

        Other code in the block is interrupted at once.
        """
        before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        if threading.current_thread() is threading.main_thread():
            handlers = {n: signal.getsignal(n) for n in map(_number, SIGNALS) if n is not None}
            before = {n: handler for n, handler in handlers.items() if callable(handler)}

        def handle(number: int, frame: FrameType | None) -> None:
            if _is_writing(frame):
                self._signals.append(number)
            else:
                before[number](number, frame)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is handle:
                    signal.signal(number, handler)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """As a file's."""
        return self._raw.tell()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        return self._raw.read(size) or b""

    def readinto(self, buffer: memoryview) -> int:
        """As a file's; zeros are what could not be written."""
        view, n_read = memoryview(buffer), 0
        while n_read < len(view):
            n = self._raw.readinto(view[n_read:])
            if not n:
                view[n_read:] = bytes(len(view) - n_read)
                break
            n_read += n
        return len(view)

    def write(self, data: memoryview) -> int:
        """As a file's, unless an earlier write has failed."""
        view, n_written = memoryview(data), 0
        try:
            while n_written < len(view) and self.error is None:
                n_written += self._raw.write(view[n_written:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int) -> int:
        """As a file's, unless an earlier write has failed."""
        try:
            if self.error is None:
                self._raw.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def flush(self) -> None:
        """There is no buffer."""


_CODE = {
    method.__code__
    for name, method in vars(Sink).items()
    if name in ("seek", "tell", "read", "readinto", "write", "truncate", "flush")
}
"""What HDF5 calls."""


def _is_writing(frame: FrameType | None) -> bool:
    """Whether HDF5 has called what is executed."""
    while frame is not None:
        if frame.f_code in _CODE:
            return True
        frame = frame.f_back
    return False


def _number(name: str) -> int | None:
    """Number of a signal, if the system has it."""
    return getattr(signal, name, None)
