"""A catalogue of any number of spectra, from a run that can be killed and resumed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from ..._version import __version__
from ...companion import Companion, UncertainNetwork
from ...errors import InputError, OutputError
from ...files import atomic_output
from ...fit import Fitter
from ...model import XPModel
from ...prepare import Additions
from ...quality import Confidence
from ..companion_columns import check_companions
from ..hats import plan_partitions, write_hats_metadata, write_partition
from .executor import Executor, executor_of
from .manifest import ACCOUNT, CATALOGUE, CHECKSUMS, RunDirectory
from .plan import STARS_PER_CHUNK, Chunk, plan_chunks
from .work import ChunkResult, Job, Part, fit_chunk

MAX_REFUSALS_SHOWN = 20

RETRIES = 2
"""Attempts after the first at a chunk that fails."""


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out; none of it bears on what the catalogue holds.

    Parameters
    ----------
    n_workers : int
        Processes of a local Dask cluster, one thread each; with one the work is done in this
        process, without Dask.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers do the work instead.
    retries : int
        Attempts after the first at a chunk that fails.
    retry_refused : bool
        Try chunks again that an earlier run has refused.
    keep_parts : bool
        Keep the rows of chunks when the catalogue is written.
    progress : bool
        Show a progress bar.
    """

    n_workers: int = 1
    scheduler: str | None = None
    retries: int = RETRIES
    retry_refused: bool = False
    keep_parts: bool = False
    progress: bool = True


@dataclass(frozen=True)
class Refusal:
    """A chunk that is not in the catalogue.

    Attributes
    ----------
    chunk : str
        File, and rows if it is not the whole file.
    n_source : int or None
        How many sources there are, if that is known.
    reason : str
    """

    chunk: str
    n_source: int | None
    reason: str


@dataclass(frozen=True)
class Account:
    """What became of every source of a run's inputs.

    Attributes
    ----------
    n_fitted : int
        Sources in the catalogue that pass the basic cut.
    n_flagged : int
        Sources in the catalogue that do not.
    refused : tuple of Refusal
        What could not be read or fitted, and why.
    """

    n_fitted: int
    n_flagged: int
    refused: tuple[Refusal, ...] = ()

    @property
    def n_refused(self) -> int:
        """Sources that are not in the catalogue, as far as their number is known."""
        return sum(r.n_source or 0 for r in self.refused)

    def __str__(self) -> str:
        n_unknown = sum(r.n_source is None for r in self.refused)
        more = f", and all of {n_unknown} unreadable files" if n_unknown else ""
        total = self.n_fitted + self.n_flagged + self.n_refused
        lines = [
            f"{total} sources: {self.n_fitted} fitted, {self.n_flagged} flagged, "
            f"{self.n_refused} refused{more}"
        ]
        lines += [f"  refused: {r.chunk}: {r.reason}" for r in self.refused[:MAX_REFUSALS_SHOWN]]
        n_more = len(self.refused) - MAX_REFUSALS_SHOWN
        return "\n".join(lines + [f"  and {n_more} more (see {ACCOUNT})"] * (n_more > 0))


@dataclass
class _State:
    """What of a run is done."""

    chunks: dict[int, ChunkResult] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    partitions: dict[str, Part] = field(default_factory=dict)
    finished: bool = False

    def account(self, chunks: Sequence[Chunk]) -> Account:
        """The sources so far."""
        refusals = (
            Refusal(str(chunks[i]), chunks[i].n_source, reason)
            for i, reason in sorted(self.refused.items())
        )
        return Account(
            sum(result.n_fitted for result in self.chunks.values()),
            sum(result.n_flagged for result in self.chunks.values()),
            tuple(refusals),
        )


def run_catalogue(
    inputs: Sequence[str | os.PathLike],
    output_dir: str | os.PathLike,
    model: XPModel,
    *,
    confidence: Confidence | None = None,
    options: dict | None = None,
    additions: Additions | None = None,
    start_from: UncertainNetwork | None = None,
    companions: Sequence[Companion] = (),
    provenance: dict[str, str] | None = None,
    stars_per_chunk: int = STARS_PER_CHUNK,
    settings: RunSettings | None = None,
) -> Account:
    """Fit all spectra of many files, and write a catalogue that is partitioned over the sky.

    The same call goes on with a run that was interrupted or killed. The rows do not depend on the
    number of workers, nor on how often the run was interrupted.

    Parameters
    ----------
    inputs : sequence of path-like
        Files of spectra, as for `xpfit.prepare.iterate_file`. Fastest if they are prepared, and in
        the order of source ids, as Gaia's bulk files are.
    output_dir : path-like
        A directory of its own (see `xpfit.catalogue.run.manifest` for what it holds). The
        catalogue is in ``catalogue``, in HATS format.
    model : XPModel
    confidence : Confidence, optional
        Classifiers for the model's fits (see `xpfit.confidence_for`).
    options : dict, optional
        Of `xpfit.Fitter`.
    additions : Additions, optional
        Tables to be joined to the spectra; held in the memory of each worker.
    start_from : UncertainNetwork, optional
        Says where fits start, instead of a search.
    companions : sequence of Companion
        Whose opinion is asked for (see `xpfit.catalogue.companion_columns`).
    provenance : dict of str to str, optional
        What else is recorded in every file, and must be the same when the run is resumed, such as
        the names of the model and of the tables to be joined.
    stars_per_chunk : int
        Stars of prepared spectra that are fitted at a time; files of other kinds are taken whole.
    settings : RunSettings, optional
        Workers, retries, progress.

    Returns
    -------
    Account
        What became of every source; also in ``account.json``.

    Raises
    ------
    InputError
        If an option is wrong, nothing could be fitted, or the directory is that of another run.
    OutputError
        If something cannot be written, or another run is at work in the directory. What is done
        stays done.
    FileNotFoundError
        If an input is not there.
    """
    settings = settings or RunSettings()
    if settings.retries < 0:
        raise InputError(f"retries must not be negative, got {settings.retries}")
    options = options or {}
    chunks = plan_chunks(inputs, stars_per_chunk)
    fitter = Fitter(model, **options)  # what is wrong with the options is said now
    provenance = {
        **(provenance or {}),
        "SETTINGS": json.dumps(fitter.settings, sort_keys=True),
    }
    check_companions(companions)
    job = Job(
        model,
        confidence,
        options,
        additions or Additions(),
        start_from,
        tuple(companions),
        provenance,
    )
    directory = RunDirectory(output_dir)
    with directory.locked():
        directory.begin(_request(chunks, stars_per_chunk, job))
        state = _read_state(directory, settings.retry_refused)
        if not state.finished:
            with executor_of(settings.n_workers, settings.scheduler) as execute:
                _fit(execute, job, chunks, directory, state, settings)
                _write_catalogue(execute, directory, state, settings, chunks)
        if not state.refused and not settings.keep_parts:
            shutil.rmtree(directory.parts, ignore_errors=True)
        return state.account(chunks)


def _request(chunks: Sequence[Chunk], stars_per_chunk: int, job: Job) -> dict:
    """What is asked for, to be compared when a run is resumed."""
    paths = list(dict.fromkeys(chunk.path for chunk in chunks))
    return {
        "version": __version__,
        "inputs": [[path, Path(path).stat().st_size] for path in paths],
        "n_chunks": len(chunks),
        "stars_per_chunk": stars_per_chunk,
        "model": job.model.fingerprint,
        "confidence": job.confidence.fingerprint if job.confidence else None,
        "start_from": job.start_from.fingerprint if job.start_from else None,
        "companions": [companion.fingerprint for companion in job.companions],
        "settings": job.provenance,
    }


def _read_state(directory: RunDirectory, retry_refused: bool) -> _State:
    """What is done, as far as it is still there."""
    state = _State()
    for entry in directory.entries():
        kind = entry["kind"]
        if kind == "chunk":
            state.chunks[entry["index"]] = ChunkResult.from_dict(entry["result"])
        elif kind == "refused":
            state.refused[entry["index"]] = entry["reason"]
        elif kind == "partition":
            state.partitions[entry["name"]] = Part(**entry["part"])
        elif kind == "finished":
            state.finished = True
        elif kind == "retry":
            state = _State(chunks=state.chunks)
    if retry_refused and state.refused:
        directory.append({"kind": "retry"})
        state = _State(chunks=state.chunks)
    if not state.finished:
        whole = {
            index: all(_is_there(directory.parts / part.name, part) for part in result.parts)
            for index, result in state.chunks.items()
        }
        state.chunks = {i: result for i, result in state.chunks.items() if whole[i]}
    return state


def _is_there(path: Path, part: Part) -> bool:
    """Whether a file is there, with the size that it had."""
    return path.is_file() and path.stat().st_size == part.size


def _fit(
    execute: Executor,
    job: Job,
    chunks: Sequence[Chunk],
    directory: RunDirectory,
    state: _State,
    settings: RunSettings,
) -> None:
    """Fit the chunks that are not done."""
    waiting = [c for c in chunks if c.index not in state.chunks and c.index not in state.refused]
    so_far = state.account(chunks)
    with tqdm(
        total=sum(chunk.n_source or 0 for chunk in chunks) or None,
        initial=so_far.n_fitted + so_far.n_flagged,
        unit="star",
        desc="fit",
        smoothing=0.05,
        disable=not settings.progress,
    ) as bar:
        for outcome in execute(fit_chunk, job, waiting, settings.retries, str(directory.parts)):
            index = outcome.task.index
            if outcome.reason:
                state.refused[index] = outcome.reason
                entry = {
                    "kind": "refused",
                    "index": index,
                    "chunk": str(outcome.task),
                    "reason": outcome.reason,
                    "n_attempts": outcome.n_attempts,
                }
                bar.write(f"refused: {outcome.task}: {outcome.reason}", file=sys.stderr)
            else:
                result = outcome.value
                state.chunks[index] = result
                entry = {"kind": "chunk", "index": index, "result": result.to_dict()}
                bar.update(result.n_fitted + result.n_flagged)
            directory.append(entry)


def _write_catalogue(
    execute: Executor,
    directory: RunDirectory,
    state: _State,
    settings: RunSettings,
    chunks: Sequence[Chunk],
) -> None:
    """Partition the rows over the sky, and write what belongs to a finished catalogue."""
    parts = [part for index in sorted(state.chunks) for part in state.chunks[index].parts]
    if not parts:
        raise InputError(
            f"nothing could be fitted: {next(iter(state.refused.values()), 'no spectra')}"
        )
    partitions = plan_partitions([directory.parts / part.name for part in parts])
    waiting = []
    for partition in partitions:
        done = state.partitions.get(partition.name)
        if done is None or not _is_there(directory.catalogue / partition.name, done):
            waiting.append(partition)
    work = execute(write_partition, None, waiting, settings.retries, str(directory.catalogue))
    with tqdm(
        work, total=len(waiting), unit="cell", desc="sky", disable=not settings.progress
    ) as bar:
        for outcome in bar:
            if outcome.reason:
                raise OutputError(
                    f"{directory.catalogue / outcome.task.name} could not be written "
                    f"({outcome.reason}); the same command goes on"
                )
            name = outcome.task.name
            state.partitions[name] = outcome.value
            directory.append({"kind": "partition", "name": name, "part": asdict(outcome.value)})
    _remove_strangers(directory.catalogue, {partition.name for partition in partitions})
    n_rows = sum(state.partitions[partition.name].rows for partition in partitions)
    if n_rows != sum(part.rows for part in parts):
        raise OutputError(
            f"{directory.catalogue}: {n_rows} rows written of {sum(p.rows for p in parts)}; "
            "please report this"
        )
    write_hats_metadata(directory.catalogue, partitions, directory.path.name)
    _write_account(directory, state, [partition.name for partition in partitions], chunks)
    directory.append({"kind": "finished"})
    state.finished = True


def _remove_strangers(catalogue: Path, names: set[str]) -> None:
    """Remove partitions of an earlier attempt, in which other chunks were refused."""
    for path in (catalogue / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet"):
        if str(path.relative_to(catalogue)) not in names:
            path.unlink()


def _write_account(
    directory: RunDirectory, state: _State, names: Sequence[str], chunks: Sequence[Chunk]
) -> None:
    """Write checksums, as ``sha256sum --check`` wants them, and the account."""
    account = state.account(chunks)
    sums = "".join(f"{state.partitions[n].sha256}  {CATALOGUE}/{n}\n" for n in names)
    text = json.dumps({**asdict(account), "n_refused": account.n_refused}, indent=1)
    for name, content in ((CHECKSUMS, sums), (ACCOUNT, text + "\n")):
        with atomic_output(directory.path / name, overwrite=True) as part:
            part.write_text(content, encoding="utf-8")
