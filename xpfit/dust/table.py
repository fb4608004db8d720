"""A table of extinction estimates by source id."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..read.columns import Meaning, error_names, find_column
from ..read.joins import Key
from ..read.known import name_of, possible_values, report_uses

NAMES = ("e", "extinction")

ESTIMATE = Meaning("extinction", "E", "mag", -5.0, 50.0, NAMES, sentinels=(-1.0,))
ESTIMATE_ERR = Meaning(
    "extinction_err", "error of E", "mag", 0.0, 50.0, error_names(*NAMES), positive=True
)
"""Columns of a table of estimates."""


class DustTable:
    """Estimates of E of single stars, in our unit.

    Parameters
    ----------
    table : astropy.table.Table
        With source ids, `E` and `E_err` (mag where they state no unit).

    Attributes
    ----------
    name : str
    key : xpfit.read.joins.Key

    Raises
    ------
    InputError
        If a column is missing, or as `xpfit.read.known.known_columns`.
    """

    def __init__(self, table: Table):
        what = name_of(table, "the table of extinctions")
        self.name, self.key = what, Key(table, what)
        uses, values = [], []
        for meaning in (ESTIMATE, ESTIMATE_ERR):
            found = find_column(table, meaning.names, what)
            if found is None:
                raise InputError(
                    f"{what} is no dust map that xpfit knows, and as a table of extinctions it "
                    f"lacks a column of the {meaning.what}; it needs source_id, E and E_err"
                )
            column, use = possible_values(table[found], meaning, f"{what}: column {found}")
            values.append(column)
            uses.append(use)
        self._extinction, self._error = values
        report_uses(table, what, self.key.column, uses)

    def of(self, source_id: np.ndarray, release: str = "") -> tuple[np.ndarray, np.ndarray]:
        """E and its error for stars, NaN where the table has none.

        Parameters
        ----------
        source_id : ndarray of int64, shape (n_star,)
        release : str
            Of these ids.

        Returns
        -------
        extinction, error : ndarray, shape (n_star,)
        """
        rows, matched = self.key.rows(source_id, release)
        known = np.isfinite(self._extinction) & np.isfinite(self._error)
        keep = matched.copy()
        keep[matched] = known[rows[matched]]
        extinction, error = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        extinction[keep], error[keep] = self._extinction[rows[keep]], self._error[rows[keep]]
        return extinction, error
