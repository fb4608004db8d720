"""The unWISE catalogue (Schlafly et al. 2019, ApJS 240, 30) as a table of photometry.

ZGR23 (section 2.4) take W1 and W2 from it. Its fluxes are nanomaggies on the Vega system: 1 nmgy is
22.5 mag. It has no ids of Gaia, and is joined by position.
"""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..read.columns import plain
from ..read.joins import ID_COLUMNS, id_column, integer_ids
from ..read.known import known_columns, name_of
from ..read.positions import match_positions
from ..read.tables import float_column

UNWISE_EPOCH = 2015.4
"""Mean epoch (Julian year) of the exposures of January 2010 to December 2019 ("neo6")."""

UNWISE_RADIUS = 1.0
"""Arc seconds within which a source is a star's: a sixth of the width of WISE's images."""

PAIRS = ("flux", "dflux", "fracflux", "flags_unwise", "flags_info")
"""Columns of the files of catalog.unwise.me that hold W1 and W2 in each cell."""


def unwise_table(table: Table, gaia: Table | None = None) -> Table:
    """A table of photometry with one column a band, and with ids, where it is unWISE's.

    Parameters
    ----------
    table : astropy.table.Table
        Any table of photometry; others than unWISE's come back unchanged.
    gaia : astropy.table.Table, optional
        Rows of gaia_source with ra, dec, pmra and pmdec, for tables without ids.

    Returns
    -------
    astropy.table.Table
        Of sources that are found more than once, in neighbouring coadds, only the primary rows.

    Raises
    ------
    InputError
        If a table has fluxes of the Legacy Surveys, or positions but no ids, and `gaia` is missing.
    """
    what = name_of(table, "the table of photometry")
    spelled = {plain(name): name for name in table.colnames}
    if {"flux_ivar_w1", "flux_ivar_w2"} & set(spelled):
        raise InputError(
            f"{what}: flux_w1 and flux_ivar_w1 are the Legacy Surveys' forced photometry, AB "
            "nanomaggies; give magnitudes on the Vega system (m(AB) - 2.699 in W1, - 3.339 in W2)"
        )
    if any(
        "unwise_objid" in name.lower() or "flags_unwise" in name.lower()
        for name in spelled.values()
    ):
        table = _one_column_a_band(table)
        if "primary" in table.colnames:
            table = table[float_column(table["primary"]) != 0]
        if id_column(table, what) is None:
            return _with_ids(table, gaia, what)
    return table


def _one_column_a_band(table: Table) -> Table:
    """Columns with W1 and W2 in each cell as two, such as flux_w1 and flux_w2."""
    pairs = [name for name in PAIRS if name in table.colnames and table[name].ndim == 2]
    if not pairs:
        return table
    new = table.copy(copy_data=False)
    for name in pairs:
        if table[name].shape[1] != 2:
            raise InputError(
                f"{name_of(table, 'the table of photometry')}: column {name} holds "
                f"{table[name].shape[1]} numbers in each cell; two, of W1 and W2, are expected"
            )
        for k, band in enumerate(("w1", "w2")):
            new[f"{name}_{band}"] = table[name][:, k]
            new[f"{name}_{band}"].unit = table[name].unit
        new.remove_column(name)
    return new


def _with_ids(table: Table, gaia: Table | None, what: str) -> Table:
    """The rows of Gaia's sources, with their ids."""
    if gaia is None:
        raise InputError(
            f"{what}: unWISE has no ids of Gaia; give rows of gaia_source with ra, dec, pmra and "
            "pmdec (--astrometry) to join it by position"
        )
    columns, _ = known_columns(table, ("ra", "dec"), what)
    missing = [name for name in ("ra", "dec") if name not in columns]
    if missing:
        raise InputError(f"{what}: unWISE is joined by position, and has no {', '.join(missing)}")
    ids = integer_ids(gaia, name_of(gaia, "the table of astrometry"))
    rows, matched = match_positions(gaia, Table(columns), UNWISE_EPOCH, UNWISE_RADIUS)
    new = table[rows[matched]]
    new.add_column(np.asarray(ids[matched]), name=ID_COLUMNS[0], index=0)
    return new
