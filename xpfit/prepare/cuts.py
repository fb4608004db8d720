"""Which stars of a survey are good enough to train on (ZGR23, section 2.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..read.tables import float_column
from ..releases import EXCESS_FACTOR


@dataclass(frozen=True)
class TrainingCuts:
    """Limits of ZGR23's section 2.5.

    Parameters
    ----------
    min_snr : float
        Of the survey's spectrum in each of the bands that the table has.
    max_teff_err : float
        K.
    max_feh_err, max_logg_err : float
        dex.
    min_parallax_over_error : float
    min_fidelity : float
        Astrometric fidelity (Rybizki et al. 2022).
    max_flux_excess : float
        BP/RP flux excess.
    """

    min_snr: float = 20.0
    max_teff_err: float = 500.0
    max_feh_err: float = 0.5
    max_logg_err: float = 0.5
    min_parallax_over_error: float = 3.0
    min_fidelity: float = 0.5
    max_flux_excess: float = 1.3


LAMOST_SNR_COLUMNS = ("snrg", "snrr", "snri")
"""LAMOST's signal-to-noise ratios in g, r and i; surveys without them have one `snr`."""


def training_cuts(
    table: Table, cuts: TrainingCuts | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Apply ZGR23's quality cuts to a cross-matched table.

    Parameters
    ----------
    table : astropy.table.Table
        With `snrg`, `snrr`, `snri` (or `snr`), `teff_err` (K), `feh_err`, `logg_err`,
        `parallax_over_error` (or `parallax` and `parallax_error`), `fidelity_v2` and
        `phot_bp_rp_excess_factor` (or `bp_rp_flux_excess`).
    cuts : TrainingCuts, optional

    Returns
    -------
    keep : ndarray of bool, shape (n_row,)
        Rows that pass all cuts. A missing value fails.
    removed : dict of str to int
        Number of the remaining rows that each cut removed, in order.

    Raises
    ------
    InputError
        If a column is missing.
    """
    cuts = cuts or TrainingCuts()
    numbers = [name for name in table.colnames if _is_number(table[name])]
    columns = {name: float_column(table[name]) for name in numbers}
    if {"parallax", "parallax_error"} <= set(columns):
        columns.setdefault("parallax_over_error", columns["parallax"] / columns["parallax_error"])
    excess = "bp_rp_flux_excess" if "bp_rp_flux_excess" in columns else EXCESS_FACTOR
    has_one = "snr" in columns and not columns.keys() & LAMOST_SNR_COLUMNS
    snr = ("snr",) if has_one else LAMOST_SNR_COLUMNS
    tests = [(name, np.greater, cuts.min_snr) for name in snr]
    tests += [
        ("teff_err", np.less, cuts.max_teff_err),
        ("feh_err", np.less, cuts.max_feh_err),
        ("logg_err", np.less, cuts.max_logg_err),
        ("parallax_over_error", np.greater, cuts.min_parallax_over_error),
        ("fidelity_v2", np.greater, cuts.min_fidelity),
        (excess, np.less, cuts.max_flux_excess),
    ]
    missing = [name for name, _, _ in tests if name not in columns]
    if missing:
        raise InputError(f"the training cuts need the columns {', '.join(missing)}")
    keep, removed = np.ones(len(table), dtype=bool), {}
    for name, compare, limit in tests:
        sign = ">" if compare is np.greater else "<"
        passed = compare(columns[name], limit)
        removed[f"{name} {sign} {limit:g}"] = int(np.sum(keep & ~passed))
        keep &= passed
    return keep, removed


def _is_number(column) -> bool:
    """Whether a column holds one number per row."""
    return column.dtype.kind in "iuf" and column.ndim == 1
