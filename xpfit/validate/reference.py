"""Reference labels from a table of their own, joined by source id."""

from __future__ import annotations

import numpy as np
from astropy.table import MaskedColumn, Table

from ..catalogue import REFERENCE_PREFIX
from ..errors import InputError
from ..read.ids import ID_COLUMNS
from ..read.tables import float_column, integer_ids, match_ids

REFERENCE_COLUMNS = {
    "teff": ("teff",),
    "feh": ("feh", "fe_h"),
    "logg": ("logg",),
    "alpha_m": ("alpha_m",),
    "extinction": ("extinction", "ebv"),
    "snr": ("snr",),
}
"""Names under which reference tables hold the labels; an error has the same name and ``_err``."""


def attach_reference(fitted: Table, reference: Table) -> Table:
    """Put the labels of another table beside the fitted ones.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with a column of source ids; reference columns that it has already are replaced.
    reference : astropy.table.Table
        Table with a column of source ids and labels under one of the names `REFERENCE_COLUMNS`,
        temperatures in K. Where a source stands in several rows the first counts, with a warning.

    Returns
    -------
    astropy.table.Table
        A copy of `fitted` with all its rows; reference labels are masked where there is no match.

    Raises
    ------
    InputError
        If a needed column is missing or no source is in both tables.
    """
    ids = integer_ids(reference, ID_COLUMNS, "the reference table")
    wanted = integer_ids(fitted, ID_COLUMNS, "the catalogue")
    rows, matched = match_ids(wanted, ids, "the reference table")
    if not matched.any():
        raise InputError("no source of the catalogue is in the reference table; check the ids")
    joined = fitted.copy()
    joined.remove_columns([n for n in joined.colnames if n.startswith(REFERENCE_PREFIX)])
    for name, candidates in REFERENCE_COLUMNS.items():
        found = next((c for c in candidates if c in reference.colnames), None)
        if found is None:
            if name in ("teff", "feh", "logg"):
                raise InputError(f"the reference table has no column {' or '.join(candidates)}")
            continue
        for suffix in ("", "_err"):
            if found + suffix in reference.colnames:
                taken = float_column(reference[found + suffix])[rows]
                joined[REFERENCE_PREFIX + name + suffix] = MaskedColumn(
                    taken, mask=~matched | ~np.isfinite(taken)
                )
    return joined
