"""The work of a run: one chunk of spectra -> files of rows, wherever it is done."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from threadpoolctl import threadpool_limits

from ...companion import Companion, UncertainNetwork
from ...data.spectra import Spectra
from ...files import atomic_output
from ...fit import Fitter
from ...healpix import healpix_29
from ...model import XPModel
from ...prepare import Additions
from ...quality import Confidence, is_reliable
from .. import parquet
from ..columns import add_column, result_table
from ..companion_columns import add_opinions
from .plan import Chunk, model_spectra

ROWS_PER_PART = 50_000
"""Rows of a file, at most: those of an input of unknown length are written in several."""

HEALPIX_COLUMN = "_healpix_29"


@dataclass(frozen=True)
class Job:
    """What every chunk of a run is to be fitted with; sent to all workers.

    Parameters
    ----------
    model : XPModel
    confidence : Confidence or None
    options : dict
        Of `xpfit.Fitter`.
    additions : Additions
        Tables to be joined to the spectra.
    start_from : UncertainNetwork or None
        Says where fits start.
    companions : tuple of Companion
        Whose opinion is asked for.
    provenance : dict of str to str
        Recorded in every file.
    """

    model: XPModel
    confidence: Confidence | None
    options: dict
    additions: Additions
    start_from: UncertainNetwork | None = None
    companions: tuple[Companion, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)

    @cached_property
    def fitter(self) -> Fitter:
        """Made once per worker. One thread: results must not depend on how many there are."""
        return Fitter(self.model, **self.options, n_jobs=1)


@dataclass(frozen=True)
class Part:
    """A file of rows that a chunk became.

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


@dataclass(frozen=True)
class ChunkResult:
    """What became of the sources of a chunk.

    Attributes
    ----------
    parts : tuple of Part
    n_fitted : int
        Sources with a fit that passes the basic cut.
    n_flagged : int
        Sources that are in the catalogue, but flagged.
    """

    parts: tuple[Part, ...]
    n_fitted: int
    n_flagged: int

    def to_dict(self) -> dict:
        """Plain values, for the manifest."""
        return {**asdict(self), "parts": [asdict(part) for part in self.parts]}

    @classmethod
    def from_dict(cls, values: dict) -> ChunkResult:
        """From the manifest."""
        parts = tuple(Part(**part) for part in values["parts"])
        return cls(parts, values["n_fitted"], values["n_flagged"])


def fit_chunk(job: Job, chunk: Chunk, directory: str) -> ChunkResult:
    """Fit a chunk and write its rows.

    Parameters
    ----------
    job : Job
    chunk : Chunk
    directory : str
        Where to write; names of files follow from the chunk.

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
    n_fitted = n_rows = n_waiting = 0

    def write() -> None:
        path = Path(directory) / f"{chunk.index:06d}-{len(parts):03d}.parquet"
        parts.append(write_rows(sorted_rows(vstack(tables)), path))
        tables.clear()

    rows = None if chunk.stop is None else range(chunk.start, chunk.stop)
    with threadpool_limits(1):
        for spectra in model_spectra(job.model, chunk.path, rows):
            table = fit_table(job, job.additions.apply(spectra))
            good = is_reliable(table["quality_flags"], table["fit_flags"])
            n_fitted += int(good.sum())
            n_rows += len(table)
            n_waiting += len(table)
            tables.append(table)
            if n_waiting >= ROWS_PER_PART:
                write()
                n_waiting = 0
        if tables:
            write()
    return ChunkResult(tuple(parts), n_fitted, n_rows - n_fitted)


def fit_table(job: Job, spectra: Spectra) -> Table:
    """Rows of the catalogue for some spectra."""
    guesses = job.start_from and job.start_from.guesses(spectra, job.model.label_names)
    result = job.fitter.fit(spectra, progress=False, guesses=guesses)
    table = result_table(
        job.model, spectra, result, job.confidence, reference=False, provenance=job.provenance
    )
    add_opinions(table, spectra, job.companions)
    cells = healpix_29(np.asarray(table["ra"]), np.asarray(table["dec"]))
    add_column(table, HEALPIX_COLUMN, cells)
    return table


def sorted_rows(table: Table) -> Table:
    """Rows along the HEALPix curve; those of one cell stay in order."""
    return table[np.argsort(table[HEALPIX_COLUMN], kind="stable")]


def write_rows(table: Table, path: Path) -> Part:
    """Write rows as Parquet, so that they are on disk, whole, when this returns.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    with atomic_output(path, overwrite=True) as unfinished:
        parquet.write(table, unfinished)
        digest = hashlib.sha256()
        with unfinished.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            os.fsync(file.fileno())
            size = file.tell()
    return Part(path.name, len(table), size, digest.hexdigest())
