"""Requests to the Gaia archive through astroquery, repeated politely when they fail."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from itertools import product
from typing import TypeVar

import numpy as np
from astropy.table import Table

from ...errors import ArchiveError, InputError
from ...releases import DR3, Release
from .mirror import COEFFICIENTS, column_names
from .names import NotUnderstoodError, is_refusal
from .products import Products, epoch_products
from .queries import WANTED

EPOCH_FORMATS = ("votable", "csv")
"""Formats in which epoch spectra are requested, in this order."""

MAX_REASON = 300
"""Characters of a reason in messages: the archive may answer with a whole page."""

Answer = TypeVar("Answer")


class ArchiveClient:
    """The archive's TAP and datalink services.

    Parameters
    ----------
    gaia : astroquery.gaia.GaiaClass, optional
        Connection to the archive; by default a new, anonymous one.
    release : Release
        Data release that is requested.
    attempts : int
        Attempts of a request before it counts as failed.
    wait : float
        Seconds before the second attempt; doubled each time.
    sleep : callable
        Waits for a number of seconds.

    Attributes
    ----------
    understood : dict of str to tuple of str
        Names that the archive understood, for "spectrum" and "epochs": retrieval type, data
        structure and format.

    Raises
    ------
    InputError
        If astroquery is not installed.
    """

    def __init__(
        self,
        gaia=None,
        *,
        release: Release = DR3,
        attempts: int = 4,
        wait: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.gaia = _new_gaia() if gaia is None else gaia
        self.release = release
        self.understood: dict[str, tuple[str, ...]] = {}
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
        names = product(self.release.retrieval_types, self.release.data_structures, ("votable",))
        return self._first_understood("spectrum", source_id, names, _continuous) or []

    def epoch_spectra(self, source_id: np.ndarray) -> Products:
        """Epoch XP spectra of a list of sources, by datalink.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_source,)
            At most 5,000.

        Returns
        -------
        Products
            As the archive sent them; empty if it sent nothing.

        Raises
        ------
        InputError
            If the release has no epoch spectra.
        ArchiveError
            If no attempt succeeds.
        """
        if not self.release.epoch_types:
            raise InputError(f"Gaia {self.release.name} has no epoch XP spectra")
        names = product(self.release.epoch_types, self.release.data_structures, EPOCH_FORMATS)
        return self._first_understood("epochs", source_id, names, epoch_products) or Products()

    def _first_understood(
        self,
        what: str,
        source_id: np.ndarray,
        names: Iterable[tuple[str, ...]],
        convert: Callable[[dict], Answer],
    ) -> Answer | None:
        """Answer to the first names that bring data; None if all that are understood bring none."""
        known = self.understood.get(what)
        ids, refused, answered = [int(i) for i in source_id], [], False
        for choice in [known] if known else names:
            request = partial(self._load, ids, choice, convert)
            try:
                answer = self._retry(request, () if known else choice)
            except NotUnderstoodError as error:
                refused.append(f"{', '.join(choice)} ({error})")
                continue
            answered = True
            if answer:  # an archive may answer unknown names with nothing
                self.understood[what] = choice
                return answer
        if answered:
            return None
        raise ArchiveError(
            f"no names for the {what} of {self.release.datalink} are understood; tried: "
            f"{'; '.join(refused)}; update astroquery, and compare the names with the archive's"
        )

    def _load(
        self, ids: list[int], names: tuple[str, ...], convert: Callable[[dict], Answer]
    ) -> Answer:
        """Request products by one set of names."""
        retrieval_type, data_structure, form = names
        products = self.gaia.load_data(
            ids,
            data_release=self.release.datalink,
            retrieval_type=retrieval_type,
            data_structure=data_structure,
            format=form,
        )
        return convert(products)

    def _retry(self, request: Callable[[], Answer], names: Iterable[str] = ()) -> Answer:
        """Repeat a request until it succeeds, with pauses that double.

        Where `names` are tried, an answer that they are unknown is a `NotUnderstoodError` at once.
        """
        for attempt in range(self.attempts):
            try:
                # astroquery prints to standard output, and warns of units unknown to astropy.
                with redirect_stdout(StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return request()
            except Exception as error:  # astroquery has no common base of errors
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
                if names and is_refusal(error, names):
                    raise NotUnderstoodError(reason) from error
            if attempt + 1 < self.attempts:
                self.sleep(self.wait * 2.0**attempt)
        raise ArchiveError(f"the archive did not answer {self.attempts} times; last: {reason}")


def _continuous(products: dict) -> list[np.ma.MaskedArray]:
    """Records of XP continuous spectra among what the archive sent."""
    tables = [table.array for tables in products.values() for table in tables]
    spectra = [t for t in tables if set(column_names(t)) >= COEFFICIENTS]
    if tables and not spectra:
        raise NotUnderstoodError(f"tables without the columns {', '.join(sorted(COEFFICIENTS))}")
    # One file is written of all, so that tables of other columns cannot be taken.
    return [t for t in spectra if set(column_names(t)) == set(column_names(spectra[0]))]


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
