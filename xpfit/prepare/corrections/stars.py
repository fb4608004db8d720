"""What corrections need to know of stars besides their spectra: G, BP-RP and E(B-V)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from ...errors import InputError
from ...read.joins import Sources, integer_ids
from ...read.known import known_columns, name_of
from ...read.tables import matched_values

MAGNITUDES = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")

LIMITED = ("bp_rp", "phot_g_mean_mag", "ebv")
"""Quantities of a star that have a range, in mag."""

Limits = Mapping[str, tuple[float, float]]


class Stars:
    """Magnitudes and extinctions of stars, looked up by source id.

    Parameters
    ----------
    table : astropy.table.Table
        Source ids, `MAGNITUDES` and, where it is known, E(B-V) in mag (`ebv`, `extinction`), under
        the names of `xpfit.read.columns`.
    need_extinction : bool
        Refuse a table without E(B-V).

    Raises
    ------
    InputError
        If a column is missing.
    """

    def __init__(self, table: Table, *, need_extinction: bool = False):
        what = name_of(table, "the table of the correction")
        columns, _ = known_columns(table, (*MAGNITUDES, "extinction"), what)
        needed = (*MAGNITUDES, "extinction") if need_extinction else MAGNITUDES
        missing = ["ebv" if n == "extinction" else n for n in needed if n not in columns]
        if missing:
            raise InputError(
                f"{what} lacks {', '.join(missing)}, on which the flux correction depends; add it"
            )
        g, bp, rp = (columns[name] for name in MAGNITUDES)
        unknown = np.full(len(g), np.nan)
        values = (bp - rp, g, columns.get("extinction", unknown))
        self._columns = dict(zip(LIMITED, values, strict=True))
        self._sources = Sources(integer_ids(table, what), what)

    def of(self, source_id: np.ndarray) -> dict[str, np.ndarray]:
        """The quantities of `LIMITED`, by name, shape (n_star,); NaN where unknown."""
        rows, matched = self._sources.rows(source_id)
        return {
            name: matched_values(values, rows, matched) for name, values in self._columns.items()
        }


def inside(values: Mapping[str, np.ndarray], limits: Limits) -> np.ndarray:
    """Which stars are within the range of a correction.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (n_star,)
        From `Stars.of`.
    limits : mapping of str to (float, float)
        Range of each quantity, both ends included.

    Returns
    -------
    ndarray of bool, shape (n_star,)
        False where a quantity is not known.
    """
    within = [(low <= values[n]) & (values[n] <= high) for n, (low, high) in limits.items()]
    return np.all(within, axis=0)
