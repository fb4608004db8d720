"""Attaching labels of a survey to spectra, by id or by position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table

from ..data import Spectra
from ..errors import InputError
from ..quantities import quantity
from ..read.extra_labels import label_names
from ..read.joins import ID_COLUMNS, integer_ids, match_ids
from ..read.positions import MATCH_RADIUS, match_positions
from ..read.tables import matched_values
from .label_scales import LABEL_SURVEYS

LABEL_EPOCH = 2000.0
"""Epoch (Julian year) of the surveys' positions, which come from their input catalogues."""


def match_labels(
    source_id: np.ndarray,
    labels: Table,
    gaia: Table | None = None,
    *,
    epoch: float = LABEL_EPOCH,
    radius: float = MATCH_RADIUS,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a table of labels that belong to given sources.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
    labels : astropy.table.Table
        From `xpfit.read.read_survey` or `read_labels`, or of several surveys from
        `xpfit.prepare.label_scales.combine_surveys`; joined by `source_id` if it has that, by
        position otherwise.
    gaia : astropy.table.Table, optional
        Rows of gaia_source with positions and proper motions, for a join by position.
    epoch : float
        Julian year of the labels' positions.
    radius : float
        Largest separation in arc seconds.

    Returns
    -------
    rows : ndarray of int, shape (n_star,)
        Row of the labels; meaningless where not matched.
    matched : ndarray of bool, shape (n_star,)

    Raises
    ------
    InputError
        If there are neither ids nor positions to join by.
    """
    if "source_id" in labels.colnames:
        return match_ids(source_id, np.asarray(labels["source_id"]), "the table of labels")
    if gaia is None:
        raise InputError(
            "these labels have positions but no Gaia ids; give the table of gaia_source "
            "(--astrometry) to join them by position"
        )
    what = "the table of astrometry"
    place, known = match_ids(source_id, integer_ids(gaia, what), what)
    rows, matched = np.zeros(len(source_id), dtype=int), np.zeros(len(source_id), dtype=bool)
    rows[known], matched[known] = match_positions(gaia[place[known]], labels, epoch, radius)
    return rows, matched


def attach_labels(
    spectra: Spectra,
    labels: Table,
    gaia: Table | None = None,
    *,
    epoch: float = LABEL_EPOCH,
    radius: float = MATCH_RADIUS,
    source_id: np.ndarray | None = None,
) -> Spectra:
    """Attach reference labels to spectra.

    Parameters
    ----------
    spectra, labels, gaia, epoch, radius
        As for `match_labels`.
    source_id : ndarray of int64, shape (n_star,), optional
        Ids of the stars in the data release of the labels; by default those of the spectra.

    Returns
    -------
    Spectra
        With the labels that the table has (`teff` in kK; others under any name with a column of
        errors, ``NAME_err``), NaN where a star is not in it; `snr`; and `extinction`, if the table
        has that. If it is of several surveys, ``gaia["label_surveys"]`` tells which of them each
        star has labels of, and the preparation how they were combined.

    Raises
    ------
    InputError
        If there are neither ids nor positions to join by.
    """
    ids = spectra.source_id if source_id is None else source_id
    rows, matched = match_labels(ids, labels, gaia, epoch=epoch, radius=radius)

    def take(name: str, unknown: float = np.nan) -> np.ndarray:
        column = labels[name] if name in labels.colnames else np.full(len(labels), unknown)
        return matched_values(column, rows, matched, unknown)

    factor = {name: quantity(name).factor for name in label_names(labels.colnames)}
    extinction, extinction_err = take("extinction"), take("extinction_err", np.inf)
    known = np.isfinite(extinction) & np.isfinite(extinction_err)
    changes = {
        "labels": {name: take(name) / f for name, f in factor.items()},
        "label_err": {name: take(f"{name}_err") / f for name, f in factor.items()},
        "snr": take("snr"),
    }
    if "extinction" in labels.colnames:
        changes["extinction"] = np.where(known, extinction, np.nan)
        changes["extinction_err"] = np.where(known, extinction_err, np.inf)
    if LABEL_SURVEYS in labels.colnames:
        changes["gaia"] = {**spectra.gaia, LABEL_SURVEYS: take(LABEL_SURVEYS, 0.0)}
        scales = labels.meta["label_scales"]
        changes["preparation"] = replace(spectra.preparation, label_scales=scales)
    return spectra.replace(**changes)


def matched_table(
    spectra: Spectra,
    labels: Table,
    gaia: Table,
    *,
    epoch: float = LABEL_EPOCH,
    radius: float = MATCH_RADIUS,
) -> Table:
    """One row per star with the columns of labels and gaia_source, for `training_cuts`.

    Parameters
    ----------
    spectra, labels, gaia, epoch, radius
        As for `match_labels`.

    Returns
    -------
    astropy.table.Table
        Columns of numbers only; NaN where a star is not in a table.
    """
    what = "the table of astrometry"
    ids = spectra.source_id
    in_labels = match_labels(ids, labels, gaia, epoch=epoch, radius=radius)
    in_gaia = match_ids(ids, integer_ids(gaia, what), what)
    table = Table({"source_id": ids})
    for source, (rows, matched) in ((gaia, in_gaia), (labels, in_labels)):
        for name in source.colnames:
            if name not in ID_COLUMNS and source[name].dtype.kind in "iuf":
                table[name] = matched_values(source[name], rows, matched)
    return table
