"""Outcome for the sources of a run, so far and at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from ...files import atomic_output
from .executor import Outcome
from .manifest import ACCOUNT, CATALOGUE, CHECKSUMS, RunDirectory
from .plan import Chunk
from .work import ChunkResult, Part

MAX_REFUSALS_SHOWN = 20


@dataclass(frozen=True)
class Refusal:
    """A chunk that is not in the catalogue.

    Attributes
    ----------
    chunk : str
        File, and rows if it is not the whole file.
    n_source : int or None
        Number of sources, if it is known.
    reason : str
    """

    chunk: str
    n_source: int | None
    reason: str


@dataclass(frozen=True)
class Account:
    """Outcome for all sources of a run's inputs.

    Attributes
    ----------
    n_fitted : int
        Sources in the catalogue with a reliable fit (`xpfit.is_reliable`).
    n_flagged : int
        The other sources in the catalogue.
    refused : tuple of Refusal
        Chunks that could not be read or fitted, and why.
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
class RunState:
    """Progress of a run; every change is recorded in its directory.

    Attributes
    ----------
    directory : RunDirectory
    planned : sequence of Chunk
        All chunks of the run.
    chunks : dict of int to ChunkResult
        Chunks that are fitted, by index.
    refused : dict of int to str
        Chunks that are not in the catalogue, and why, by index.
    partitions : dict of str to Part
        Files of the catalogue that are written, by name.
    finished : bool
    """

    directory: RunDirectory
    planned: Sequence[Chunk]
    chunks: dict[int, ChunkResult] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    partitions: dict[str, Part] = field(default_factory=dict)
    finished: bool = False

    @classmethod
    def read(
        cls, directory: RunDirectory, planned: Sequence[Chunk], *, retry_refused: bool = False
    ) -> RunState:
        """Progress that is recorded in a directory, as far as its files still exist.

        Parameters
        ----------
        directory : RunDirectory
        planned : sequence of Chunk
        retry_refused : bool
            Have refused chunks tried again.

        Returns
        -------
        RunState

        Raises
        ------
        InputError
            If the record is damaged.
        """
        state = cls(directory, planned)
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
                state = cls(directory, planned, state.chunks)
        if retry_refused and state.refused:
            directory.append({"kind": "retry"})
            state = cls(directory, planned, state.chunks)
        if not state.finished:
            state.chunks = {
                index: result
                for index, result in state.chunks.items()
                if all(part.is_on_disk(directory.parts / part.name) for part in result.parts)
            }
        return state

    @property
    def waiting(self) -> list[Chunk]:
        """Chunks that are neither fitted nor refused."""
        done = self.chunks.keys() | self.refused.keys()
        return [chunk for chunk in self.planned if chunk.index not in done]

    @property
    def parts(self) -> list[Part]:
        """Files of rows of all chunks that are fitted, in the order of the chunks."""
        return [part for index in sorted(self.chunks) for part in self.chunks[index].parts]

    @property
    def account(self) -> Account:
        """The sources so far."""
        refusals = (
            Refusal(str(self.planned[i]), self.planned[i].n_source, reason)
            for i, reason in sorted(self.refused.items())
        )
        return Account(
            sum(result.n_fitted for result in self.chunks.values()),
            sum(result.n_flagged for result in self.chunks.values()),
            tuple(refusals),
        )

    def add_chunk(self, outcome: Outcome) -> None:
        """Record a chunk that is fitted or refused."""
        index = outcome.task.index
        entry = {"kind": "refused" if outcome.reason else "chunk", "index": index}
        if outcome.reason:
            self.refused[index] = outcome.reason
            entry |= {"chunk": str(outcome.task), "reason": outcome.reason}
            entry["n_attempts"] = outcome.n_attempts
        else:
            self.chunks[index] = outcome.value
            entry["result"] = asdict(outcome.value)
        self.directory.append(entry)

    def add_partition(self, name: str, part: Part) -> None:
        """Record a file of the catalogue."""
        self.partitions[name] = part
        self.directory.append({"kind": "partition", "name": name, "part": asdict(part)})

    def finish(self, names: Sequence[str]) -> None:
        """Write checksums, in the format of ``sha256sum --check``, and the account.

        Parameters
        ----------
        names : sequence of str
            Files of the catalogue.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        account = self.account
        sums = "".join(f"{self.partitions[n].sha256}  {CATALOGUE}/{n}\n" for n in names)
        text = json.dumps({**asdict(account), "n_refused": account.n_refused}, indent=1)
        for name, content in ((CHECKSUMS, sums), (ACCOUNT, text + "\n")):
            with atomic_output(self.directory.path / name, overwrite=True) as part:
                part.write_text(content, encoding="utf-8")
        self.directory.append({"kind": "finished"})
        self.finished = True
