"""Whether the files of a run still hold what they held when it began.

Each file is known by its size, time of modification and a digest of blocks spread over it, which
are looked at whenever a run is resumed, and by the digest of the whole, which is computed once, and
again only for a file whose time of modification is another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError
from ...files import file_of

N_BLOCKS, BLOCK = 16, 1 << 16
"""Blocks whose digest stands for a file, and their length in bytes: a millisecond's reading."""


@dataclass(frozen=True)
class Contents:
    """What a file held.

    Attributes
    ----------
    size, mtime_ns : int
        Bytes; time of modification.
    sample, sha256 : str
        Digests of `N_BLOCKS` blocks, and of the whole file.
    """

    size: int
    mtime_ns: int
    sample: str
    sha256: str

    def is_unchanged(self, path: str | os.PathLike) -> Contents | None:
        """What the file holds now, if that is the same; None if it has changed or cannot be read.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Contents or None
            Its time of modification may be another.
        """
        try:
            state = os.stat(file_of(path))
            if state.st_size != self.size or _sample(path, state.st_size) != self.sample:
                return None
            if state.st_mtime_ns == self.mtime_ns:
                return self
            if _whole(path) != self.sha256:
                return None
        except OSError:
            return None
        return Contents(self.size, state.st_mtime_ns, self.sample, self.sha256)

    def looks_unchanged(self, path: str | os.PathLike) -> bool:
        """Whether size and time of modification are the same: for use while a run is active."""
        try:
            state = os.stat(file_of(path))
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (self.size, self.mtime_ns)


def contents_of(job: None, path: str | os.PathLike) -> Contents | None:
    """What a file holds; None if it cannot be read. `job` is there for `executor_of`."""
    try:
        state = os.stat(file_of(path))
        return Contents(
            state.st_size, state.st_mtime_ns, _sample(path, state.st_size), _whole(path)
        )
    except OSError:
        return None


def sha256_of(file: BinaryIO) -> str:
    """SHA-256 of the rest of an open file, in hexadecimal digits."""
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def refuse_modified_since(record: Path, sizes: Mapping[str, int], paths: Iterable[str]) -> None:
    """Refuse to resume a run of an earlier version, which knew inputs by their size only.

    Parameters
    ----------
    record : Path
        Written when the run began.
    sizes : mapping of str to int
        As recorded there, by path.
    paths : iterable of str

    Raises
    ------
    InputError
        If an input has another size, or was modified after the run had begun.
    """
    began = record.stat().st_mtime_ns
    changed = []
    for path in paths:
        state = os.stat(file_of(path))
        if state.st_size != sizes.get(path, state.st_size) or state.st_mtime_ns > began:
            changed.append(path)
    if changed:
        raise changed_error(record.parent, changed)


def changed_error(directory: Path, paths: Iterable[str]) -> InputError:
    """The error for inputs that have changed since a run began."""
    names = sorted(str(path) for path in paths)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return InputError(
        f"{', '.join(names[:5])}{more}: not the file that the run in {directory} began with, whose "
        "rows are in it; put that back to resume the run, or give another --output-dir"
    )


def _sample(path: str | os.PathLike, size: int) -> str:
    """Digest of blocks spread evenly over a file, its first and last among them."""
    digest = hashlib.sha256(str(size).encode())
    last = max(size - BLOCK, 0)
    with open(file_of(path), "rb") as file:
        for start in sorted({last * i // (N_BLOCKS - 1) for i in range(N_BLOCKS)}):
            file.seek(start)
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _whole(path: str | os.PathLike) -> str:
    """SHA-256 of a file."""
    with open(file_of(path), "rb") as file:
        return sha256_of(file)
