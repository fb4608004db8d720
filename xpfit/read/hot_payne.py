"""The Hot Payne's labels of LAMOST's O, B and A stars, combined with LAMOST's own catalogue."""

from __future__ import annotations

import os

import numpy as np
from astropy.table import Column, Table, vstack

from .columns import MEANINGS, find_column
from .formats.base import require_columns
from .known import possible_values
from .tables import Lookup, float_column, read_table

SPECTRUM_COLUMNS = ("obsdate", "planid", "spid", "fiberid")
"""Columns of LAMOST's catalogue that name a spectrum."""

HOT_PAYNE_COLUMNS = {
    "teff": "Teff", "teff_err": "e_Teff", "feh": "[Fe/H]", "feh_err": "e_[Fe/H]",
    "logg": "logg", "logg_err": "e_logg",
}  # fmt: skip
"""Columns of the Hot Payne's catalogue (Xiang et al. 2022, A&A 662, A66)."""

HOT_PAYNE_LIMIT = 7000.0
"""Temperature (K) at which ZGR23 (section 2.2) change over to the Hot Payne's labels."""


def with_hot_payne(
    table: Table, raw: Table, path: str | os.PathLike
) -> tuple[Table, dict[str, int]]:
    """LAMOST's labels and those of the Hot Payne, each where it is the better (ZGR23, 2.2).

    Labels of the Hot Payne replace LAMOST's for the same spectrum where they are hotter than
    `HOT_PAYNE_LIMIT`. Its spectra that are not in LAMOST's catalogue, such as those of O and B
    stars, are added at the positions that it gives. What LAMOST alone calls hotter is left out,
    since its own temperatures of hot stars are inaccurate.

    Parameters
    ----------
    table : astropy.table.Table
        Labels of LAMOST.
    raw : astropy.table.Table
        The rows of LAMOST's catalogue that they are from, with `SPECTRUM_COLUMNS`.
    path : path-like
        The Hot Payne's catalogue.

    Returns
    -------
    table : astropy.table.Table
        With the numbers of spectra whose labels were replaced and that were added in ``meta``.
    removed : dict of str to int

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, or a column is missing.
    """
    names = _spectrum_names(raw, table.meta.get("path", "LAMOST's catalogue"))
    hot, spectra = _hot_labels(path)
    rows, replaced = Lookup(spectra).find(names)
    for name in HOT_PAYNE_COLUMNS:
        table[name][replaced] = hot[name][rows[replaced]]
    left_out = ~replaced & (table["teff"] >= HOT_PAYNE_LIMIT)
    removed = {f"hotter than {HOT_PAYNE_LIMIT:g} K, not in the Hot Payne": int(left_out.sum())}
    new = np.ones(len(hot), dtype=bool)
    new[np.isin(spectra, spectra[rows[replaced]])] = False
    placed = new & (np.isfinite(hot["ra"]) & np.isfinite(hot["dec"]))
    removed["in the Hot Payne alone, without a position"] = int(np.sum(new & ~placed))
    for name in ("snrg", "snrr", "snri"):
        hot[name] = hot["snr"]
    hot.keep_columns([name for name in table.colnames if name in hot.colnames])
    combined = _stacked(table[~left_out], hot[placed])
    combined.meta = {**table.meta, "replaced": int(replaced.sum()), "added": int(placed.sum())}
    return combined, removed


def _hot_labels(path: str | os.PathLike) -> tuple[Table, np.ndarray]:
    """Labels above the limit, with positions and S/N where the catalogue has them; spectra."""
    raw = read_table(path)
    wanted = ("SpecID", *HOT_PAYNE_COLUMNS.values())
    require_columns(wanted, raw.colnames, path, "this is not the Hot Payne's catalogue")
    raw = raw[np.nan_to_num(float_column(raw["Teff"])) >= HOT_PAYNE_LIMIT]
    columns = dict(HOT_PAYNE_COLUMNS)
    for name, more in (("ra", ("ra",)), ("dec", ("dec",)), ("snr", ("snr_g", "snrg"))):
        columns[name] = find_column(raw, (*MEANINGS[name].names, *more), str(path))
    table = Table()
    for name, column in columns.items():
        table[name] = np.full(len(raw), np.nan)
        if column and len(raw):
            what = f"{path}: column {column}"
            table[name], _ = possible_values(raw[column], MEANINGS[name], what)
    cells = np.ma.filled(np.ma.asarray(raw["SpecID"]), "").astype(str)
    return table, np.char.strip(cells)


def _stacked(first: Table, second: Table) -> Table:
    """Two tables, NaN where the second has no column of the first."""
    for name in first.colnames:
        if name not in second.colnames:
            second[name] = Column(np.full(len(second), np.nan))
    return vstack([first, second[first.colnames]], metadata_conflicts="silent")


def _spectrum_names(raw: Table, path: str | os.PathLike) -> np.ndarray:
    """Names of LAMOST spectra as the Hot Payne writes them: date-plan-spectrograph-fibre."""
    columns = {name.lower(): name for name in raw.colnames}
    remedy = "they name the spectra, by which the Hot Payne's labels are joined"
    require_columns(SPECTRUM_COLUMNS, columns, path, remedy)
    return np.array(
        [
            f"{str(date).replace('-', '')}-{str(plan).strip()}-{int(spid):02d}-{int(fibre):03d}"
            for date, plan, spid, fibre in zip(
                *(raw[columns[name]] for name in SPECTRUM_COLUMNS), strict=True
            )
        ]
    )
