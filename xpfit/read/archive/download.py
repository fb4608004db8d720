"""Spectra and catalogue columns of a list of sources, in batches, with a status for every source.

The directory that a download fills::

    accounts.ecsv           one row per source: its batch, and the status of each request
    spectra/batch_0000.h5   XP continuous spectra, one dataset per column of the archive
    gaia_source/batch_0000.fits, photometry/batch_0000.fits
    gaia_source.fits        all batches together, written at the end: for --astrometry
    photometry.fits         2MASS, AllWISE and norm_dg: for --photometry
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from functools import partial, reduce
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table, join, vstack
from tqdm.auto import tqdm

from ...data.hdf5 import open_hdf5
from ...errors import ArchiveError, InputError
from ...files import atomic_output, output_directory
from ...locks import locked
from ..formats.base import require_columns
from ..tables import read_table
from .client import ArchiveClient
from .mirror import ids_of, write_mirror
from .queries import ALLWISE, GAIA_SOURCE, TWO_MASS

MAX_BATCH = 5000
"""Largest number of sources per request of the archive's datalink service."""

PAUSE = 1.0
"""Seconds between batches."""

MAX_UNANSWERED_BATCHES = 2
"""Consecutive batches without an answer after which a download stops."""

REQUESTS = {
    "gaia_source": "gaia_source",
    "two_mass": "photometry",
    "allwise": "photometry",
    "spectrum": "spectra",
}
"""Requests for each source, as columns of the accounts, and the folders of what is received."""

FOLDERS = ("spectra", "gaia_source", "photometry")


BEGUN = "begun.json"
"""The batch that is being downloaded: its number and its sources."""

_TEXT = "U8"  # as long as the longest status


class Status(str, Enum):
    """Status of a request for one source."""

    RECEIVED = "received"
    ABSENT = "absent"
    """The archive answered that it has no such data."""
    FAILED = "failed"
    """The archive did not answer, or did not send data that it lists; requested again next time."""


class Download:
    """A directory of downloaded data, which can be resumed.

    Parameters
    ----------
    directory : path-like
        Created if it does not exist; data already in it are not requested again.
    client : ArchiveClient
    batch_size : int
        Sources per request.

    Attributes
    ----------
    accounts : astropy.table.Table
        `source_id`, `batch` and a `Status` for each of `REQUESTS`.

    Raises
    ------
    InputError
        If the batch size is out of range, or the accounts in the directory cannot be read.
    OutputError
        If the directory cannot be made.
    """

    def __init__(
        self, directory: str | os.PathLike, client: ArchiveClient, batch_size: int = MAX_BATCH
    ):
        if not 1 <= batch_size <= MAX_BATCH:
            raise InputError(
                f"the archive takes 1 to {MAX_BATCH} sources at once, not {batch_size}"
            )
        self.directory, self.client, self.batch_size = Path(directory), client, batch_size
        for name in FOLDERS:
            output_directory(self.directory / name)
        self.accounts = self._read_accounts()

    def run(self, source_id: Iterable[int], *, progress: bool = True) -> None:
        """Request all data that are not in the directory yet.

        Parameters
        ----------
        source_id : iterable of int
            Sources; repeated ones count once.
        progress : bool
            Show a progress bar.

        Raises
        ------
        InputError
            If there are no ids, or one is not a Gaia id.
        ArchiveError
            If the archive does not answer; rerun later to resume.
        """
        wanted = np.unique(np.asarray(list(source_id), dtype=np.int64))
        if not len(wanted) or wanted[0] <= 0:
            raise InputError("source ids must be positive integers, and at least one is needed")
        busy = f"{self.directory}: another download is active in this directory; wait for it"
        with locked(self.directory / ".lock", busy):
            self.accounts = self._read_accounts()
            self._check_received()
            self._request(wanted, progress)
            self._merge("gaia_source")
            self._merge("photometry")
            (self.directory / BEGUN).unlink(missing_ok=True)

    def _request(self, wanted: np.ndarray, progress: bool) -> None:
        """Request what is missing, batch by batch."""
        pending = wanted[~np.isin(wanted, self.completed())]
        unanswered = 0
        with tqdm(total=len(wanted), unit="source", disable=not progress) as bar:
            bar.update(len(wanted) - len(pending))
            for start in range(0, len(pending), self.batch_size):
                if start:
                    self.client.sleep(PAUSE)
                batch = pending[start : start + self.batch_size]
                unanswered = 0 if self._run_batch(batch) else unanswered + 1
                bar.update(len(batch))
                if unanswered == MAX_UNANSWERED_BATCHES:
                    raise ArchiveError(
                        f"{unanswered} consecutive batches had no answer; received data are in "
                        f"{self.directory}, rerun later to resume"
                    )

    def _check_received(self) -> None:
        """Have what the accounts call received, but no file holds, requested again."""
        there = {name: self._ids_in(name) for name in FOLDERS}
        ids = np.asarray(self.accounts["source_id"])
        n_lost = 0
        for request, folder in REQUESTS.items():
            status = np.asarray(self.accounts[request])
            lost = (status == Status.RECEIVED.value) & ~np.isin(ids, there[folder])
            self.accounts[request][lost] = Status.FAILED.value
            n_lost += int(lost.sum())
        if n_lost:
            warnings.warn(
                f"{self.directory}: {n_lost} data that the accounts call received are in no file; "
                "they are requested again",
                stacklevel=4,
            )

    def _ids_in(self, folder: str) -> np.ndarray:
        """Sources in all readable files of a folder."""
        ids = [np.empty(0, dtype=np.int64)]
        for path in self._batches(folder):
            try:
                if folder == "spectra":
                    with open_hdf5(path) as file:
                        ids.append(file["source_id"][()].astype(np.int64))
                else:
                    table = read_table(path)
                    ids.append(np.asarray(table["source_id"]).astype(np.int64))
            except (OSError, KeyError, InputError) as error:
                warnings.warn(f"{path}: not readable ({error}); remove it", stacklevel=5)
        return np.concatenate(ids)

    def _batches(self, folder: str) -> list[Path]:
        """Files of a folder, the newest first."""
        return sorted((self.directory / folder).glob("batch_*.*"), reverse=True)

    def completed(self) -> np.ndarray:
        """Sources for which no request has failed, int64."""
        failed = [np.asarray(self.accounts[name]) == Status.FAILED.value for name in REQUESTS]
        return np.asarray(self.accounts["source_id"])[~np.any(failed, axis=0)]

    def summary(self) -> str:
        """Sources received, absent and failed, by request."""
        lines = [f"{len(self.accounts)} sources" + "".join(f"{s.value:>12}" for s in Status)]
        width = len(lines[0]) - 12 * len(Status)
        for name in REQUESTS:
            values = np.asarray(self.accounts[name])
            counts = [int(np.sum(values == status.value)) for status in Status]
            lines.append(f"{name:{width}}" + "".join(f"{count:12d}" for count in counts))
        return "\n".join(lines)

    @property
    def n_failed(self) -> int:
        """Sources for which a request has failed."""
        return len(self.accounts) - len(self.completed())

    def _run_batch(self, batch: np.ndarray) -> bool:
        """Download one batch and record its status; returns whether the archive answered."""
        number = self._number_of(batch)
        status = {name: np.full(len(batch), Status.FAILED.value, _TEXT) for name in REQUESTS}
        tables = {}
        for name, adql in (
            ("gaia_source", GAIA_SOURCE), ("two_mass", TWO_MASS), ("allwise", ALLWISE)
        ):  # fmt: skip
            try:
                tables[name] = _first_rows(self.client.query(adql, batch))
            except ArchiveError:
                continue
            there = np.isin(batch, np.asarray(tables[name]["source_id"]))
            status[name] = np.where(there, Status.RECEIVED.value, Status.ABSENT.value)
        if "gaia_source" in tables:
            self._write_table("gaia_source", number, tables["gaia_source"])
            status["spectrum"] = self._spectra(batch, tables["gaia_source"], number)
        photometry = [tables[name] for name in ("two_mass", "allwise") if name in tables]
        if photometry:
            self._write_table("photometry", number, _join(photometry, tables.get("gaia_source")))
        self._account(batch, number, status)
        return bool(tables)

    def _number_of(self, batch: np.ndarray) -> int:
        """Number of a batch, recorded: if it is interrupted, its files are replaced next time."""
        path, ids = self.directory / BEGUN, batch.tolist()
        accounted = np.asarray(self.accounts["batch"]).tolist()
        with suppress(OSError, ValueError, LookupError, TypeError):
            begun = json.loads(path.read_bytes())
            if begun["source_id"] == ids and int(begun["batch"]) not in accounted:
                return int(begun["batch"])
        # Also beyond files of which the accounts know nothing.
        names = [path.stem.removeprefix("batch_") for f in FOLDERS for path in self._batches(f)]
        number = max([-1, *(int(name) for name in names if name.isdecimal()), *accounted]) + 1
        with atomic_output(path, overwrite=True) as part:
            part.write_text(json.dumps({"batch": number, "source_id": ids}), encoding="utf-8")
        return number

    def _spectra(self, batch: np.ndarray, sources: Table, number: int) -> np.ndarray:
        """Download the spectra that the archive lists; returns their status."""
        has_xp = np.array([str(v).lower() in ("true", "1") for v in sources["has_xp_continuous"]])
        available = np.asarray(sources["source_id"])[has_xp]
        status = np.full(len(batch), Status.ABSENT.value, _TEXT)
        status[np.isin(batch, available)] = Status.FAILED.value
        had = np.asarray(self.accounts["spectrum"]) == Status.RECEIVED.value
        had_ids = np.asarray(self.accounts["source_id"])[had]
        status[np.isin(batch, had_ids)] = Status.RECEIVED.value
        received: list[np.ma.MaskedArray] = []
        missing = available[~np.isin(available, had_ids)]
        # At times the archive sends fewer spectra than requested, and the others when asked again.
        for _ in range(2):
            if not len(missing):
                break
            try:
                received += self.client.continuous_spectra(missing)
            except ArchiveError:
                break
            missing = missing[~np.isin(missing, ids_of(received))]
        if received:
            path = self.directory / "spectra" / f"batch_{number:04d}.h5"
            write_mirror(received, path)
            status[np.isin(batch, ids_of(received))] = Status.RECEIVED.value
        return status

    def _account(self, batch: np.ndarray, number: int, status: dict[str, np.ndarray]) -> None:
        """Record the status of a batch, replacing earlier entries of its sources."""
        new = Table({"source_id": batch, "batch": np.full(len(batch), number), **status})
        others = self.accounts[~np.isin(np.asarray(self.accounts["source_id"]), batch)]
        self.accounts = vstack([others, new]) if len(others) else new
        self.accounts.sort("source_id")
        with atomic_output(self.directory / "accounts.ecsv", overwrite=True) as part:
            self.accounts.write(part, format="ascii.ecsv")

    def _read_accounts(self) -> Table:
        """Accounts of an earlier run, or empty ones."""
        path = self.directory / "accounts.ecsv"
        columns = {"source_id": np.int64, "batch": np.int64, **dict.fromkeys(REQUESTS, _TEXT)}
        if not path.is_file():
            return Table(names=list(columns), dtype=list(columns.values()))
        accounts = read_table(path)
        del accounts.meta["path"]
        require_columns(columns, accounts.colnames, path, "start a new directory")
        return accounts

    def _write_table(self, name: str, number: int, table: Table) -> None:
        """Write one batch of a catalogue."""
        path = self.directory / name / f"batch_{number:04d}.fits"
        with atomic_output(path, overwrite=True) as part:
            _plain(table).write(part, format="fits")

    def _merge(self, name: str) -> None:
        """Write all batches of a catalogue as one table; of a repeated source the newest row."""
        tables = [table for table in map(read_table, self._batches(name)) if len(table)]
        if not tables:
            return
        merged = _first_rows(vstack(tables, metadata_conflicts="silent"))
        merged.sort("source_id")
        merged.meta.pop("path", None)
        with atomic_output(self.directory / f"{name}.fits", overwrite=True) as part:
            merged.write(part, format="fits")


def _first_rows(table: Table) -> Table:
    """The first row of each source."""
    _, first = np.unique(np.asarray(table["source_id"]), return_index=True)
    return table[np.sort(first)]


def _join(tables: list[Table], sources: Table | None) -> Table:
    """Photometry of all sources that have any, with `norm_dg`."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0]
    joined = reduce(partial(join, keys="source_id", join_type="outer"), filled)
    if sources is not None and len(sources):
        joined = join(joined, sources["source_id", "norm_dg"], keys="source_id", join_type="left")
    return joined


def _plain(table: Table) -> Table:
    """Copy with texts in place of objects, as FITS requires, and without the archive's metadata."""
    plain = Table()
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "O":
            texts = ["" if np.ma.is_masked(cell) else str(cell) for cell in column]
            column = MaskedColumn(np.array(texts, dtype="S"), mask=np.ma.getmaskarray(column))
        plain[name] = MaskedColumn(np.ma.asarray(column))
    return plain
