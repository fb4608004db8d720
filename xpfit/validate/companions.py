"""How good a companion's labels and their errors are (Fallows & Sanders 2024, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from ..companion import LabelPrediction
from ..data import Spectra
from ..errors import InputError
from ..quantities import quantity
from ..statistics import robust_width

PUBLISHED: Mapping[str, tuple[float, float]] = {
    "feh": (0.068, 0.064),
    "teff": (0.0691, 0.05177),
    "logg": (0.14, 0.091),
    "c_fe": (0.031, 0.043),
    "n_fe": (0.040, 0.052),
    "alpha_m": (0.029, 0.025),
}
"""Median standard error and root mean square of the residuals of Fallows & Sanders (table 1).

In kK and dex; of the twentieth of their training set that was held out.
"""

COLUMNS = ("n", "median", "error", "residual", "rms", "scatter", "pull_width")


def label_statistics(prediction: LabelPrediction, spectra: Spectra) -> Table:
    """Predicted labels beside the labels of the spectra (Fallows & Sanders, table 1).

    Parameters
    ----------
    prediction : LabelPrediction
        Of these spectra.
    spectra : Spectra
        With labels.

    Returns
    -------
    astropy.table.Table
        For each label that both have, in K and dex: number of stars; medians of prediction, its
        standard error, and prediction minus label; root mean square and robust scatter of that; its
        robust width in units of the errors of both; and the paper's error and root mean square.

    Raises
    ------
    InputError
        If the spectra have none of the labels.
    """
    rows = []
    for i, name in enumerate(prediction.label_names):
        label = spectra.labels.get(name, np.full(len(spectra), np.nan))
        value, error = prediction.values[:, i], prediction.total_err[:, i]
        known = np.isfinite(label) & np.isfinite(value)
        if not known.any():
            continue
        residual = (value - label)[known]
        both = np.hypot(error, np.nan_to_num(spectra.label_err[name], nan=0.0))[known]
        numbers = [
            np.median(value[known]), np.median(error[known]), np.median(residual),
            np.sqrt(np.mean(residual**2)), robust_width(residual),
        ]  # fmt: skip
        factor = quantity(name).factor
        theirs = [factor * number for number in PUBLISHED.get(name, (np.nan, np.nan))]
        scaled = [factor * number for number in numbers]
        rows.append([name, known.sum(), *scaled, robust_width(residual / both), *theirs])
    if not rows:
        raise InputError(f"the spectra have no labels {', '.join(prediction.label_names)}")
    return Table(rows=rows, names=("label", *COLUMNS, "paper_error", "paper_rms"))
