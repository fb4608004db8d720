"""Requests to the Gaia archive through astroquery, repeated politely when they fail."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import TypeVar

import numpy as np
from astropy.table import Table

from ...errors import ArchiveError, InputError
from .queries import WANTED

RELEASE = "Gaia DR3"

Answer = TypeVar("Answer")


class ArchiveClient:
    """The archive's TAP and datalink services.

    Parameters
    ----------
    gaia : astroquery.gaia.GaiaClass, optional
        Connection to the archive; by default a new, anonymous one.
    attempts : int
        Attempts of a request before it counts as failed.
    wait : float
        Seconds before the second attempt; doubled each time.
    sleep : callable
        Waits for a number of seconds.

    Raises
    ------
    InputError
        If astroquery is not installed.
    """

    def __init__(
        self,
        gaia=None,
        *,
        attempts: int = 4,
        wait: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.gaia = _new_gaia() if gaia is None else gaia
        self.attempts, self.wait, self.sleep = attempts, wait, sleep

    def query(self, adql: str, source_id: np.ndarray) -> Table:
        """Run a query on a list of sources.

        Parameters
        ----------
        adql : str
            With the sources in ``TAP_UPLOAD.wanted``.
        source_id : ndarray of int64, shape (n_source,)

        Returns
        -------
        astropy.table.Table
            Names in lower case; any number of rows.

        Raises
        ------
        ArchiveError
            If no attempt succeeds.
        """

        def request() -> Table:
            wanted = Table({"source_id": np.asarray(source_id, dtype=np.int64)})
            job = self.gaia.launch_job_async(adql, upload_resource=wanted, upload_table_name=WANTED)
            return _lower_case(job.get_results())

        return self._retry(request)

    def continuous_spectra(self, source_id: np.ndarray) -> list[np.ma.MaskedArray]:
        """XP continuous spectra of a list of sources, by datalink.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_source,)
            At most 5,000, the archive's limit per request.

        Returns
        -------
        list of numpy.ma.MaskedArray
            Tables as records, one row per source that the archive sent: often fewer than asked for.

        Raises
        ------
        ArchiveError
            If no attempt succeeds.
        """

        def request() -> list[np.ma.MaskedArray]:
            products = self.gaia.load_data(
                [int(i) for i in source_id],
                data_release=RELEASE,
                retrieval_type="XP_CONTINUOUS",
                data_structure="RAW",
                format="votable",
            )
            return [table.array for tables in products.values() for table in tables]

        return self._retry(request)

    def _retry(self, request: Callable[[], Answer]) -> Answer:
        """Repeat a request until it succeeds, with pauses that double."""
        for attempt in range(self.attempts):
            try:
                # astroquery prints to standard output, and warns of units unknown to astropy.
                with redirect_stdout(StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return request()
            except Exception as error:  # astroquery has no common base of errors
                reason = f"{type(error).__name__}: {error}"
            if attempt + 1 < self.attempts:
                self.sleep(self.wait * 2.0**attempt)
        raise ArchiveError(f"the archive did not answer {self.attempts} times; last: {reason}")


def _new_gaia():
    """An anonymous connection by astroquery."""
    try:
        with redirect_stdout(StringIO()):  # it prints the archive's news on import
            from astroquery.gaia import GaiaClass
    except ImportError as error:
        raise InputError(
            "downloads need astroquery: python -m pip install 'xpfit[archive]'"
        ) from error
    return GaiaClass(show_server_messages=False)


def _lower_case(table: Table) -> Table:
    """Table with names in lower case: the archive writes source_id and SOURCE_ID."""
    table.rename_columns(table.colnames, [name.lower() for name in table.colnames])
    return table
