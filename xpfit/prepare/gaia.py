"""Columns of Gaia's tables besides the spectrum: position, brightness, quality."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..read.tables import float_column, matched_values
from ..releases import EXCESS_FACTOR

GAIA_COLUMNS = (
    "ra", "dec",
    "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag",
    "phot_g_mean_flux_over_error", "phot_bp_mean_flux_over_error", "phot_rp_mean_flux_over_error",
    EXCESS_FACTOR, "ruwe", "fidelity_v2", "norm_dg",
    "bp_chi_squared", "rp_chi_squared",
)  # fmt: skip
"""Columns that `Spectra.gaia` may hold: those of gaia_source, of the table of XP spectra
(`*_chi_squared`), and of Rybizki et al. (2022, MNRAS 510, 2597: `fidelity_v2`, `norm_dg`)."""

OVER_ERROR = "_over_error"


def gaia_columns(table: Table, rows: np.ndarray, matched: np.ndarray) -> dict[str, np.ndarray]:
    """Those of `GAIA_COLUMNS` that a table has, for a list of stars.

    Parameters
    ----------
    table : astropy.table.Table
        A ratio ``X_over_error`` may also be given as ``X`` and ``X_error``.
    rows : ndarray of int, shape (n_star,)
        Row of each star.
    matched : ndarray of bool, shape (n_star,)
        Stars that have one.

    Returns
    -------
    dict of str to ndarray, shape (n_star,)
        NaN where unknown.
    """
    columns = {name: _values(table, name) for name in GAIA_COLUMNS}
    return {
        name: matched_values(values, rows, matched)
        for name, values in columns.items()
        if values is not None
    }


def _values(table: Table, name: str) -> np.ndarray | None:
    """A column, or the ratio of two; None if the table lacks it."""
    if name in table.colnames:
        return float_column(table[name])
    value = name.removesuffix(OVER_ERROR)
    if value != name and value in table.colnames and f"{value}_error" in table.colnames:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = float_column(table[value]) / float_column(table[f"{value}_error"])
        return np.where(np.isfinite(ratio), ratio, np.nan)
    return None
