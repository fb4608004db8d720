"""From a finished training to a model: model covariance, prior, numbers for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..constants import AB_ZERO_POINT_SI, AMPLITUDE_WINDOW, FLUX_UNIT_SI, SPEED_OF_LIGHT
from ..data import Spectra
from ..model import ForwardModel, GaussianMixture, XPModel
from ..model.covariance import ModelCovariance
from ..model.gauge import amplitude_channels
from ..model.luminosity import LuminosityError
from ..model.prior import FLAT, LOG_FLAT
from .recipe import Recipe
from .stars import StarData, loss_derivatives
from .updates import at_measured_labels

COVARIANCE_STARS = 6000
"""About the number of stars, evenly spaced, that the model covariance is learned from.

It bounds the memory.
"""

N_LABEL_BINS = 8
"""Bins of each label, with equal numbers of stars, in which residuals are summarised."""

HISTORY_COLUMNS = ("learning_rate", "star_learning_rate", "n_stars", "median_chi2", "loss")

QUANTILES = (0.16, 0.5, 0.84)

SOLAR_TYPE = {"teff": (5.7, 0.05, 0.1), "logg": (4.5, 0.1, 0.1), "feh": (0.0, 0.1, 0.1)}
"""Centre, half width and largest error of the stars that ZGR23 call solar-type (eq. 16)."""

SOLAR_ENOUGH = 200
"""Solar-type stars that a figure needs."""

SOLAR_MAX_EXTINCTION = 0.05
SOLAR_MAX_PARALLAX_ERROR = 0.1
"""Limits on E and its error (mag), and on the relative error of the parallax (eq. 16)."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training has found.

    Attributes
    ----------
    forward : ForwardModel
    recipe : Recipe
    label_names : tuple of str
    spectra : Spectra
        The training stars, with errors as measured.
    data : StarData
        The same stars, with the recipe's floors of the errors.
    theta : ndarray, shape (n_star, n_stellar)
        Fitted parameters.
    clean_flags : ndarray of int16, shape (n_star,)
        Why stars are outliers; zero for those that are kept.
    history : list of dict
        One entry per epoch.
    """

    forward: ForwardModel
    recipe: Recipe
    label_names: tuple[str, ...]
    spectra: Spectra
    data: StarData
    theta: np.ndarray
    clean_flags: np.ndarray
    history: list[dict]

    @property
    def kept(self) -> np.ndarray:
        """Rows of the stars that are not outliers."""
        return np.flatnonzero(self.clean_flags == 0)

    @property
    def trained_grid(self) -> np.ndarray:
        """Grid points that any star has, shape (n_grid,)."""
        return self.spectra.space.grid_channels(self.trained_channels)

    @property
    def trained_channels(self) -> np.ndarray:
        """Values of the data vector that any star has, shape (n_obs,)."""
        return np.isfinite(self.spectra.flux_err).any(axis=0)


def learn_model_covariance(result: TrainingResult) -> ModelCovariance | None:
    """What measurement errors do not explain of the residuals of the stars that are kept.

    Parameters
    ----------
    result : TrainingResult

    Returns
    -------
    ModelCovariance or None
        None if the recipe wants none.

    Notes
    -----
    Residuals are taken at the measured labels, with extinction and amplitude fitted: they contain
    all errors that a fit to the flux alone will make, also in the labels. What the labels' own
    errors contribute is subtracted, like the errors of the flux.
    """
    rank, kept = result.recipe.covariance_rank, result.kept
    if not rank:
        return None
    kept = kept[:: max(1, len(kept) // COVARIANCE_STARS)]
    stars, data = result.spectra[kept], result.data[kept]
    measured = data.constraints
    theta = at_measured_labels(result.forward, result.theta[kept], data)
    predicted = result.forward.flux(theta)
    scale = stars.space.scale(predicted)
    used = np.isfinite(stars.flux_err)
    residual = np.where(used, (stars.flux - predicted) / scale, np.nan)
    covariance = stars.whitener.covariance()
    for rows, part in data.chunks():
        propagated = _propagated(result.forward, theta[rows], part, measured.label_err[rows])
        covariance[rows] += np.swapaxes(propagated, 1, 2) @ propagated
    covariance /= scale[:, :, None]
    covariance /= scale[:, None, :]
    covariance[~(used[:, :, None] & used[:, None, :])] = 0.0
    return ModelCovariance.fit(residual, covariance, rank=rank)


def _propagated(forward, theta, data, label_err) -> np.ndarray:
    """Labels' errors as changes of the flux that extinction and amplitude do not compensate.

    Shape (n_star, n_label, n_obs).
    """
    k = forward.n_label
    _, jacobian = forward.flux_and_jacobian(theta)
    _, _, hessian = loss_derivatives(forward, theta, data)
    labels, rest = jacobian[:, :k], jacobian[:, k:]
    # How the rest responds to a change of the labels: H_rest^-1 H_rest,labels.
    response = np.linalg.solve(hessian[:, k:, k:], hessian[:, k:, :k])
    return label_err[:, :, None] * (labels - np.swapaxes(response, 1, 2) @ rest)


def assemble(
    result: TrainingResult,
    rng: np.random.Generator,
    facts: dict,
    luminosity_error: LuminosityError | None = None,
) -> XPModel:
    """Model with prior, ranges, covariance and provenance from a finished training.

    Parameters
    ----------
    result : TrainingResult
    rng : numpy.random.Generator
    facts : dict
        JSON-able; becomes the model's `training`.
    luminosity_error : LuminosityError, optional
        Of a model whose luminosities were learned after its shapes: its prior on the parallax is
        flat in ln varpi.

    Returns
    -------
    XPModel
    """
    labels = result.data.constraints.labels[result.kept]
    prior = GaussianMixture.fit(labels, rng)
    order = np.argsort(result.spectra.source_id)
    covariance = learn_model_covariance(result)
    if covariance is not None:
        covariance.luminosity = luminosity_error
    return XPModel(
        forward=result.forward,
        prior=prior,
        trained_channels=result.trained_channels,
        label_names=result.label_names,
        label_ranges=np.column_stack([labels.min(axis=0), labels.max(axis=0)]),
        absolute=result.data.constraints.absolute,
        ln_prior_threshold=prior.ln_p_threshold(rng),
        preparation=result.spectra.preparation,
        training={**facts, "recipe": result.recipe.to_dict()},
        source_ids=result.spectra.source_id[order],
        clean_flags=result.clean_flags[order],
        covariance=covariance,
        diagnostics=_diagnostics(result),
        parallax_prior=LOG_FLAT if luminosity_error else FLAT,
    )


def _diagnostics(result: TrainingResult) -> dict[str, np.ndarray]:
    """Numbers of the training stars that `xpfit plot model` draws."""
    stars, theta = result.spectra[result.kept], result.theta[result.kept]
    predicted = result.forward.flux(theta)
    residual = np.where(np.isfinite(stars.flux_err), stars.flux - predicted, np.nan)
    residual /= stars.space.scale(predicted)
    numbers = {"residual_quantiles": _quantiles(residual), **_history(result)}
    for i, name in enumerate(result.label_names):
        bins = np.array_split(np.argsort(theta[:, i], kind="stable"), N_LABEL_BINS)
        numbers[f"residual_by_label/{name}"] = np.array([_quantiles(residual[b])[1] for b in bins])
        numbers[f"label_bins/{name}"] = np.array([np.median(theta[b, i]) for b in bins])
    if result.data.constraints.absolute:
        numbers |= _solar_type(result)
    return numbers


def _history(result: TrainingResult) -> dict[str, np.ndarray]:
    """The history epoch by epoch; phases as their index in the recipe."""
    phases = [phase.name for phase in result.recipe.phases]
    columns = {"phase": np.array([phases.index(line["phase"]) for line in result.history])}
    for name in HISTORY_COLUMNS:
        columns[name] = np.array([line[name] for line in result.history])
    return {f"history/{name}": values for name, values in columns.items()}


def _quantiles(residual: np.ndarray) -> np.ndarray:
    """16, 50 and 84 % over the stars, NaN in channels that none has, (3, n_obs)."""
    observed = np.isfinite(residual).any(axis=0)
    quantiles = np.full((len(QUANTILES), residual.shape[1]), np.nan)
    quantiles[:, observed] = np.nanquantile(residual[:, observed], QUANTILES, axis=0)
    return quantiles


def _solar_type(result: TrainingResult) -> dict[str, np.ndarray]:
    """Pulls and absolute magnitudes of low-extinction solar-type stars (ZGR23, fig. 4)."""
    measured, names = result.data.constraints, result.label_names
    if not set(SOLAR_TYPE) <= set(names):
        return {}
    with np.errstate(invalid="ignore"):
        chosen = measured.parallax_err < SOLAR_MAX_PARALLAX_ERROR * measured.parallax
        chosen &= measured.extinction < SOLAR_MAX_EXTINCTION
        chosen &= measured.extinction_err < SOLAR_MAX_EXTINCTION
    distance = np.zeros(len(chosen))
    for name, (centre, width, error) in SOLAR_TYPE.items():
        i = names.index(name)
        distance = np.maximum(distance, np.abs(measured.labels[:, i] - centre) / width)
        chosen &= measured.label_err[:, i] < error
    # Small surveys have hardly any such star: then the limits are widened.
    wide = next((w for w in (1, 2, 3) if np.sum(chosen & (distance < w)) >= SOLAR_ENOUGH), 4)
    chosen &= distance < wide
    pulls = measured.pulls(result.theta)
    return {
        "solar_type/pull_logg": pulls[chosen, names.index("logg")],
        "solar_type/pull_parallax": pulls[chosen, len(names)],
        "solar_type/absolute_magnitude": _absolute_magnitude(result)[chosen],
        "solar_type/width": np.array([wide]),
        "solar_type/clean_flags": result.clean_flags[chosen],
    }


def _absolute_magnitude(result: TrainingResult) -> np.ndarray:
    """AB magnitude of the observed flux at 592-782 nm, at 10 pc by the measured parallax.

    The fitted parallax of a binary has absorbed part of its excess.
    """
    space = result.spectra.space
    window = amplitude_channels(space) & space.grid_channels(result.trained_channels)
    level = space.spectrum(result.spectra.flux)[:, window].mean(axis=1)
    # At 10 pc a parallax is 100 mas.
    at_10pc = level * 1e4 / result.data.constraints.parallax**2
    nm_per_second = SPEED_OF_LIGHT * 1e9
    per_frequency = at_10pc * FLUX_UNIT_SI * np.mean(AMPLITUDE_WINDOW) ** 2 / nm_per_second
    with np.errstate(invalid="ignore", divide="ignore"):
        return -2.5 * np.log10(per_frequency / AB_ZERO_POINT_SI)
