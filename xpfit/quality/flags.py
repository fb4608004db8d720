"""Reliability flags of fitted stars."""

from __future__ import annotations

from enum import IntFlag

import numpy as np

from ..data.spectra import InputFlag, Spectra
from ..fit import FitResult, FitStatus
from ..model import XPModel

MAX_CHI2_PER_DOF = 2.0
"""ZGR23 (table 2): chi2 / 61 > 2 marks a bad fit; 61 = 66 values less 5 parameters."""

MIN_CONFIDENCE = 0.5
"""ZGR23 (table 2): a label with less confidence is marked."""

MAX_PARALLAX_PULL = 10.0
"""ZGR23 (table 2): a parallax further than 10 sigma from the observed one marks a bad fit."""


SECOND_MODE_DEPTH = 2.0
"""How much lower ln posterior may be at a second mode for that to be worth a flag."""


class QualityFlag(IntFlag):
    """Bits of `quality_flags`, at the places that ZGR23 (table 2) give them.

    The three lowest are set unless confidence is known to be 0.5 or more.
    """

    LOW_TEFF_CONFIDENCE = 1
    LOW_FEH_CONFIDENCE = 2
    LOW_LOGG_CONFIDENCE = 4
    HIGH_CHI2 = 8
    LOW_PRIOR = 16
    PARALLAX = 32


class FitFlag(IntFlag):
    """Bits of `fit_flags`: how the fit went and what was wrong with its input."""

    NOT_CONVERGED = 1
    OUT_OF_RANGE = 2
    """A label lies outside the range of the training stars, or within its error of the edge.

    Stars of kinds that the model never saw, hot ones above all, tend to end just inside the edge.
    """
    BAD_INPUT = 4
    """Too little usable data for parameters, or a spectrum with impossible numbers."""
    MISSING_BAND = 8
    """A photometric band was missing; the rest was fitted."""
    MASKED_SAMPLES = 32
    """Some XP samples were unusable; the rest was fitted."""
    MISSING_ID = 64
    DUPLICATE_ID = 128
    """The same source stands in more than one row."""
    SECOND_MODE = 256
    """Another mode of the posterior is nearly as good; only known if it was looked for."""
    APPROXIMATE_POSITION = 512
    """The catalogue's position is that of the HEALPix cell in the source id."""
    UNLIKE_TRAINING = 1024
    """An auto-encoder finds the spectrum unlike its training set; only known if one was asked."""


UNRELIABLE = FitFlag.NOT_CONVERGED | FitFlag.OUT_OF_RANGE | FitFlag.BAD_INPUT
"""Fit flags with which parameters should not be used; the other fit flags are information."""

_CONFIDENCE = (
    QualityFlag.LOW_TEFF_CONFIDENCE,
    QualityFlag.LOW_FEH_CONFIDENCE,
    QualityFlag.LOW_LOGG_CONFIDENCE,
)

_FROM_INPUT = {
    InputFlag.BAD_COEFFICIENTS: FitFlag.BAD_INPUT,
    InputFlag.MISSING_BAND: FitFlag.MISSING_BAND,
    InputFlag.MASKED_SAMPLES: FitFlag.MASKED_SAMPLES,
    InputFlag.MISSING_ID: FitFlag.MISSING_ID,
    InputFlag.DUPLICATE_ID: FitFlag.DUPLICATE_ID,
}


def quality_flags(
    model: XPModel, spectra: Spectra, result: FitResult, confidence: np.ndarray | None = None
) -> np.ndarray:
    """Flags on the quality of the fit (ZGR23, eqs. 24-26 and table 2).

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        What was fitted.
    result : FitResult
    confidence : ndarray, shape (n_star, 3), optional
        In Teff, [Fe/H] and log g; NaN, or nothing, where unknown.

    Returns
    -------
    ndarray of uint8, shape (n_star,)
        Sum of `QualityFlag` values. What is not known to be good is marked: confidence that is
        unknown, chi2 and prior of stars without a fit. So ``quality_flags < 8`` is the paper's
        basic cut, and ``quality_flags == 0`` leaves only what is known to be good. Where no
        parallax was observed, none contradicts the fit.
    """
    if confidence is None:
        confidence = np.full((len(spectra), 3), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.abs(result["parallax"] - spectra.parallax) / spectra.parallax_err
        raised = {
            **dict(zip(_CONFIDENCE, ~(confidence.T >= MIN_CONFIDENCE), strict=True)),
            QualityFlag.HIGH_CHI2: ~(result.chi2 / result.dof <= MAX_CHI2_PER_DOF),
            QualityFlag.LOW_PRIOR: ~(result.ln_prior >= model.ln_prior_threshold),
            QualityFlag.PARALLAX: np.isfinite(spectra.parallax_err) & (pull > MAX_PARALLAX_PULL),
        }
    return _sum_flags(raised).astype(np.uint8)


def fit_flags(model: XPModel, spectra: Spectra, result: FitResult) -> np.ndarray:
    """Flags on how the fit went and on its input.

    Parameters
    ----------
    model, spectra, result
        As for `quality_flags`.

    Returns
    -------
    ndarray of int16, shape (n_star,)
        Sum of `FitFlag` values.
    """
    not_fitted = result.status == FitStatus.NOT_FITTED
    labels, errors = (x[:, : len(model.label_names)] for x in (result.parameters, result.errors))
    inside = model.in_range(labels - errors) & model.in_range(labels + errors)
    raised = {
        FitFlag.NOT_CONVERGED: result.status == FitStatus.NOT_CONVERGED,
        FitFlag.OUT_OF_RANGE: ~inside.all(axis=1) & ~not_fitted,
        FitFlag.BAD_INPUT: not_fitted,
        FitFlag.SECOND_MODE: result.second_mode < SECOND_MODE_DEPTH,
    }
    for cause, flag in _FROM_INPUT.items():
        raised[flag] = raised.get(flag, False) | ((spectra.input_flags & int(cause)) != 0)
    return _sum_flags(raised).astype(np.int16)


def _sum_flags(raised: dict[IntFlag, np.ndarray]) -> np.ndarray:
    """Sum of the flags that each star has raised."""
    return sum(np.where(mask, int(flag), 0) for flag, mask in raised.items())


def is_reliable(quality: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Stars that pass the basic cut: no quality flag of ZGR23's eq. 26, and none of `UNRELIABLE`.

    Parameters
    ----------
    quality, fit : ndarray of int, shape (n_star,)
        `quality_flags` and `fit_flags`.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    return (np.asarray(quality) < int(QualityFlag.HIGH_CHI2)) & (
        (np.asarray(fit) & int(UNRELIABLE)) == 0
    )
