"""The directory of a run: its request, its progress, and a lock.

Layout::

    run.json         the request: inputs, chunks, model, settings
    manifest.jsonl   finished work, one line for each piece, appended and synced
    parts/           rows of finished chunks, until the catalogue is written
    catalogue/       the catalogue, partitioned over the sky (see `xpfit.catalogue.hats`)
    checksums.sha256, account.json   when the run is finished
    .lock            held while a run is active; released by the system if the run is killed
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError, OutputError
from ...files import atomic_output, output_directory
from ...locks import locked
from ...temporary import PREFIX, remove_leftovers

REQUEST, MANIFEST, PARTS, CATALOGUE = "run.json", "manifest.jsonl", "parts", "catalogue"
LATER_ENTRIES = (
    "correction",
    "basis",
    "release",
    *(f"table of {name}" for name in ("photometry", "astrometry", "labels", "crosswalk")),
)
"""Entries of a request that runs of earlier versions do not have."""

CHECKSUMS, ACCOUNT, LOCK = "checksums.sha256", "account.json", ".lock"


class RunDirectory:
    """The state of a run on disk, consistent even if the run is killed at any moment.

    Parameters
    ----------
    path : path-like
        Created if it does not exist.

    Raises
    ------
    OutputError
        If it cannot be written to, or holds other files than those of a run.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = output_directory(path).resolve()
        present = {p.name for p in self.path.iterdir()} - {LOCK}
        if present and REQUEST not in present and not _is_unfinished(present):
            raise OutputError(
                f"{self.path} holds other files ({', '.join(sorted(present)[:3])}); give an "
                "empty directory, or that of a run to be resumed"
            )

    @property
    def parts(self) -> Path:
        """Directory of the rows of chunks."""
        return self.path / PARTS

    @property
    def catalogue(self) -> Path:
        """Directory of the catalogue."""
        return self.path / CATALOGUE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one run.

        Raises
        ------
        OutputError
            If another run is active in it, or it cannot be locked.
        """
        busy = (
            f"{self.path}: another run is active in this directory; wait for it, or give another "
            "--output-dir"
        )
        with locked(self.path / LOCK, busy):
            yield

    def begin(self, request: dict) -> dict:
        """Record the request; when a run is resumed, check that it is the same.

        Parameters
        ----------
        request : dict
            JSON values.

        Returns
        -------
        dict
            As recorded: runs of earlier versions lack entries, and have sizes beside their inputs.

        Raises
        ------
        InputError
            If the directory is that of a run with other inputs, model or settings.
        """
        path = self.path / REQUEST
        self.parts.mkdir(exist_ok=True)
        for directory in {leftover.parent for leftover in self.path.rglob(f"{PREFIX}*")}:
            remove_leftovers(directory)
        if not path.exists():
            with atomic_output(path) as part:
                part.write_text(json.dumps(request, indent=1, sort_keys=True), encoding="utf-8")
            return request
        before = _json_object(path, path.read_bytes())
        same = {**before, "inputs": input_names(before)}
        known = {name for name in request if name not in LATER_ENTRIES or name in before}
        differing = sorted(n for n in {*before, *known} if same.get(n) != request.get(n))
        if differing:
            raise InputError(
                f"{self.path} holds a run with other {', '.join(differing)}: resume it with the "
                f"command it was started with (see {REQUEST}), or give another --output-dir"
            )
        return before

    def entries(self) -> Iterator[dict]:
        """Finished work, in the order in which it was done, one piece at a time.

        A last line that is incomplete, because the run was killed, is removed.

        Yields
        ------
        dict

        Raises
        ------
        InputError
            If an earlier line is damaged.
        """
        path = self.path / MANIFEST
        if not path.exists():
            return
        whole = 0
        with path.open("rb") as file:
            for i, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                yield _json_object(f"{path}, line {i}", line)
        if whole < path.stat().st_size:
            os.truncate(path, whole)

    def append(self, entry: dict) -> None:
        """Record finished work; the record is on disk when this returns.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = self.path / MANIFEST
        try:
            with path.open("ab") as file:
                file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{path}: could not be written ({error})") from error


def input_names(request: dict) -> list[str]:
    """Paths of the inputs of a request, of an earlier version's too."""
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        return []
    return [str(path[0]) if isinstance(path, list) and path else str(path) for path in inputs]


def _json_object(where: str | os.PathLike, text: bytes) -> dict:
    """A JSON object that a run has written."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged ({error}); start in another directory") from error
    if not isinstance(values, dict):
        raise InputError(f"{where}: not written by a run; start in another directory")
    return values


def _is_unfinished(names: set[str]) -> bool:
    """Whether a run was killed before it had recorded its request."""
    return all(name == PARTS or name.startswith(PREFIX) for name in names)
