"""Differences of a survey's labels from those of the others, before and after they were tied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from .combine import columns_of, ids_of_all, weighted_mean
from .scales import LabelScales


@dataclass(frozen=True)
class Residuals:
    """A label of the stars that a survey has in common with others.

    Attributes
    ----------
    others : ndarray, shape (n_star,)
        Mean of the other surveys on the reference's scale, in K or dex.
    before, after : ndarray, shape (n_star,)
        Label of the survey as it is, and on the reference's scale, less `others`.
    error : ndarray, shape (n_star,)
        Of `after`, with the scatters.
    """

    others: np.ndarray
    before: np.ndarray
    after: np.ndarray
    error: np.ndarray


def common_star_residuals(
    tables: Mapping[str, Table], scales: LabelScales, label: str, survey: str
) -> Residuals:
    """Compare a survey with the others.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
        As for `xpfit.prepare.label_scales.combine_surveys`.
    scales : LabelScales
        Its result.
    label, survey : str

    Returns
    -------
    Residuals
    """
    values, errors = columns_of(tables, ids_of_all(tables), label)
    place = scales.surveys.index(survey)
    others = {n: s for n, s in scales.scales[label].items() if n != survey}
    own, own_err = values[:, place].copy(), errors[:, place].copy()
    values[:, [name not in others for name in scales.surveys]] = np.nan
    mean, mean_err, _ = weighted_mean(values, errors, others, scales.surveys)
    both = np.isfinite(mean + mean_err + own + own_err)
    value, error = scales.scales[label][survey].to_reference(own[both], own_err[both])
    return Residuals(
        mean[both], own[both] - mean[both], value - mean[both], np.hypot(error, mean_err[both])
    )
