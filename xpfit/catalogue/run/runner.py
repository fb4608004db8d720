"""A catalogue of any number of spectra, from a run that can be killed and resumed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm.auto import tqdm

from ..._version import __version__
from ...arrow import pyarrow_modules
from ...errors import InputError, OutputError
from ...prepare.corrections import identifier_of
from ..hats import most_rows, plan_partitions, write_hats_metadata, write_partition
from ..pipeline import Pipeline
from .account import Account, RunState
from .contents import contents_of
from .executor import Executor, executor_of
from .manifest import RunDirectory
from .plan import STARS_PER_CHUNK, Chunk, plan_chunks
from .work import fit_chunk

RETRIES = 2
"""Attempts after the first at a chunk that fails."""


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out; the content of the catalogue does not depend on it.

    Parameters
    ----------
    n_workers : int
        Processes of a local Dask cluster, one thread each; with one the work is done in this
        process, without Dask.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead.
    retries : int
        Attempts after the first at a chunk that fails.
    retry_refused : bool
        Try chunks again that were refused before.
    keep_parts : bool
        Keep the rows of chunks when the catalogue is written.
    progress : bool
        Show a progress bar.
    dashboard : bool
        Show Dask's dashboard to users of this machine.
    """

    n_workers: int = 1
    scheduler: str | None = None
    retries: int = RETRIES
    retry_refused: bool = False
    keep_parts: bool = False
    progress: bool = True
    dashboard: bool = False


def run_catalogue(
    inputs: Sequence[str | os.PathLike],
    output_dir: str | os.PathLike,
    pipeline: Pipeline,
    *,
    stars_per_chunk: int = STARS_PER_CHUNK,
    settings: RunSettings | None = None,
) -> Account:
    """Fit all spectra of many files, and write a catalogue that is partitioned over the sky.

    The same call resumes a run that was interrupted or killed. The rows do not depend on the
    number of workers, nor on how often the run was interrupted.

    Parameters
    ----------
    inputs : sequence of path-like
        Files of spectra, as for `xpfit.prepare.iterate_file`. Fastest if they are prepared, and in
        the order of source ids, as Gaia's bulk files are.
    output_dir : path-like
        A directory of its own (see `xpfit.catalogue.run.manifest` for what it holds). The
        catalogue is in ``catalogue``, in HATS format.
    pipeline : Pipeline
        Model, settings and joined tables, sent to every worker. Its `provenance` is recorded in
        every file, and must be the same when the run is resumed.
    stars_per_chunk : int
        Stars of prepared spectra that are fitted at a time; a file of another kind is one chunk.
    settings : RunSettings, optional
        Workers, retries, progress.

    Returns
    -------
    Account
        Outcome for all sources; also in ``account.json``.

    Raises
    ------
    InputError
        If an option is wrong, nothing could be fitted, the directory is that of another run, or an
        input or table is not the one that the run began with.
    OutputError
        If something cannot be written, or another run is active in the directory. Finished work
        is kept.
    FileNotFoundError
        If an input does not exist.
    """
    settings = settings or RunSettings()
    pyarrow_modules(OutputError)  # raises if it is not installed, before any work
    if settings.retries < 0:
        raise InputError(f"retries must not be negative, got {settings.retries}")
    chunks = plan_chunks(inputs, stars_per_chunk)
    pipeline = replace(pipeline, n_jobs=1)  # one thread per worker
    request = _request(chunks, stars_per_chunk, pipeline)  # raises if a fit option is wrong
    directory = RunDirectory(output_dir)
    with directory.locked():
        recorded = directory.begin(request)
        state = RunState.read(directory, chunks, retry_refused=settings.retry_refused)
        state.check_contents(recorded)
        if not state.finished:
            with executor_of(
                settings.n_workers, settings.scheduler, dashboard=settings.dashboard
            ) as execute:
                _record_contents(execute, state)
                _fit(execute, pipeline, state, settings)
                state.check_still_unchanged()
                pipeline.additions.check_joins(state.joined)
                _write_catalogue(execute, state, settings)
        if not state.losses and not settings.keep_parts:
            shutil.rmtree(directory.parts, ignore_errors=True)
        return state.account


def _request(chunks: Sequence[Chunk], stars_per_chunk: int, pipeline: Pipeline) -> dict:
    """Everything that must be the same when the run is resumed."""
    return {
        "version": __version__,
        "inputs": list(dict.fromkeys(chunk.path for chunk in chunks)),
        **{f"table of {name}": sha for name, sha in pipeline.additions.digests().items()},
        "n_chunks": len(chunks),
        "stars_per_chunk": stars_per_chunk,
        "model": pipeline.model.fingerprint,
        "confidence": pipeline.confidence.fingerprint if pipeline.confidence else None,
        "start_from": pipeline.start_from.fingerprint if pipeline.start_from else None,
        "companions": [companion.fingerprint for companion in pipeline.companions],
        "settings": pipeline.metadata,
        "correction": identifier_of(pipeline.correction),
        "basis": pipeline.basis.identifier if pipeline.basis else None,
        "release": pipeline.release,
    }


def _record_contents(execute: Executor, state: RunState) -> None:
    """Record what the inputs hold, before any of them is fitted."""
    for outcome in execute(
        contents_of, None, [p for p in state.paths if p not in state.contents], 0
    ):
        state.add_contents(outcome.task, outcome.value)


def _fit(execute: Executor, pipeline: Pipeline, state: RunState, settings: RunSettings) -> None:
    """Fit the chunks that are not done."""
    before = state.account
    directory = str(state.directory.parts)
    with tqdm(
        total=sum(chunk.n_source or 0 for chunk in state.planned) or None,
        initial=before.n_fitted + before.n_flagged,
        unit="star",
        desc="fit",
        smoothing=0.05,
        disable=not settings.progress,
    ) as bar:
        for outcome in execute(fit_chunk, pipeline, state.waiting, settings.retries, directory):
            if outcome.reason:
                bar.write(f"refused: {outcome.task}: {outcome.reason}", file=sys.stderr)
            else:
                if outcome.value.lost:
                    bar.write(f"lost: {outcome.value.lost}", file=sys.stderr)
                bar.update(outcome.value.n_fitted + outcome.value.n_flagged)
            state.add_chunk(outcome)


def _write_catalogue(execute: Executor, state: RunState, settings: RunSettings) -> None:
    """Partition the rows over the sky, and write metadata, checksums and account."""
    directory, catalogue, parts = state.directory, state.directory.catalogue, state.parts
    if not parts:
        raise InputError(
            f"nothing could be fitted: {next(iter(state.refused.values()), 'no spectra')}"
        )
    partitions = plan_partitions([directory.parts / part.name for part in parts], most_rows(parts))
    names = [partition.name for partition in partitions]
    waiting = []
    for partition in partitions:
        done = state.partitions.get(partition.name)
        if done is None or not done.is_on_disk(catalogue / partition.name):
            waiting.append(partition)
    work = execute(write_partition, None, waiting, settings.retries, str(catalogue))
    with tqdm(
        work, total=len(waiting), unit="cell", desc="sky", disable=not settings.progress
    ) as bar:
        for outcome in bar:
            if outcome.reason:
                raise OutputError(
                    f"{catalogue / outcome.task.name} could not be written ({outcome.reason}); "
                    "rerun the same command to resume"
                )
            state.add_partition(outcome.task.name, outcome.value)
    _remove_stale_partitions(catalogue, set(names))
    n_written = sum(state.partitions[name].rows for name in names)
    n_fitted = sum(part.rows for part in parts)
    if n_written != n_fitted:
        raise OutputError(
            f"{catalogue}: {n_written} rows written of {n_fitted}; please report this"
        )
    write_hats_metadata(catalogue, partitions, directory.path.name)
    state.finish(names)


def _remove_stale_partitions(catalogue: Path, names: set[str]) -> None:
    """Remove partitions of an earlier attempt, in which other chunks were refused."""
    for path in (catalogue / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet"):
        if str(path.relative_to(catalogue)) not in names:
            path.unlink()
