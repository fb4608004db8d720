"""Files that may be gzipped, whatever their names, unpacked in bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError
from ...integrity import require_plausible_size

HEAD = 65536
"""Bytes at the start of a file by which it is recognised, names of columns included."""

MAX_LINE = 1 << 24
"""Bytes of a line: those of XP continuous spectra have 150,000."""

UNSUSPICIOUS, MAX_RATIO, AHEAD = 1 << 22, 200, 1 << 17
"""Bytes after which `MAX_RATIO` unpacked for each packed one are too many, wherever they are in a
file, and by how many bytes gzip reads ahead. Repetitions are packed to a thousandth, no real rows
to a hundredth."""

_GZIP = b"\x1f\x8b"

_OTHERS = {
    b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"\x1f\x9d": "compress",
    b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip
"""Which astropy would unpack as well, without bounds."""


def is_zipped(path: Path) -> bool:
    """Whether a file is gzipped.

    Raises
    ------
    InputError
        If it is packed in another way.
    """
    with path.open("rb") as file:
        return _is_zipped(file.read(6), path)


def _is_zipped(head: bytes, path: Path) -> bool:
    """As `is_zipped`, from the first six bytes."""
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise InputError(f"{path}: packed with {name}; unpack it, or pack it with gzip")
    return head.startswith(_GZIP)


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file, through gzip if it is zipped.

    Raises
    ------
    InputError
        If it is packed in another way; when it is read, if it is unpacked to much more than real
        data are (`require_plausible_size`).
    """
    with path.open("rb") as file:
        zipped = _is_zipped(file.peek(6)[:6], path)
        yield io.BufferedReader(_Unzipped(path, file), HEAD) if zipped else file


class _Unzipped(io.RawIOBase):
    """The content of a gzipped file, as long as its length is plausible."""

    def __init__(self, path: Path, file: BinaryIO):
        self._path, self._packed, self._stream = path, file, gzip.GzipFile(fileobj=file)
        self._n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        self._n_read += len(data)
        if self._n_read > UNSUSPICIOUS:
            require_plausible_size(self._path, self._n_read)
            packed = max(self._packed.tell() - AHEAD, 0)
            if self._n_read > UNSUSPICIOUS + MAX_RATIO * packed:
                raise InputError(
                    f"{self._path}: {self._packed.tell():,} bytes of it are unpacked to "
                    f"{self._n_read:,} or more; it is damaged, or made to fill the memory"
                )
        return len(data)


def bounded_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Lines of a file, with their ends.

    Raises
    ------
    InputError
        If one is longer than any real row.
    """
    for line in iter(lambda: file.readline(MAX_LINE + 1), b""):
        if len(line) > MAX_LINE:
            raise InputError(f"{path}: a line of more than {MAX_LINE:,} bytes; this is not a table")
        yield line


def read_head(path: Path) -> bytes:
    """First `HEAD` bytes of a file, unzipped; fewer if a zipped file is cut off before.

    Raises
    ------
    InputError
        If a zipped file is damaged, or packed in another way.
    """
    with path.open("rb") as file:
        packed = file.read(HEAD)
    if not _is_zipped(packed[:6], path):
        return packed
    head = b""
    try:
        while packed and len(head) < HEAD:
            stream = zlib.decompressobj(wbits=31)
            head += stream.decompress(packed, HEAD - len(head))
            packed = stream.unused_data
    except zlib.error as error:
        if not head:
            raise InputError(f"{path}: the file is truncated or damaged ({error})") from error
    return head
