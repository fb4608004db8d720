"""Reference labels from a table of their own, joined by source id."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.table import MaskedColumn, Table

from ..catalogue import REFERENCE_PREFIX
from ..errors import InputError
from ..read.ids import ID_COLUMNS

REFERENCE_COLUMNS = {
    "teff": ("teff",),
    "feh": ("feh", "fe_h"),
    "logg": ("logg",),
    "alpha_m": ("alpha_m",),
    "snr": ("snr",),
}
"""Names under which reference tables hold the labels; an error has the same name and ``_err``."""


def attach_reference(fitted: Table, reference: Table) -> Table:
    """Put the labels of another table beside the fitted ones.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with `source_id`; reference columns that it has already are replaced.
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
    ids, rows = _unique_ids(reference)
    if "source_id" not in fitted.colnames:
        raise InputError("the catalogue has no column source_id; give one written by 'xpfit fit'")
    wanted = np.ma.filled(fitted["source_id"], 0).astype(np.int64)
    place = np.clip(np.searchsorted(ids, wanted), 0, len(ids) - 1)
    matched = (ids[place] == wanted) & (wanted > 0)
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
                values = np.ma.filled(np.ma.asarray(reference[found + suffix], dtype=float), np.nan)
                taken = values[rows[place]]
                joined[REFERENCE_PREFIX + name + suffix] = MaskedColumn(
                    taken, mask=~matched | ~np.isfinite(taken)
                )
    return joined


def _unique_ids(reference: Table) -> tuple[np.ndarray, np.ndarray]:
    """Sorted source ids of the reference and the first row of each."""
    name = next((n for n in ID_COLUMNS if n in reference.colnames), None)
    if name is None or reference[name].dtype.kind not in "iu" or not len(reference):
        raise InputError(
            "the reference table has no rows with 64-bit integer ids in one of "
            f"{', '.join(ID_COLUMNS)}"
        )
    ids = np.ma.filled(reference[name], 0).astype(np.int64)
    unique, rows = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        warnings.warn(
            f"{len(ids) - len(unique)} rows of the reference table repeat a source id; "
            "the first row of each source is used",
            stacklevel=3,
        )
    return unique, rows
