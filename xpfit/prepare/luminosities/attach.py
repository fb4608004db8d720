"""Attaching spectroscopic luminosities to spectra."""

from __future__ import annotations

import os

import numpy as np
from astropy.table import Table

from ...data import Spectra
from ...errors import InputError
from ...read.formats.base import require_columns
from ...read.joins import integer_ids, match_ids
from ...read.known import known_columns, name_of
from ...read.tables import matched_values, read_table

LUMINOSITY = "ln_luminosity"
"""Name of the label."""

LUMINOSITY_COLUMNS = (LUMINOSITY, f"{LUMINOSITY}_err")


def read_luminosities(path: str | os.PathLike) -> Table:
    """Read a table of luminosities.

    Parameters
    ----------
    path : path-like
        In any format of `xpfit.read.read_table`, with ids and `LUMINOSITY_COLUMNS`, as
        `scripts/make_luminosities.py` writes it.

    Returns
    -------
    astropy.table.Table

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, or lacks a column.
    """
    table = read_table(path)
    require_columns(LUMINOSITY_COLUMNS, table.colnames, path, "this is not a table of luminosities")
    return table


def attach_luminosities(spectra: Spectra, table: Table) -> Spectra:
    """Attach luminosities to spectra as a label, by source id.

    Parameters
    ----------
    spectra : Spectra
    table : astropy.table.Table
        Ids, `ln_luminosity` (ln of solar luminosities) and `ln_luminosity_err`.

    Returns
    -------
    Spectra
        With the label `ln_luminosity`, beside those that there are; NaN where the table has none.

    Raises
    ------
    InputError
        If a column is missing.
    """
    what = name_of(table, "the table of luminosities")
    missing = [name for name in LUMINOSITY_COLUMNS if name not in table.colnames]
    if missing:
        raise InputError(f"{what} lacks {', '.join(missing)}")
    rows, matched = match_ids(spectra.source_id, integer_ids(table, what), what)
    columns, _ = known_columns(table, LUMINOSITY_COLUMNS, what)
    value, error = (columns[name] for name in LUMINOSITY_COLUMNS)
    known = np.isfinite(value) & np.isfinite(error) & (error > 0)
    value, error = (
        matched_values(np.where(known, x, np.nan), rows, matched) for x in (value, error)
    )
    return spectra.replace(
        labels={**spectra.labels, LUMINOSITY: value},
        label_err={**spectra.label_err, LUMINOSITY: error},
    )
