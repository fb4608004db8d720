"""Calibration of a model's luminosities by measured parallaxes, as fits without them find them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data import FitFlag, Spectra, has_flag
from ..errors import InputError
from ..fit import FitResult, Fitter
from ..model import XPModel
from ..model.luminosity import LuminosityError, type_weights
from ..train.luminosity import (
    MIN_ERROR,
    MIN_PARALLAX_OVER_ERROR,
    TYPES,
    robust_least_squares,
    types_in_labels,
)
from .flags import fit_flags, is_basic, quality_flags

UNUSABLE = FitFlag.NOT_CONVERGED | FitFlag.OUT_OF_RANGE | FitFlag.BAD_INPUT
"""Fit flags of stars that do not calibrate luminosities."""

N_FOR_ERROR = 10.0
"""Stars of a type (as a sum of weights) that outweigh the error from the training."""

MAX_ERROR = 0.5
"""Largest error of ln luminosity: beyond, few stars and their outliers are no measure of it."""

N_ERROR_STEPS = 30
"""Of the search for the luminosity error at which pulls have unit width."""

COEFFICIENT_PRIOR = 0.1
"""Standard deviation of the coefficients of hidden values in the zero point of ln parallax.

In ten-fold cross-validation 0.05 to 0.2 are equally good.
"""

MAX_LOGG = 3.6
"""log g of fits above which luminosities stay as they were trained. Spectra tell the luminosities
of dwarfs and turn-off stars apart so badly that a correction of one would spoil the other.
"""

ONE_SIGMA = 0.6827
"""Probability of a normal distribution within one standard deviation."""


@dataclass(frozen=True)
class LuminosityCalibration:
    """How parallaxes from spectra compare with measured ones, by stellar type.

    Attributes
    ----------
    types : tuple of str
    n : ndarray, shape (n_type,)
        Stars of each type, as a sum of weights.
    zero_point, zero_point_err : ndarray, shape (n_type,)
        ln of the parallax from the spectrum over the measured one, before the calibration.
    error : ndarray, shape (n_type,)
        Standard error of the emulator's ln luminosity after it.
    """

    types: tuple[str, ...]
    n: np.ndarray
    zero_point: np.ndarray
    zero_point_err: np.ndarray
    error: np.ndarray

    def __str__(self) -> str:
        rows = zip(
            self.types, self.n, self.zero_point, self.zero_point_err, self.error, strict=True
        )
        lines = ["luminosities, by type: stars; ln(parallax from spectrum / measured); error"]
        lines += [f"  {name:20s}{n:6.0f}{z:+8.3f} +- {e:.3f}{s:8.3f}" for name, n, z, e, s in rows]
        return "\n".join(lines)


def calibrate_luminosities(
    model: XPModel, spectra: Spectra, *, n_jobs: int = 1
) -> tuple[XPModel, LuminosityCalibration]:
    """Bring parallaxes from spectra alone to the scale of measured ones, by stellar type.

    Parameters
    ----------
    model : XPModel
        Absolute, with an error of its luminosity (see `xpfit.train.luminosity`).
    spectra : Spectra
        Stars with measured parallaxes; those whose parallax is less than
        `MIN_PARALLAX_OVER_ERROR` errors are not used.
    n_jobs : int
        Of the fits.

    Returns
    -------
    model : XPModel
        With new luminosities and errors of them. The shapes of spectra are the same.
    calibration : LuminosityCalibration

    Raises
    ------
    InputError
        If the model has no luminosity error, or no star has a good parallax.

    Notes
    -----
    Errors of the fitted labels, of log g above all, are errors of the luminosity too, and have a
    bias where the prior is not flat. So the zero point of giants is found where it is used: at the
    labels of fits without parallax. The error is that at which the pulls, with all other errors
    included, have unit width.
    """
    if model.luminosity_error is None:
        raise InputError("this model has no error of its luminosity to calibrate")
    good, relative = good_parallaxes(spectra)
    if not len(good):
        raise InputError("no star has a parallax that is good enough to calibrate luminosities")
    stars = spectra[good]
    result, reliable = fit_without_parallax(model, stars, n_jobs)
    stars, relative, result = stars[reliable], relative[reliable], result.take(reliable)
    types, width = types_in_labels(model.label_names)
    labels = result.parameters[:, : len(model.label_names)]
    weights, hidden = type_weights(labels, types, width), model.forward.hidden_values(labels)
    difference = np.log(result["parallax"] / stars.parallax)
    # Without the emulator's own error, which is to be found.
    variance = (result.error("parallax") / result["parallax"]) ** 2 + relative**2
    variance = np.maximum(variance - 0.25 * result.luminosity_err**2, relative**2)
    design = np.column_stack([hidden, np.ones(len(hidden))])
    prior = np.append(np.full(hidden.shape[1], COEFFICIENT_PRIOR), np.inf)
    scale = np.sqrt(variance + 0.25 * result.luminosity_err**2)
    giant = labels[:, model.label_names.index("logg")] < MAX_LOGG
    target = np.where(giant, difference, 0.0)
    coefficients, covariance = robust_least_squares(design, target, scale, prior)
    zero_point = design @ coefficients
    uncertainty = np.sum((design @ covariance) * design, axis=1)
    n = weights.sum(axis=0)
    mean = weights.T @ np.column_stack([zero_point, uncertainty]) / np.maximum(n, 1.0)[:, None]
    before = model.luminosity_error(types)
    error = _errors(weights, difference - zero_point, variance, before)
    error = np.maximum(np.hypot(error, 2.0 * np.sqrt(mean[:, 1])), MIN_ERROR)
    grey = np.split(2.0 * coefficients, [-1])
    new = replace(
        model,
        forward=model.forward.with_grey_term(*grey, model.trained_grid),
        covariance=replace(model.covariance, luminosity=LuminosityError(types, width, error)),
    )
    names = tuple(TYPES)
    return new, LuminosityCalibration(names, n, mean[:, 0], np.sqrt(mean[:, 1]), error)


def good_parallaxes(spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
    """Stars with a parallax of at least `MIN_PARALLAX_OVER_ERROR` errors.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    rows : ndarray of int, shape (n_good,)
    relative : ndarray, shape (n_good,)
        Their errors over their parallaxes.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = spectra.parallax_err / spectra.parallax
    good = np.flatnonzero((relative > 0) & (relative < 1.0 / MIN_PARALLAX_OVER_ERROR))
    return good, relative[good]


def has_good_parallaxes(spectra: Spectra) -> bool:
    """Whether any star has a parallax that luminosities can be calibrated with."""
    return len(good_parallaxes(spectra)[0]) > 0


def fit_without_parallax(
    model: XPModel, stars: Spectra, n_jobs: int = 1
) -> tuple[FitResult, np.ndarray]:
    """Fits to the spectra alone, and the indices of those in the basic cut without `UNUSABLE`."""
    alone = stars.replace(parallax_err=np.full(len(stars), np.inf))
    result = Fitter(model, n_jobs=n_jobs).fit(alone, progress=False)
    usable = ~has_flag(fit_flags(model, alone, result), UNUSABLE)
    return result, np.flatnonzero(is_basic(quality_flags(model, alone, result)) & usable)


def _errors(
    weights: np.ndarray, residual: np.ndarray, variance: np.ndarray, before: np.ndarray
) -> np.ndarray:
    """Error of ln luminosity of each type at which 68 % of its stars are within one sigma.

    Drawn to the error `before` where a type has few stars.
    """
    low, high = np.zeros(len(before)), np.full(len(before), MAX_ERROR)
    total = weights.sum(axis=0)
    for _ in range(N_ERROR_STEPS):
        error = 0.5 * (low + high)
        pull2 = residual[:, None] ** 2 / np.maximum(variance[:, None] + 0.25 * error**2, 1e-12)
        inside = np.sum(weights * (pull2 < 1.0), axis=0) / np.maximum(total, 1e-12)
        low, high = (
            np.where(inside < ONE_SIGMA, error, low),
            np.where(inside < ONE_SIGMA, high, error),
        )
    share = total / (total + N_FOR_ERROR)
    return np.sqrt(share * error**2 + (1.0 - share) * before**2)
