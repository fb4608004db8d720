"""Flags of fitted stars, and the two cuts that are based on them."""

from __future__ import annotations

import numpy as np

from ..data import UNRELIABLE, FitFlag, InputFlag, QualityFlag, Spectra, has_flag
from ..fit import FitResult, FitStatus
from ..fit.distance import tension_of_fits
from ..fit.misfit import MAX_CHI2_PER_DOF
from ..model import XPModel
from ..quantities import BASIC_LABELS

MAX_BAND_PULL = 5.0
"""A photometric band further from the fit of the rest is in contradiction to it."""

MAX_MILD_TENSION = 3.0
"""Tension of the parallax, in sigma, that is flagged in `fit_flags`."""

PARALLAX_LIMITS = (1e-3, 1e3)
"""mas; the nearest star has 768, and no star with an XP spectrum is beyond the Local Group."""

MAX_FLUX = {"sampled": 1.5e8, "coefficient": 1e10}
"""Flux by observation space, in the unit of `Spectra.flux`: that of Sirius. Gaia's XP spectra do
not go so bright."""

MIN_BRIGHT = 3
"""Values that must exceed `MAX_FLUX`, so that no single one decides."""

MIN_CONFIDENCE = 0.5
"""ZGR23 (table 2): a label with less confidence is marked."""

MAX_PARALLAX_TENSION = 10.0
"""ZGR23 (table 2): a parallax further than 10 sigma from the observed one marks a bad fit."""

MAX_RUWE = 1.4
"""A higher `ruwe` marks a bad astrometric solution (Lindegren 2018, GAIA-C3-TN-LU-LL-124-01)."""

MIN_PARALLAX_SNR = 5.0
"""Parallaxes are weak that are fewer of their errors: they give the distance to 20 % at best."""

SECOND_MODE_DEPTH = 2.0
"""Difference of ln posterior up to which a second mode is flagged."""


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
    InputFlag.NOT_CORRECTED: FitFlag.NOT_CORRECTED,
    InputFlag.CONTAMINATED_BAND: FitFlag.CONTAMINATED_BAND,
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
        Sum of `QualityFlag` values. Bits are also set where a value is unknown: confidence, or chi2
        and prior of stars without a fit. The parallax bit needs an observed parallax, and a model
        that knows luminosities.
    """
    if confidence is None:
        confidence = np.full((len(spectra), 3), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        tension = tension_of_fits(model, spectra, result)
        raised = {
            **dict(zip(_CONFIDENCE, ~(confidence.T >= MIN_CONFIDENCE), strict=True)),
            QualityFlag.HIGH_CHI2: ~(result.chi2 / result.dof <= MAX_CHI2_PER_DOF),
            QualityFlag.LOW_PRIOR: ~(result.ln_prior >= model.ln_prior_threshold),
            QualityFlag.PARALLAX: np.abs(tension) > MAX_PARALLAX_TENSION,
        }
    return _sum_flags(raised).astype(np.uint8)


def fit_flags(
    model: XPModel, spectra: Spectra, result: FitResult, unlike: np.ndarray | None = None
) -> np.ndarray:
    """Flags on how the fit went and on its input.

    Parameters
    ----------
    model, spectra, result
        As for `quality_flags`.
    unlike : ndarray of bool, shape (n_star,), optional
        Spectra that classifiers find unlike those of the training set.

    Returns
    -------
    ndarray of int32, shape (n_star,)
        Sum of `FitFlag` values.

    Notes
    -----
    Spectra are unlike the training set if chi2, the prior of the fitted type or `unlike` says so.
    """
    not_fitted = result.status == FitStatus.NOT_FITTED
    labels, errors = (x[:, : len(model.label_names)] for x in (result.parameters, result.errors))
    inside = model.in_range(labels - errors) & model.in_range(labels + errors)
    raised = {
        FitFlag.NOT_CONVERGED: result.status == FitStatus.NOT_CONVERGED,
        FitFlag.OUT_OF_RANGE: ~inside.all(axis=1) & ~not_fitted,
        FitFlag.BAD_INPUT: not_fitted,
        FitFlag.SECOND_MODE: result.second_mode < SECOND_MODE_DEPTH,
        FitFlag.OTHER_RELEASE: np.full(len(spectra), spectra.release != model.release),
    }
    raised |= _of_contradictions(model, spectra, result)
    if unlike is not None:
        raised[FitFlag.UNLIKE_TRAINING] = raised[FitFlag.UNLIKE_TRAINING] | unlike
    if result.absolute:
        raised |= _of_parallaxes(spectra)
    for cause, flag in _FROM_INPUT.items():
        raised[flag] = raised.get(flag, False) | ((spectra.input_flags & int(cause)) != 0)
    return _sum_flags(raised).astype(np.int32)


def _of_contradictions(
    model: XPModel, spectra: Spectra, result: FitResult
) -> dict[int, np.ndarray]:
    """Flags of fits that contradict their data, or say nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        bad_chi2 = result.chi2 / result.dof > MAX_CHI2_PER_DOF
        tension = np.abs(tension_of_fits(model, spectra, result))
        wide = [result.error(name) > width for name, width in _prior_widths(model).items()]
        return {
            FitFlag.UNLIKE_TRAINING: bad_chi2 | (result.ln_prior < model.ln_prior_threshold),
            FitFlag.IMPOSSIBLE_SCALE: _impossible_scale(model, spectra, result),
            FitFlag.BAND_TENSION: np.abs(result.band_pull) > MAX_BAND_PULL,
            FitFlag.PARALLAX_TENSION: (tension > MAX_MILD_TENSION)
            | (result.parallax_misfit > MAX_MILD_TENSION**2),
            FitFlag.EMISSION_LINES: result.emission > 1.0,
            FitFlag.UNINFORMATIVE: np.any(wide, axis=0),
        }


def _prior_widths(model: XPModel) -> dict[str, float]:
    """Standard deviations of the prior in the basic labels."""
    prior, names = model.prior, [name for name in BASIC_LABELS if name in model.label_names]
    mean = prior.weights @ prior.means
    variance = np.diagonal(prior.covariances, axis1=1, axis2=2) + (prior.means - mean) ** 2
    width = np.sqrt(prior.weights @ variance)
    return {name: float(width[model.label_names.index(name)]) for name in names}


def _impossible_scale(model: XPModel, spectra: Spectra, result: FitResult) -> np.ndarray:
    """Stars that are nearer than any star, further than any, or brighter in flux."""
    limit = MAX_FLUX[model.space.name]
    observed = np.where(np.isfinite(spectra.flux_err), np.abs(spectra.flux), 0.0)
    impossible = np.sort(observed, axis=1)[:, -MIN_BRIGHT:].min(axis=1) > limit
    if not result.absolute:
        return impossible
    low, high = PARALLAX_LIMITS
    return impossible | (result["parallax"] > high) | (result["parallax"] < low)


def _of_parallaxes(spectra: Spectra) -> dict[int, np.ndarray]:
    """Flags on the observed parallaxes that a fit used."""
    ruwe = spectra.gaia.get("ruwe", np.full(len(spectra), np.nan))
    measured = np.isfinite(spectra.parallax_err)
    with np.errstate(invalid="ignore"):
        weak = spectra.parallax < MIN_PARALLAX_SNR * spectra.parallax_err
        return {
            FitFlag.HIGH_RUWE: measured & (ruwe > MAX_RUWE),
            FitFlag.WEAK_PARALLAX: measured & weak,
        }


def _sum_flags(raised: dict[int, np.ndarray]) -> np.ndarray:
    """Sum of the flags that each star has raised."""
    return sum(np.where(mask, int(flag), 0) for flag, mask in raised.items())


def is_basic(quality: np.ndarray) -> np.ndarray:
    """Stars that pass ZGR23's basic cut, ``quality_flags < 8`` (their eq. 26 and table 3).

    Parameters
    ----------
    quality : ndarray of int, shape (n_star,)
        `quality_flags`.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    return np.asarray(quality) < int(QualityFlag.HIGH_CHI2)


def is_reliable(quality: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Stars that pass the basic cut and have none of the fit flags `UNRELIABLE`.

    Parameters
    ----------
    quality, fit : ndarray of int, shape (n_star,)
        `quality_flags` and `fit_flags`.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    return is_basic(quality) & ~has_flag(fit, UNRELIABLE)
