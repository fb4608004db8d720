"""The accounts of a download: what became of every request for every source."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ...data.hdf5 import open_hdf5
from ...errors import InputError
from ...files import atomic_output
from ...releases import DEFAULT
from ..formats.base import require_columns
from ..tables import read_table

REQUESTS = {
    "gaia_source": "gaia_source",
    "two_mass": "photometry",
    "allwise": "photometry",
    "spectrum": "spectra",
}
"""Requests for each source, as columns of the accounts, and the folders of what is received."""

EPOCHS = {"epochs": "epochs"}
"""The request for epoch spectra, and its folder."""

TEXT = "U8"  # as long as the longest status


class Status(str, Enum):
    """Status of a request for one source."""

    RECEIVED = "received"
    ABSENT = "absent"
    """The archive answered that it has no such data."""
    FAILED = "failed"
    """The archive did not answer, or did not send data that it lists; requested again next time."""
    PENDING = "pending"
    """Not requested yet: epoch spectra, of a download without them."""


class Accounts:
    """Status of each request for each source, as a file in the directory of a download.

    Parameters
    ----------
    directory : Path
    release : str
        Data release that is requested.
    requests : collection of str
        That are made in this run.

    Attributes
    ----------
    table : astropy.table.Table
        `source_id`, `batch` and a `Status` for each request; ``meta["release"]``.

    Raises
    ------
    InputError
        If the accounts cannot be read, or are those of another release.
    """

    def __init__(self, directory: Path, release: str, requests: dict[str, str]):
        self.path, self.release, self.requests = directory / "accounts.ecsv", release, requests
        self.table = self._read()
        found = self.table.meta.setdefault("release", _release_of(directory, release))
        if found != release:
            raise InputError(
                f"{directory}: holds a download of Gaia {found}, not of {release}; give {release} "
                f"a directory of its own, or resume with --release {found}"
            )

    def _read(self) -> Table:
        """Accounts of an earlier run, or empty ones."""
        columns = {"source_id": np.int64, "batch": np.int64, **dict.fromkeys(self.requests, TEXT)}
        if not self.path.is_file():
            return Table(names=list(columns), dtype=list(columns.values()))
        table = read_table(self.path)
        del table.meta["path"]
        require_columns(
            [name for name in columns if name not in EPOCHS],
            table.colnames,
            self.path,
            "start a new directory",
        )
        table.meta.setdefault("release", DEFAULT)
        for name in self.requests.keys() - set(table.colnames):
            table[name] = np.full(len(table), Status.PENDING.value, TEXT)
        return table

    def had(self, request: str) -> np.ndarray:
        """Sources for which the answer to a request was received, int64."""
        received = np.asarray(self.table[request]) == Status.RECEIVED.value
        return np.asarray(self.table["source_id"])[received]

    def completed(self) -> np.ndarray:
        """Sources for which no request of this run has failed or is pending, int64."""
        open_ones = (Status.FAILED.value, Status.PENDING.value)
        missing = [np.isin(np.asarray(self.table[name]), open_ones) for name in self.requests]
        return np.asarray(self.table["source_id"])[~np.any(missing, axis=0)]

    def record(self, batch: np.ndarray, number: int, status: dict[str, np.ndarray]) -> None:
        """Record the status of a batch, replacing earlier entries of its sources."""
        new = Table({"source_id": batch, "batch": np.full(len(batch), number), **status})
        for name in EPOCHS.keys() & set(self.table.colnames) - status.keys():
            new[name] = self._earlier(batch, name)
        others = self.table[~np.isin(np.asarray(self.table["source_id"]), batch)]
        self.table = vstack([others, new]) if len(others) else new
        self.table.meta["release"] = self.release
        self.table.sort("source_id")
        with atomic_output(self.path, overwrite=True) as part:
            self.table.write(part, format="ascii.ecsv")

    def _earlier(self, batch: np.ndarray, name: str) -> np.ndarray:
        """Status of a request that is not made in this run, for a batch."""
        known = dict(zip(self.table["source_id"].tolist(), self.table[name], strict=True))
        return np.array([str(known.get(i, Status.PENDING.value)) for i in batch.tolist()], TEXT)

    def summary(self) -> str:
        """Sources received, absent and failed (and not requested), by request."""
        counts = {name: self._counts(name) for name in self.requests}
        shown = [s for s in Status if s != Status.PENDING or any(c[s] for c in counts.values())]
        lines = [f"{len(self.table)} sources" + "".join(f"{s.value:>12}" for s in shown)]
        width = len(lines[0]) - 12 * len(shown)
        for name, count in counts.items():
            lines.append(f"{name:{width}}" + "".join(f"{count[s]:12d}" for s in shown))
        return "\n".join(lines)

    def _counts(self, name: str) -> dict[Status, int]:
        """Sources by status of a request."""
        values = np.asarray(self.table[name])
        return {status: int(np.sum(values == status.value)) for status in Status}


def _release_of(directory: Path, release: str) -> str:
    """Release of files whose accounts are lost; `release` if there are none."""
    for path in sorted((directory / "spectra").glob("batch_*.h5")):
        try:
            with open_hdf5(path) as file:
                return str(file.attrs.get("release", DEFAULT))
        except OSError:  # the download says which files cannot be read
            continue
    return release
