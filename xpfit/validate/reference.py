"""Reference labels: joined from another table by source id, or those of similar stars."""

from __future__ import annotations

import numpy as np
from astropy.table import MaskedColumn, Table

from ..catalogue import REFERENCE_PREFIX
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..read.joins import integer_ids, match_ids
from ..read.tables import float_column, matched_values

REFERENCE_COLUMNS = {
    "teff": ("teff",),
    "feh": ("feh", "fe_h"),
    "logg": ("logg",),
    "alpha_m": ("alpha_m",),
    "extinction": ("extinction", "ebv"),
    "snr": ("snr",),
}
"""Names under which reference tables hold the labels; an error has the same name and ``_err``."""


class ReferenceLabels:
    """Labels of another table, to be compared with fitted ones.

    Parameters
    ----------
    reference : astropy.table.Table
        Table with a column of source ids and labels under one of the names `REFERENCE_COLUMNS`,
        temperatures in K. Where a source is in several rows, the first is used, with a warning.

    Raises
    ------
    InputError
        If a needed column is missing.
    """

    def __init__(self, reference: Table):
        self.ids = integer_ids(reference, "the reference table")
        self._columns: dict[str, np.ndarray] = {}
        for name, candidates in REFERENCE_COLUMNS.items():
            found = next((c for c in candidates if c in reference.colnames), None)
            if found is None and name in ("teff", "feh", "logg"):
                raise InputError(f"the reference table has no column {' or '.join(candidates)}")
            for suffix in ("", "_err"):
                if found is not None and found + suffix in reference.colnames:
                    self._columns[name + suffix] = float_column(reference[found + suffix])

    def attach(self, fitted: Table) -> Table:
        """Add them to a catalogue as reference columns.

        Parameters
        ----------
        fitted : astropy.table.Table
            Catalogue, or a part of one, with a column of source ids; reference columns that it has
            already are replaced.

        Returns
        -------
        astropy.table.Table
            A copy with all its rows; reference labels are masked where there is no match.

        Raises
        ------
        InputError
            If the catalogue has no ids.
        """
        wanted = integer_ids(fitted, "the catalogue")
        rows, matched = match_ids(wanted, self.ids, "the reference table")
        joined = fitted.copy()
        joined.remove_columns([n for n in joined.colnames if n.startswith(REFERENCE_PREFIX)])
        for name, values in self._columns.items():
            taken = matched_values(values, rows, matched)
            joined[REFERENCE_PREFIX + name] = MaskedColumn(taken, mask=~np.isfinite(taken))
        return joined


def attach_reference(fitted: Table, reference: Table) -> Table:
    """Add the labels of another table to a catalogue as reference columns.

    Parameters
    ----------
    fitted, reference : astropy.table.Table
        See `ReferenceLabels`.

    Returns
    -------
    astropy.table.Table
        A copy of `fitted` with all its rows; reference labels are masked where there is no match.

    Raises
    ------
    InputError
        If a needed column is missing or no source is in both tables.
    """
    labels = ReferenceLabels(reference)
    if not np.isin(integer_ids(fitted, "the catalogue"), labels.ids).any():
        raise InputError("no source of the catalogue is in the reference table; check the ids")
    return labels.attach(fitted)


def nearest_stars(model: XPModel, labels: np.ndarray, training: Spectra, n: int = 10) -> np.ndarray:
    """Training stars whose labels are closest to given ones, in units of the labels' spread.

    Parameters
    ----------
    model : XPModel
    labels : ndarray, shape (n_label,)
        In kK and dex.
    training : Spectra
        With labels.
    n : int

    Returns
    -------
    ndarray of int, shape (<= n,)
        Rows of `training`, nearest first; stars without labels are never near.

    Raises
    ------
    InputError
        If `training` has no such labels.
    """
    missing = [name for name in model.label_names if name not in (training.labels or {})]
    if missing:
        raise InputError(f"the training stars have no labels {', '.join(missing)}")
    known = np.column_stack([training.labels[name] for name in model.label_names])
    distance = np.sum(((known - labels) / model.forward.label_scale) ** 2, axis=1)
    order = np.argsort(np.where(np.isfinite(distance), distance, np.inf), kind="stable")[:n]
    return order[np.isfinite(distance[order])]
