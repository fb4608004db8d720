"""The work of a run: one chunk of spectra -> files of rows, in any process."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from threadpoolctl import threadpool_limits

from ...files import atomic_output
from ...healpix import healpix_29
from ...quality import is_reliable
from .. import parquet
from ..columns import add_column
from ..pipeline import Pipeline
from .contents import sha256_of
from .plan import Chunk

ROWS_PER_PART = 50_000
"""Rows of a file after which the next is begun, for inputs of unknown length."""

HEALPIX_COLUMN = "_healpix_29"


@dataclass(frozen=True)
class Part:
    """A file of rows of a chunk, or of the catalogue.

    Attributes
    ----------
    name : str
    rows, size : int
        Rows; bytes.
    sha256 : str
    """

    name: str
    rows: int
    size: int
    sha256: str

    def is_on_disk(self, path: Path) -> bool:
        """Whether the file exists with the size that it had when it was written."""
        return path.is_file() and path.stat().st_size == self.size


@dataclass(frozen=True)
class ChunkResult:
    """Outcome for the sources of a chunk.

    Attributes
    ----------
    parts : tuple of Part
    n_fitted : int
        Sources with a reliable fit (`xpfit.is_reliable`).
    n_flagged : int
        The other sources in the catalogue.
    lost : str
        What of the input could not be read, and why; empty if it was read whole.
    joined : dict of str to list of int
        Number of stars, and how many of them each joined table has (`Additions.found`).
    """

    parts: tuple[Part, ...]
    n_fitted: int
    n_flagged: int
    lost: str = ""
    joined: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict) -> ChunkResult:
        """From the manifest."""
        parts = tuple(Part(**part) for part in values["parts"])
        more = {name: values[name] for name in ("lost", "joined") if name in values}
        return cls(parts, values["n_fitted"], values["n_flagged"], **more)


def fit_chunk(pipeline: Pipeline, chunk: Chunk, directory: str) -> ChunkResult:
    """Fit a chunk and write its rows.

    Parameters
    ----------
    pipeline : Pipeline
    chunk : Chunk
    directory : str
        Where to write; file names follow from the chunk.

    Returns
    -------
    ChunkResult

    Raises
    ------
    InputError
        If the input cannot be read.
    OutputError
        If the rows cannot be written.
    """
    parts: list[Part] = []
    tables: list[Table] = []
    lost: list[str] = []
    n_reliable = 0
    before = pipeline.additions.found

    def write() -> None:
        path = Path(directory) / f"{chunk.index:06d}-{len(parts):03d}.parquet"
        parts.append(write_rows(sorted_rows(vstack(tables)), path))
        tables.clear()

    rows = None if chunk.stop is None else range(chunk.start, chunk.stop)
    with threadpool_limits(1):
        for spectra in pipeline.spectra(chunk.path, rows, lost.append):
            table = pipeline.table(spectra, reference=False)
            cells = healpix_29(np.asarray(table["ra"]), np.asarray(table["dec"]))
            add_column(table, HEALPIX_COLUMN, cells)
            n_reliable += int(is_reliable(table["quality_flags"], table["fit_flags"]).sum())
            tables.append(table)
            if sum(map(len, tables)) >= ROWS_PER_PART:
                write()
        if tables:
            write()
    n_flagged = sum(part.rows for part in parts) - n_reliable
    joined = {
        name: [n - b for n, b in zip(counts, before.get(name, (0, 0)), strict=True)]
        for name, counts in pipeline.additions.found.items()
    }
    return ChunkResult(tuple(parts), n_reliable, n_flagged, "; ".join(lost), joined)


def sorted_rows(table: Table) -> Table:
    """Rows along the HEALPix curve; those of one cell keep their order."""
    return table[np.argsort(table[HEALPIX_COLUMN], kind="stable")]


def write_rows(table: Table, path: Path) -> Part:
    """Write rows as Parquet; the complete file is on disk when this returns.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    with atomic_output(path, overwrite=True) as unfinished:
        parquet.write(table, unfinished)
        with unfinished.open("rb") as file:
            sha256 = sha256_of(file)
            os.fsync(file.fileno())
            size = file.tell()
    return Part(path.name, len(table), size, sha256)
