"""Spectra and catalogue columns of a list of sources, in batches, with a status for every source.

The directory that a download fills::

    accounts.ecsv           one row per source: its batch, and the status of each request
    spectra/batch_0000.h5   XP continuous spectra, one dataset per column of the archive
    gaia_source/batch_0000.fits, photometry/batch_0000.fits
    gaia_source.fits        all batches together, written at the end: for --astrometry
    photometry.fits         2MASS, AllWISE and norm_dg: for --photometry
    epochs/batch_0000.h5    on request, epoch spectra; batch_0000.zip if they came as a ZIP archive
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm.auto import tqdm

from ...data.hdf5 import open_hdf5
from ...errors import ArchiveError, InputError
from ...files import atomic_output, output_directory
from ...locks import locked
from ..tables import read_table
from .accounts import EPOCHS, REQUESTS, TEXT, Accounts, Status
from .catalogues import first_rows, join_photometry, merge_batches, write_batch
from .client import ArchiveClient
from .mirror import ids_of, write_mirror
from .products import Products, ids_in_file
from .queries import QUERIES

MAX_BATCH = 5000
"""Largest number of sources per request of the archive's datalink service."""

PAUSE = 1.0
"""Seconds between batches."""

MAX_UNANSWERED_BATCHES = 2
"""Consecutive batches without an answer after which a download stops."""

BEGUN = "begun.json"
"""The batch that is being downloaded: its number and its sources."""


class Download:
    """A directory of downloaded data, which can be resumed.

    Parameters
    ----------
    directory : path-like
        Created if it does not exist; data already in it are not requested again.
    client : ArchiveClient
        Of the data release that is wanted.
    batch_size : int
        Sources per request.
    epochs : bool
        Request epoch spectra, too.

    Attributes
    ----------
    accounts : astropy.table.Table
        `source_id`, `batch` and a `Status` for each request.
    reasons : dict of str to str
        Why requests failed in this run, the last reason of each.

    Raises
    ------
    InputError
        If the batch size is out of range, the release has no epoch spectra, or the accounts in the
        directory cannot be read or are those of another release.
    OutputError
        If the directory cannot be made.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        client: ArchiveClient,
        batch_size: int = MAX_BATCH,
        *,
        epochs: bool = False,
    ):
        if not 1 <= batch_size <= MAX_BATCH:
            raise InputError(
                f"the archive takes 1 to {MAX_BATCH} sources at once, not {batch_size}"
            )
        if epochs and not client.release.epoch_types:
            raise InputError(f"Gaia {client.release.name} has no epoch XP spectra")
        self.directory, self.client, self.batch_size = Path(directory), client, batch_size
        self.requests = REQUESTS | EPOCHS if epochs else REQUESTS
        self.folders = tuple(dict.fromkeys(self.requests.values()))
        self.reasons: dict[str, str] = {}
        self._accounts = self._read_accounts()
        for name in self.folders:
            output_directory(self.directory / name)

    @property
    def accounts(self) -> Table:
        """Status of each request for each source."""
        return self._accounts.table

    def _read_accounts(self) -> Accounts:
        """Accounts of an earlier run, or empty ones."""
        return Accounts(self.directory, self.client.release.name, self.requests)

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
            self._accounts = self._read_accounts()
            self._check_received()
            self._request(wanted, progress)
            for name in ("gaia_source", "photometry"):
                path = self.directory / f"{name}.fits"
                merge_batches(self._batches(name), path, self.client.release.name)
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
        there = {name: self._ids_in(name) for name in self.folders}
        ids = np.asarray(self.accounts["source_id"])
        n_lost = 0
        for request, folder in self.requests.items():
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
                elif folder == "epochs":
                    ids.append(ids_in_file(path))
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
        return self._accounts.completed()

    def summary(self) -> str:
        """Sources by status of each request, names that were understood, reasons of failures."""
        lines = [self._accounts.summary()]
        for name, understood in self.client.understood.items():
            lines.append(f"{name}: requested as {', '.join(understood)}")
        lines += [f"{name} failed: {reason}" for name, reason in self.reasons.items()]
        return "\n".join(lines)

    @property
    def n_failed(self) -> int:
        """Sources for which a request has failed."""
        return len(self.accounts) - len(self.completed())

    def _run_batch(self, batch: np.ndarray) -> bool:
        """Download one batch and record its status; returns whether the archive answered."""
        number = self._number_of(batch)
        status = {name: np.full(len(batch), Status.FAILED.value, TEXT) for name in self.requests}
        tables = {}
        for name, adql in QUERIES.items():
            try:
                answer = self.client.query(adql(self.client.release), batch)
            except ArchiveError as error:
                self.reasons[name] = str(error)
                continue
            tables[name] = first_rows(answer)
            there = np.isin(batch, np.asarray(tables[name]["source_id"]))
            status[name] = np.where(there, Status.RECEIVED.value, Status.ABSENT.value)
        if "gaia_source" in tables:
            write_batch(tables["gaia_source"], self._path("gaia_source", number, "fits"))
            available = self._with_spectra(tables["gaia_source"])
            status["spectrum"] = self._spectra(batch, available, number)
            if "epochs" in self.requests:
                status["epochs"] = self._epochs(batch, available, number)
        photometry = [tables[name] for name in ("two_mass", "allwise") if name in tables]
        if photometry:
            joined = join_photometry(photometry, tables.get("gaia_source"))
            write_batch(joined, self._path("photometry", number, "fits"))
        self._accounts.record(batch, number, status)
        return bool(tables)

    def _path(self, folder: str, number: int, suffix: str) -> Path:
        """File of a batch."""
        return self.directory / folder / f"batch_{number:04d}.{suffix}"

    def _with_spectra(self, sources: Table) -> np.ndarray:
        """Sources that have spectra, as the archive lists them."""
        listed = sources[self.client.release.column("has_xp_continuous")]
        has_xp = np.array([str(v).lower() in ("true", "1") for v in listed], dtype=bool)
        return np.asarray(sources["source_id"])[has_xp]

    def _number_of(self, batch: np.ndarray) -> int:
        """Number of a batch, recorded: if it is interrupted, its files are replaced next time."""
        path, ids = self.directory / BEGUN, batch.tolist()
        accounted = np.asarray(self.accounts["batch"]).tolist()
        with suppress(OSError, ValueError, LookupError, TypeError):
            begun = json.loads(path.read_bytes())
            if begun["source_id"] == ids and int(begun["batch"]) not in accounted:
                return int(begun["batch"])
        # Also beyond files of which the accounts know nothing.
        names = [
            path.stem.removeprefix("batch_") for f in self.folders for path in self._batches(f)
        ]
        number = max([-1, *(int(name) for name in names if name.isdecimal()), *accounted]) + 1
        with atomic_output(path, overwrite=True) as part:
            part.write_text(json.dumps({"batch": number, "source_id": ids}), encoding="utf-8")
        return number

    def _spectra(self, batch: np.ndarray, available: np.ndarray, number: int) -> np.ndarray:
        """Download the spectra that the archive lists; returns their status."""
        had = self._accounts.had("spectrum")
        received: list[np.ma.MaskedArray] = []
        missing = available[~np.isin(available, had)]
        # At times the archive sends fewer spectra than requested, and the others when asked again.
        for _ in range(2):
            if not len(missing):
                break
            try:
                received += self.client.continuous_spectra(missing)
            except ArchiveError as error:
                self.reasons["spectrum"] = str(error)
                break
            missing = missing[~np.isin(missing, ids_of(received))]
        if received:
            write_mirror(received, self._path("spectra", number, "h5"), self.client.release.name)
        return _status(batch, available, np.append(had, ids_of(received)))

    def _epochs(self, batch: np.ndarray, available: np.ndarray, number: int) -> np.ndarray:
        """Download epoch spectra; returns their status: absent if they are sent neither time."""
        had, received = self._accounts.had("epochs"), Products()
        missing, unanswered = available[~np.isin(available, had)], available[:0]
        for _ in range(2):
            if not len(missing):
                break
            try:
                received += self.client.epoch_spectra(missing)
            except ArchiveError as error:
                self.reasons["epochs"] = str(error)
                unanswered = missing
                break
            missing = missing[~np.isin(missing, received.source_id)]
        if received:
            received.write(self.directory / "epochs", number, self.client.release.name)
        return _status(batch, unanswered, np.append(had, received.source_id))


def _status(batch: np.ndarray, available: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Status of a batch: what is available and was not received has failed."""
    status = np.full(len(batch), Status.ABSENT.value, TEXT)
    status[np.isin(batch, available)] = Status.FAILED.value
    status[np.isin(batch, received)] = Status.RECEIVED.value
    return status
