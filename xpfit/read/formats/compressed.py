"""Files that may be packed, whatever their names, unpacked in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from ...errors import InputError
from ...files import file_of, split_choice
from ...integrity import require_plausible_size

HEAD = 65536
"""Bytes at the start of a file by which it is recognised, names of columns included."""

MAX_LINE = 1 << 24
"""Bytes of a line: those of XP continuous spectra have 150,000."""

UNSUSPICIOUS, MAX_RATIO, AHEAD = 1 << 22, 200, 1 << 17
"""Bytes after which `MAX_RATIO` unpacked for each packed one are too many, wherever they are in a
file, and by how many bytes gzip reads ahead. Repetitions are packed to a thousandth, no real rows
to a hundredth."""

UNPACKING_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""Errors at packed files that are damaged or cut off."""


def members(path: Path) -> list[str]:
    """Names of the files in a zip archive of several; none of any other file."""
    file, choice = split_choice(path)
    if choice or not zipfile.is_zipfile(file):
        return []
    with zipfile.ZipFile(file) as archive:
        names = _names(archive)
    return names if len(names) > 1 else []


def table_in(path: Path) -> str:
    """Number or name of the table that a path names; empty if none, or a file in an archive."""
    file, choice = split_choice(path)
    return "" if choice and zipfile.is_zipfile(file) else choice


def _names(archive: zipfile.ZipFile) -> list[str]:
    """Names of the files in an archive, without what operating systems add."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    return [info.filename for info in infos if not info.filename.startswith("__MACOSX/")]


def _open_member(file: BinaryIO, name: str) -> IO[bytes]:
    """A file in a zip archive; the only one if no name is given."""
    archive = zipfile.ZipFile(file)
    names = _names(archive)
    if not name and len(names) == 1:
        name = names[0]
    if name not in names:
        raise InputError(
            f"{len(names)} files in this zip archive; name one as FILE[NAME]: {', '.join(names)}"
        )
    return archive.open(name)


_PACKERS: dict[bytes, Callable[[BinaryIO, str], Any]] = {
    b"\x1f\x8b": lambda file, name: gzip.GzipFile(fileobj=file),
    b"BZh": lambda file, name: bz2.BZ2File(file),
    b"\xfd7zXZ\x00": lambda file, name: lzma.LZMAFile(file),  # noqa: SIM115
    b"PK\x03\x04": _open_member,
}
"""How files are unpacked, by their first bytes; the name is that of a file in an archive."""

_STREAMS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
}
"""The same for the first bytes of files that may be cut off."""

_OTHERS = {b"\x1f\x9d": "compress", b"\x28\xb5\x2f\xfd": "zstd"}
"""Which astropy would unpack as well, without bounds."""

_MAGIC = 6
"""Length of the longest of these."""


def is_zipped(path: Path) -> bool:
    """Whether a file is packed with gzip, bzip2, xz or zip.

    Raises
    ------
    InputError
        If it is packed in another way.
    """
    with file_of(path).open("rb") as file:
        return _unpacker(file.read(_MAGIC), path) is not None


def _unpacker(head: bytes, path: Path) -> Callable[[BinaryIO, str], Any] | None:
    """How to unpack a file, from its first bytes; None if it is not packed."""
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise InputError(f"{path}: packed with {name}; unpack it, or pack it with gzip")
    return next((unpack for magic, unpack in _PACKERS.items() if head.startswith(magic)), None)


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if it is packed with gzip, bzip2, xz or zip.

    Raises
    ------
    InputError
        If it is packed in another way; when it is read, if it is unpacked to much more than real
        data are (`require_plausible_size`).
    """
    place, name = split_choice(path)
    with place.open("rb") as file:
        unpack = _unpacker(file.peek(_MAGIC)[:_MAGIC], path)
        yield file if unpack is None else _buffered(path, file, lambda: unpack(file, name))


def _buffered(path: Path, file: BinaryIO, unpack: Callable[[], Any]) -> BinaryIO:
    """The content of a packed file."""
    try:
        return io.BufferedReader(_Unpacked(path, file, unpack()), HEAD)
    except (InputError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {error}") from error


class _Unpacked(io.RawIOBase):
    """The content of a packed file, as long as its length is plausible."""

    def __init__(self, path: Path, file: BinaryIO, stream: Any):
        self._path, self._file, self._packed, self._stream = path, file_of(path), file, stream
        self._n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        self._n_read += len(data)
        if self._n_read > UNSUSPICIOUS:
            require_plausible_size(self._file, self._n_read)
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
    with file_of(path).open("rb") as file:
        packed = file.read(HEAD)
    if _unpacker(packed[:_MAGIC], path) is None:
        return packed
    start = next((new for magic, new in _STREAMS.items() if packed.startswith(magic)), None)
    head = b""
    try:
        if start is None:  # zip archives are read from their ends
            with open_binary(path) as file:
                return file.read(HEAD)
        while packed and len(head) < HEAD:
            stream = start()
            head += stream.decompress(packed, HEAD - len(head))
            packed = stream.unused_data
    except UNPACKING_ERRORS as error:
        if not head:
            raise InputError(f"{path}: the file is truncated or damaged ({error})") from error
    return head
