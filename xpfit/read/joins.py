"""Joins of tables by Gaia's source ids: which column holds them, which rows belong to which star.

A join reports how many stars it found. One that finds none is an error: the ids are those of
another data release, or of other stars.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..releases import RELEASES
from .columns import find_column, plain, unnumbered
from .source_ids import DESIGNATION, OTHER_RELEASE, ids_of, release_of_ids
from .tables import Lookup

ID_COLUMNS = (
    "source_id", "SOURCE_ID", *(r.id_column for r in RELEASES.values()), "gaiaedr3_source_id"
)  # fmt: skip
"""Usual names of columns with Gaia source ids."""

ID_NAMES = ("source_id", "sourceid", "gaia_id")
"""Names, `plain`, under which other tables hold them."""

UNSURE_NAMES = ("source", "designation", "dr3name", "edr3name", "gaia", "gaiadr3", "gaiaedr3", "id")
"""Names, `plain`, that also mean other things: used if the cells are ids of Gaia."""

FEW = 0.5
"""A table that has a smaller fraction of the stars than this is reported by a warning."""


def id_column(table: Table, what: str) -> str | None:
    """Name of the column with Gaia's source ids.

    Parameters
    ----------
    table : astropy.table.Table
    what : str
        What the table is, for messages.

    Returns
    -------
    str or None

    Raises
    ------
    InputError
        If there are several, with different ids.
    """
    for name in ID_COLUMNS:
        if name in table.colnames:
            return name
    found = find_column(table, ID_NAMES, what)
    if found is not None:
        return found
    for name in table.colnames:
        if {plain(name), unnumbered(plain(name))} & set(UNSURE_NAMES) and _holds_ids(table[name]):
            return name
    return None


def _holds_ids(column) -> bool:
    """Whether the first cells look like ids or designations of Gaia."""
    cells = np.ma.compressed(np.ma.asarray(column)[:100])
    if cells.dtype.kind in "iu":
        return cells.dtype.itemsize == 8 and bool(np.all(cells >= 2**31))
    return cells.dtype.kind in "USO" and any(DESIGNATION.match(_text(cell)) for cell in cells)


def _text(cell) -> str:
    """A cell as text."""
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def integer_ids(table: Table, what: str) -> np.ndarray:
    """Source ids of a table as int64, zero where missing.

    Parameters
    ----------
    table : astropy.table.Table
        With a column of ids (see `id_column`).
    what : str
        What the table is, for messages.

    Returns
    -------
    ndarray of int64, shape (n_row,)

    Raises
    ------
    InputError
        If there is no such column, or as `ids_of`.

    Warns
    -----
    UserWarning
        As `ids_of`.
    """
    name = id_column(table, what)
    if name is not None:
        return ids_of(table[name], what)
    others = [n for n in table.colnames if re.search(r"source_?id|gaia|dr[12]", n.lower())]
    more = f" ({', '.join(others[:5])}: {OTHER_RELEASE})" if others else ""
    raise InputError(
        f"{what} has no column of 64-bit integer ids; expected one of {', '.join(ID_COLUMNS)}{more}"
    )


@dataclass
class Found:
    """How many stars a table has been found to have, so far.

    Attributes
    ----------
    n_star, n_matched : int
    """

    n_star: int = 0
    n_matched: int = 0

    def add(self, n_star: int, n_matched: int) -> None:
        """Count further stars."""
        self.n_star += n_star
        self.n_matched += n_matched


class Sources:
    """Ids of a table, in which stars are looked up; missing ones (zero) are found by none.

    Parameters
    ----------
    ids : ndarray of int64, shape (n_row,)
    what : str
        What the table is, for messages.

    Attributes
    ----------
    n : int
        Number of different sources.

    Warns
    -----
    UserWarning
        If the table holds a source more than once: the first row is used.
    """

    def __init__(self, ids: np.ndarray, what: str):
        self._known = np.flatnonzero(ids > 0)
        self._lookup = Lookup(ids[self._known])
        self.n = self._lookup.n_unique
        if self._lookup.n_repeated:
            warnings.warn(
                f"{self._lookup.n_repeated} rows of {what} repeat a source id; the first row of "
                "each source is used",
                stacklevel=4,
            )

    def rows(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the table that hold the wanted sources.

        Parameters
        ----------
        wanted : ndarray of int64, shape (n_star,)

        Returns
        -------
        rows : ndarray of int, shape (n_star,)
            Row in the table; meaningless where not matched.
        matched : ndarray of bool, shape (n_star,)
        """
        place, matched = self._lookup.find(wanted)
        return (self._known[place] if self.n else place), matched


class Key:
    """The ids of a table that is joined, and how many stars were found in it so far.

    Parameters
    ----------
    table : astropy.table.Table
    what : str
        What the table is, for messages: the file, if it is from one.

    Attributes
    ----------
    column : str
        Its name in the table.
    release : str
        Data release whose ids these are; empty if nothing tells it.
    found : Found

    Raises
    ------
    InputError
        As `integer_ids`.

    Warns
    -----
    UserWarning
        As `Sources`.
    """

    def __init__(self, table: Table, what: str):
        self._sources = Sources(integer_ids(table, what), what)
        self.what, self.column = what, str(id_column(table, what))
        self.release = release_of_ids(table, self.column)
        self.found = Found()

    def rows(self, wanted: np.ndarray, release: str = "") -> tuple[np.ndarray, np.ndarray]:
        """As `Sources.rows`; the stars are counted in `found`.

        Raises
        ------
        InputError
            If the stars are of another data release than the ids of the table.
        """
        require_same_release(release, self.release, f"{self.what}: {self.column}")
        rows, matched = self._sources.rows(wanted)
        self.found.add(len(wanted), int(matched.sum()))
        return rows, matched

    def check(self, found: Found | None = None) -> str:
        """How many stars were found, in a line.

        Parameters
        ----------
        found : Found, optional
            By default those that this object has counted.

        Returns
        -------
        str

        Raises
        ------
        InputError
            If there were stars, but none of them is in the table.

        Warns
        -----
        UserWarning
            If the table has less than `FEW` of them, and less than that of its sources are stars.
        """
        found, n_sources = found or self.found, self._sources.n
        if found.n_star and not found.n_matched:
            raise InputError(
                f"{self.what}: none of the {found.n_star} stars is in this table (joined by "
                f"{self.column}; it has {n_sources} sources); give the table of these stars, with "
                "ids of Gaia DR3"
            )
        text = (
            f"{self.what}: {found.n_matched} of {found.n_star} stars found by {self.column}, "
            f"{found.n_star - found.n_matched} not; the table has {n_sources} sources"
        )
        # A short table of some of the stars, such as the few with a parallax, is none of others.
        if found.n_matched < FEW * min(found.n_star, n_sources):
            warnings.warn(f"{text}; is it the table of these stars?", stacklevel=3)
        return text


def require_same_release(release: str, other: str, what: str) -> None:
    """Refuse to join ids of different data releases; empty names are not compared.

    Parameters
    ----------
    release, other : str
        Of the spectra, and of the ids in the table.
    what : str
        The column, for messages.

    Raises
    ------
    InputError
    """
    if release and other and release != other:
        raise InputError(
            f"{what} holds ids of Gaia {other}, the spectra are of {release}, where a source may "
            "have another id. Give the table that links them (--crosswalk), or a table of "
            f"{release}"
        )


def match_ids(wanted: np.ndarray, ids: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of another table that hold the wanted sources, for one join.

    Parameters
    ----------
    wanted : ndarray of int64, shape (n_star,)
    ids, what
        Of the other table, as for `Sources`, which warns of repeated ids.

    Returns
    -------
    rows, matched : ndarray
        As `Sources.rows`.
    """
    return Sources(ids, what).rows(wanted)
