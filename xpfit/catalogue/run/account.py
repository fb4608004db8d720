"""Outcome for the sources of a run, so far and at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from ...errors import InputError
from ...files import atomic_output
from .contents import Contents, changed_error, refuse_modified_since
from .executor import Outcome
from .manifest import ACCOUNT, CATALOGUE, CHECKSUMS, MANIFEST, REQUEST, RunDirectory
from .plan import Chunk
from .work import ChunkResult, Part

MAX_REFUSALS_SHOWN = 20


@dataclass(frozen=True)
class Refusal:
    """A chunk, or the rest of a file that is cut off, which is not in the catalogue.

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
        more = f", and what could not be read of {n_unknown} files" if n_unknown else ""
        total = self.n_fitted + self.n_flagged + self.n_refused
        lines = [
            f"{total} sources: {self.n_fitted} fitted, {self.n_flagged} flagged, "
            f"{self.n_refused} refused{more}"
        ]
        lines += [f"  refused: {r.chunk}: {r.reason}" for r in self.refused[:MAX_REFUSALS_SHOWN]]
        n_more = len(self.refused) - MAX_REFUSALS_SHOWN
        return "\n".join(lines + [f"  and {n_more} more (see {ACCOUNT})"] * (n_more > 0))

    @property
    def last_line(self) -> str:
        """How a run ended that has refused something; empty otherwise."""
        if not self.refused:
            return ""
        n_unknown = sum(r.n_source is None for r in self.refused)
        parts = [f"{self.n_refused} sources"] * (self.n_refused > 0)
        parts += [f"{n_unknown} files in whole or in part"] * (n_unknown > 0)
        return (
            f"finished, with refusals: {' and '.join(parts)} not in the "
            f"catalogue (see {ACCOUNT}; --retry-refused tries them again)"
        )


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
    contents : dict of str to Contents or None
        What the inputs held when the run began, by path; None if they could not be read.
    finished : bool
    """

    directory: RunDirectory
    planned: Sequence[Chunk]
    chunks: dict[int, ChunkResult] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    partitions: dict[str, Part] = field(default_factory=dict)
    contents: dict[str, Contents | None] = field(default_factory=dict)
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
        try:
            for entry in directory.entries():
                state._take(entry)
            for index in state.chunks.keys() | state.refused.keys():
                planned[index]
        except (LookupError, TypeError, AttributeError) as error:
            raise InputError(
                f"{directory.path / MANIFEST}: not that of this run, or damaged ({error!r}); start "
                "in another directory"
            ) from error
        if retry_refused and state.losses:
            retry = {"kind": "retry"}
            directory.append(retry)
            state._take(retry)
        if not state.finished:
            state.chunks = {
                index: result
                for index, result in state.chunks.items()
                if all(part.is_on_disk(directory.parts / part.name) for part in result.parts)
            }
        return state

    def _take(self, entry: dict) -> None:
        """Change the state as an entry of the manifest says."""
        kind = entry["kind"]
        if kind == "input":
            known = entry["contents"]
            self.contents[entry["path"]] = known and Contents(**known)
        elif kind == "chunk":
            self.chunks[entry["index"]] = ChunkResult.from_dict(entry["result"])
        elif kind == "refused":
            self.refused[entry["index"]] = entry["reason"]
        elif kind == "partition":
            self.partitions[entry["name"]] = Part(**entry["part"])
        elif kind == "finished":
            self.finished = True
        elif kind == "retry":
            # What was refused may be replaced by a better file.
            self.chunks = {index: r for index, r in self.chunks.items() if not r.lost}
            kept = {self.planned[index].path for index in self.chunks}
            self.contents = {path: c for path, c in self.contents.items() if path in kept}
            self.refused, self.partitions, self.finished = {}, {}, False

    @property
    def losses(self) -> dict[int, str]:
        """Why chunks are not in the catalogue, or not whole, by index."""
        return self.refused | {index: r.lost for index, r in self.chunks.items() if r.lost}

    @property
    def joined(self) -> dict[str, list[int]]:
        """Number of stars, and how many of them each joined table has."""
        total: dict[str, list[int]] = {}
        for result in self.chunks.values():
            for name, counts in result.joined.items():
                total[name] = [a + b for a, b in zip(total.get(name, [0, 0]), counts, strict=True)]
        return total

    @property
    def paths(self) -> list[str]:
        """The inputs."""
        return list(dict.fromkeys(chunk.path for chunk in self.planned))

    def check_contents(self, recorded: dict) -> None:
        """Check that the inputs are those that the run began with.

        Parameters
        ----------
        recorded : dict
            The request as the directory has it.

        Raises
        ------
        InputError
            If one has changed; it is named.

        Notes
        -----
        Runs of earlier versions know their inputs by path and size. They are resumed if no input
        was modified after the run had begun; from then on contents are known, too.
        """
        if (self.chunks or self.refused) and not self.contents:
            paths = {self.planned[index].path for index in self.chunks}
            sizes = dict(p for p in recorded.get("inputs", ()) if isinstance(p, list))
            refuse_modified_since(self.directory.path / REQUEST, sizes, paths)
        changed = []
        for path, before in self.contents.items():
            now = before and before.is_unchanged(path)
            if before and not now:
                changed.append(path)
            elif now != before:
                self.add_contents(path, now)
        if changed:
            raise changed_error(self.directory.path, changed)

    def check_still_unchanged(self) -> None:
        """Check that no input was replaced while the run was active.

        Raises
        ------
        InputError
            If one was; it is named, and the run cannot be resumed with it.
        """
        changed = [
            path
            for path, before in self.contents.items()
            if before and not before.looks_unchanged(path) and not before.is_unchanged(path)
        ]
        if changed:
            raise changed_error(self.directory.path, changed)

    def add_contents(self, path: str, contents: Contents | None) -> None:
        """Record what an input holds."""
        self.contents[path] = contents
        known = contents and asdict(contents)
        self.directory.append({"kind": "input", "path": path, "contents": known})

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
            for i, reason in sorted(self.losses.items())
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
