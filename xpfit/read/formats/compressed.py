"""Files that may be gzipped, whatever their names."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError

HEAD = 65536
"""Bytes at the start of a file by which it is recognised, names of columns included."""

_GZIP = b"\x1f\x8b"


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file, through gzip if it is zipped."""
    with path.open("rb") as file:
        zipped = file.peek(2)[:2] == _GZIP
        yield gzip.GzipFile(fileobj=file) if zipped else file


def read_head(path: Path) -> bytes:
    """First `HEAD` bytes of a file, unzipped; fewer if a zipped file is cut off before.

    Raises
    ------
    InputError
        If a zipped file is damaged.
    """
    with path.open("rb") as file:
        packed = file.read(HEAD)
    if packed[:2] != _GZIP:
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
