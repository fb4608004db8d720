"""Reference labels: joined from another table by source id, or those of similar stars."""

from __future__ import annotations

import os

import numpy as np
from astropy.table import MaskedColumn, Table

from ..catalogue import REFERENCE_PREFIX
from ..data import FitFlag, Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.store import load_model
from ..read.columns import LABELLED
from ..read.joins import Found, Key, id_column, integer_ids
from ..read.known import name_of
from ..read.labels import reference_labels
from ..read.positions import match_positions
from ..read.source_ids import release_of_ids
from ..read.tables import float_column, matched_values, read_table
from ..read.units import say_once
from .known_references import (
    Attenuation,
    KnownReference,
    attenuation_of,
    named_reference,
    recognise_reference,
)

REFERENCE_RADIUS = 1.0
"""Arc seconds within which stars are joined by position, where the reference has no Gaia ids."""

REFERENCE_EPOCH = 2000.0
"""Julian year of a reference's positions, if it has no column `ref_epoch`."""


class ReferenceLabels:
    """Labels of another table, to be compared with fitted ones.

    Parameters
    ----------
    reference : astropy.table.Table
        Labels as `xpfit.read.labels.reference_labels` understands them. Where a source is in
        several rows, that of highest S/N is used, with a warning. A table without ids of Gaia DR3
        (LAMOST's) is joined by position, within `REFERENCE_RADIUS`; proper motions are taken into
        account where the catalogue has `pmra` and `pmdec`.
    known : KnownReference, optional
        Which published table it is; by default it is recognised by its columns.
    attenuation : callable, optional
        A(lambda) / E, with which attenuations of a published table become E; without it they are
        left out. See `xpfit.validate.known_references.attenuation_of`.

    Attributes
    ----------
    found : Found
        How many stars of the catalogues so far are in the table.

    Raises
    ------
    InputError
        If a needed column is missing or cannot be used.
    """

    def __init__(
        self,
        reference: Table,
        known: KnownReference | None = None,
        attenuation: Attenuation | None = None,
    ):
        self._what = name_of(reference, "the reference table")
        known = known or recognise_reference(reference)
        if known is None:
            self._labels = reference_labels(reference, self._what)
        else:
            self._labels = known.labels(reference, self._what, attenuation)
        by_id = "source_id" in self._labels.colnames
        self._key = Key(self._labels, self._what) if by_id else None
        self.found = self._key.found if self._key else Found()
        self._epoch = REFERENCE_EPOCH
        if "ref_epoch" in self._labels.colnames:
            self._epoch = float(np.nanmedian(self._labels["ref_epoch"]))

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
            If the catalogue has no ids, or no positions to join by.
        """
        wanted = integer_ids(fitted, "the catalogue")
        if self._key:
            release = release_of_ids(fitted, str(id_column(fitted, "the catalogue")))
            rows, matched = self._key.rows(wanted, release)
        else:
            rows, matched = self._by_position(fitted)
        joined = fitted.copy()
        joined.remove_columns([n for n in joined.colnames if n.startswith(REFERENCE_PREFIX)])
        for name in self._labels.colnames:
            if name not in ("source_id", "ra", "dec", "ref_epoch"):
                taken = matched_values(self._labels[name], rows, matched)
                joined[REFERENCE_PREFIX + name] = MaskedColumn(taken, mask=~np.isfinite(taken))
        return joined

    def check(self) -> str:
        """How many stars were found, in a line.

        Returns
        -------
        str

        Raises
        ------
        InputError
            If none was.
        """
        key = self._key.column if self._key else f"position within {REFERENCE_RADIUS:g} arcsec"
        if self.found.n_star and not self.found.n_matched:
            raise InputError(
                f"{self._what}: no source of the catalogue is in the reference table (joined by "
                f"{key}); check that it is of these stars, with ids of Gaia DR3"
            )
        return (
            f"{self._what}: {self.found.n_matched} of {self.found.n_star} stars of the catalogue "
            f"found by {key}"
        )

    def _by_position(self, fitted: Table) -> tuple[np.ndarray, np.ndarray]:
        """Rows at the positions of the catalogue's stars."""
        if not {"ra", "dec"} <= set(fitted.colnames):
            raise InputError(
                f"{self._what} has no ids of Gaia DR3, and the catalogue no ra and dec to join by"
            )
        measured = np.ones(len(fitted), dtype=bool)
        if "fit_flags" in fitted.colnames:
            measured = (fitted["fit_flags"] & int(FitFlag.APPROXIMATE_POSITION)) == 0
        if len(fitted) and not measured.any():
            raise InputError(
                f"{self._what} has no ids of Gaia DR3, and the catalogue only the positions that "
                "source ids imply (to an arc minute): fit with --astrometry, a table of "
                "gaia_source with ra and dec, or add source ids to the reference"
            )
        rows, matched = np.zeros(len(fitted), dtype=int), np.zeros(len(fitted), dtype=bool)
        here = Table({name: float_column(fitted[name])[measured] for name in ("ra", "dec")})
        for name in ("pmra", "pmdec"):
            known = name in fitted.colnames
            here[name] = float_column(fitted[name])[measured] if known else np.zeros(len(here))
        rows[measured], matched[measured] = match_positions(
            here, self._labels, self._epoch, REFERENCE_RADIUS
        )
        self.found.add(len(fitted), int(matched.sum()))
        return rows, matched


def read_reference(
    text: str | os.PathLike, model: str | os.PathLike | None = None
) -> ReferenceLabels:
    """Labels of a table as commands name it.

    Parameters
    ----------
    text : str or path-like
        ``TABLE``, ``NAME=TABLE`` or ``DESCRIPTION.toml=TABLE``; see
        `xpfit.validate.known_references`.
    model : path-like, optional
        Whose extinction curve turns A(lambda) into E; by default the one that comes with xpfit.

    Returns
    -------
    ReferenceLabels

    Raises
    ------
    FileNotFoundError, InputError
        If a file cannot be read, or a needed column is missing or cannot be used.
    """
    known, path = named_reference(text)
    table = read_table(path, LABELLED)
    known = known or recognise_reference(table)
    needs_curve = known is not None and "attenuation" in known.columns
    return ReferenceLabels(table, known, attenuation_of(load_model(model)) if needs_curve else None)


def attach_reference(fitted: Table, reference: Table | ReferenceLabels) -> Table:
    """Add the labels of another table to a catalogue as reference columns.

    Parameters
    ----------
    fitted : astropy.table.Table
    reference : astropy.table.Table or ReferenceLabels
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
    labels = reference if isinstance(reference, ReferenceLabels) else ReferenceLabels(reference)
    joined = labels.attach(fitted)
    say_once(labels.check())
    return joined


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
