"""Inputs of a run, divided into chunks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...prepare.store.hdf5 import count_spectra
from ...read import spectra_kind

STARS_PER_CHUNK = 10_000
"""Stars of a chunk: seconds of work, and megabytes of results."""


@dataclass(frozen=True)
class Chunk:
    """A piece of work: some rows of a file of prepared spectra, or a whole file of another kind.

    Attributes
    ----------
    index : int
        Number in the run.
    path : str
        Absolute.
    start, stop : int or None
        Rows of prepared spectra; None for a whole file, whose length is not yet known.
    """

    index: int
    path: str
    start: int | None = None
    stop: int | None = None

    @property
    def n_source(self) -> int | None:
        """Number of sources, if it is known."""
        return None if self.stop is None else self.stop - self.start

    def __str__(self) -> str:
        rows = "" if self.stop is None else f", rows {self.start} to {self.stop - 1}"
        return f"{self.path}{rows}"


def plan_chunks(inputs: Sequence[str | os.PathLike], stars_per_chunk: int) -> list[Chunk]:
    """Divide inputs into chunks, which depend on nothing but the inputs.

    Parameters
    ----------
    inputs : sequence of path-like
        Files of spectra. A damaged one is one chunk, which will be refused.
    stars_per_chunk : int

    Returns
    -------
    list of Chunk

    Raises
    ------
    InputError
        If there are no inputs, one is given twice, or `stars_per_chunk` is not positive.
    FileNotFoundError
        If one does not exist.
    """
    if stars_per_chunk < 1:
        raise InputError(f"a chunk needs at least one star, got {stars_per_chunk}")
    paths = [str(Path(path).resolve()) for path in inputs]
    if not paths:
        raise InputError("there are no inputs to run on")
    if len(set(paths)) < len(paths):
        twice = next(path for path, n in Counter(paths).items() if n > 1)
        raise InputError(f"{twice} is given twice; name every input once")
    chunks: list[Chunk] = []
    for path in paths:
        for rows in _pieces(path, stars_per_chunk):
            chunks.append(Chunk(len(chunks), path, *rows))
    return chunks


def _pieces(path: str, size: int) -> list[tuple[int, int] | tuple[()]]:
    """Rows of the chunks of a file; of a whole file, nothing."""
    try:
        if spectra_kind(path) != "prepared":
            return [()]
        n_star = count_spectra(path)
    except FileNotFoundError:
        raise
    except (InputError, OSError):
        return [()]
    return [(start, min(start + size, n_star)) for start in range(0, n_star, size)]
