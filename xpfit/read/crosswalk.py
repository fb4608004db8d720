"""Which source of one data release is which of another (``gaiadr4.dr3_neighbourhood``, say)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..releases import RELEASES
from .joins import match_ids
from .known import name_of
from .source_ids import ids_of

COLUMNS = {name: f"{name.lower()}_source_id" for name in RELEASES}
"""Columns of a crosswalk, by release; of these it needs two."""


class Crosswalk:
    """A table that links the sources of two releases.

    Parameters
    ----------
    table : astropy.table.Table
        With two of `COLUMNS`. Sources with several counterparts have none.

    Raises
    ------
    InputError
        If a column is missing, or holds no ids.
    """

    def __init__(self, table: Table):
        self._what = name_of(table, "the crosswalk")
        lower = {name.lower(): name for name in table.colnames}
        self._ids = {
            release: ids_of(table[lower[column]], self._what)
            for release, column in COLUMNS.items()
            if column in lower
        }
        if len(self._ids) < 2:
            missing = [column for column in COLUMNS.values() if column not in lower]
            raise InputError(
                f"{self._what}: no column {', '.join(missing)}; it needs "
                f"{' and '.join(COLUMNS.values())}"
            )
        unique = np.ones(len(table), dtype=bool)
        for ids in self._ids.values():
            _, place, count = np.unique(ids, return_inverse=True, return_counts=True)
            unique &= count[place] == 1
        self._ids = {release: np.where(unique, ids, 0) for release, ids in self._ids.items()}

    def translate(self, source_id: np.ndarray, release: str, other: str) -> np.ndarray:
        """Ids of sources in another release.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_star,)
        release, other : str
            Of these ids, and of those that are wanted.

        Returns
        -------
        ndarray of int64, shape (n_star,)
            Zero where there is no counterpart, or several.

        Raises
        ------
        InputError
            If the table does not link these releases, or none of the sources is in it.
        """
        if release == other:
            return source_id
        for name in (release, other):
            if name not in self._ids:
                raise InputError(f"{self._what}: no column {COLUMNS.get(name, name)}")
        rows, matched = match_ids(source_id, self._ids[release], self._what)
        if len(source_id) and not matched.any():
            raise InputError(
                f"{self._what}: none of the {len(source_id)} stars is in column {COLUMNS[release]},"
                " or each has several counterparts; give the crosswalk of these stars"
            )
        found: np.ndarray = np.where(matched, self._ids[other][rows], 0)
        return found
