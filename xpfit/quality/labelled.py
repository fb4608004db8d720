"""Fitted stars with reference labels: the examples that confidence is learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import StarRows
from ..data import Spectra
from ..errors import InputError
from ..fit import FitResult
from ..model import XPModel
from ..quantities import BASIC_LABELS
from .features import confidence_features
from .flags import fit_flags, is_reliable, quality_flags

AGREEMENT_FLOOR = {"teff": 0.1, "feh": 0.1, "logg": 0.1}
"""Errors (kK, dex) added in quadrature, so that small residuals count as agreement (eq. 27)."""

GOOD_BELOW, BAD_ABOVE = 4.0, 9.0
"""chi2 of eq. 27 of good and of bad estimates; those between are not used."""


@dataclass(frozen=True)
class LabelledFits(StarRows):
    """Fitted stars whose labels are known from a survey.

    Attributes
    ----------
    source_id : ndarray of int64, shape (n_star,)
    features : dict of str to ndarray, shape (n_star,)
        From `xpfit.quality.confidence_features`.
    residual : ndarray, shape (n_star, 3)
        Estimate minus reference, in the order of `BASIC_LABELS`, in kK and dex; NaN where the
        reference is unknown.
    agreement : ndarray, shape (n_star, 3)
        chi2 of eq. 27.
    """

    source_id: np.ndarray
    features: Mapping[str, np.ndarray]
    residual: np.ndarray
    agreement: np.ndarray

    @property
    def good(self) -> np.ndarray:
        """Which estimates are good, bool, shape (n_star, 3)."""
        return self.agreement < GOOD_BELOW

    @property
    def bad(self) -> np.ndarray:
        """Which estimates are bad, bool, shape (n_star, 3)."""
        return self.agreement > BAD_ABOVE

    @property
    def used(self) -> np.ndarray:
        """Which estimates are either, bool, shape (n_star, 3)."""
        return self.good | self.bad


def labelled_fits(model: XPModel, spectra: Spectra, result: FitResult) -> LabelledFits:
    """Reliable stars (`is_reliable`), with features and agreement with their reference labels.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        With reference labels, which the fit did not use.
    result : FitResult

    Returns
    -------
    LabelledFits

    Raises
    ------
    InputError
        If the spectra lack one of the labels.

    Notes
    -----
    ZGR23, eq. 27: chi2 = (x - x_ref)^2 / (s^2 + s_ref^2 + floor^2).
    """
    missing = [name for name in BASIC_LABELS if name not in spectra.labels]
    if missing:
        raise InputError(f"the spectra have no reference labels {', '.join(missing)}")
    residual, agreement = [], []
    for name in BASIC_LABELS:
        offset = result[name] - spectra.labels[name]
        error = np.nan_to_num(spectra.label_err[name], nan=0.0, posinf=0.0)
        variance = result.error(name) ** 2 + error**2 + AGREEMENT_FLOOR[name] ** 2
        residual.append(offset)
        agreement.append(offset**2 / variance)
    stars = LabelledFits(
        result.source_id,
        confidence_features(model, spectra, result),
        np.stack(residual, axis=1),
        np.stack(agreement, axis=1),
    )
    flags = (kind(model, spectra, result) for kind in (quality_flags, fit_flags))
    return stars[np.flatnonzero(is_reliable(*flags))]
