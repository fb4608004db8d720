"""What a finished training leaves: the model covariance, pictures' numbers, the model itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..constants import AMPLITUDE_WINDOW, FLUX_UNIT_SI
from ..model import GaussianMixture, XPModel
from ..model.covariance import ModelCovariance, measured_covariance, residual_scale
from ..model.gauge import amplitude_channels
from .stars import StarData, loss_derivatives
from .trainer import Trainer
from .updates import gauss_newton

COVARIANCE_STARS = 6000
"""About so many stars, evenly spaced, the model covariance is learned from: it bounds memory."""

COVARIANCE_ITERATIONS = 5
HELD = 1e-3
"""Gauss-Newton steps at the measured labels, and the factor on their errors that holds them."""

N_LABEL_BINS = 8
"""Bins of each label, with equal numbers of stars, in which residuals are summed up."""

HISTORY_COLUMNS = ("learning_rate", "star_learning_rate", "n_stars", "median_chi2", "loss")

QUANTILES = (0.16, 0.5, 0.84)

SOLAR_TYPE = {"teff": (5.7, 0.05, 0.1), "logg": (4.5, 0.1, 0.1), "feh": (0.0, 0.1, 0.1)}
"""Centre, half width and largest error of the stars that ZGR23 call solar-type (eq. 16)."""

SOLAR_ENOUGH = 200
"""Stars that make a picture."""

SOLAR_MAX_EXTINCTION = 0.05
SOLAR_MAX_PARALLAX_ERROR = 0.1
"""Limits on E and its error (mag), and on the relative error of the parallax (eq. 16)."""

AB_ZERO_POINT_SI = 3631e-26
LIGHT_SPEED_NM = 2.99792458e17
"""W m-2 Hz-1 of AB magnitude zero, and nm s-1."""


def learn_model_covariance(trainer: Trainer) -> ModelCovariance | None:
    """What measurement errors do not explain of the residuals of well-behaved stars.

    Parameters
    ----------
    trainer : Trainer
        Which has run.

    Returns
    -------
    ModelCovariance or None
        None if the recipe wants none.

    Notes
    -----
    Residuals are taken at the measured labels, with extinction and amplitude fitted: they show all
    that a fit to the flux alone will get wrong, also about the labels. What the labels' own errors
    do to them is taken off, like the errors of the flux.
    """
    rank, kept = trainer.recipe.covariance_rank, trainer.kept
    if not rank:
        return None
    kept = kept[:: max(1, len(kept) // COVARIANCE_STARS)]
    stars, known = trainer.measured[kept], trainer.constraints[kept]
    theta = trainer.theta[kept]
    theta[:, : trainer.forward.n_label] = known.labels
    held = replace(known, label_err=HELD * known.label_err)
    data = StarData(trainer.spectra.flux[kept], trainer.spectra.whitener[kept], held)
    theta = gauss_newton(trainer.forward, theta, data, COVARIANCE_ITERATIONS)
    predicted = trainer.forward.flux(theta)
    scale = residual_scale(stars.space, predicted)
    used = np.isfinite(stars.flux_err)
    residual = np.where(used, (stars.flux - predicted) / scale, np.nan)
    covariance = measured_covariance(stars)
    for rows, part in data.chunks(np.arange(len(kept))):
        carried = _carried(trainer.forward, theta[rows], part, known.label_err[rows])
        covariance[rows] += np.swapaxes(carried, 1, 2) @ carried
    covariance /= scale[:, :, None]
    covariance /= scale[:, None, :]
    covariance[~(used[:, :, None] & used[:, None, :])] = 0.0
    return ModelCovariance.fit(residual, covariance, rank=rank)


def _carried(forward, theta, data, label_err) -> np.ndarray:
    """Labels' errors as changes of the flux that extinction and amplitude do not make good.

    Shape (n_star, n_label, n_obs).
    """
    k = forward.n_label
    _, jacobian = forward.flux_and_jacobian(theta)
    _, _, hessian = loss_derivatives(forward, theta, data)
    labels, rest = jacobian[:, :k], jacobian[:, k:]
    # How the rest follows a change of the labels: H_rest^-1 H_rest,labels.
    following = np.linalg.solve(hessian[:, k:, k:], hessian[:, k:, :k])
    return label_err[:, :, None] * (labels - np.swapaxes(following, 1, 2) @ rest)


def assemble(trainer: Trainer, facts: dict) -> XPModel:
    """Model with prior, ranges, covariance and provenance from a finished training.

    Parameters
    ----------
    trainer : Trainer
        Which has run.
    facts : dict
        JSON-able; goes to the model's `training`.

    Returns
    -------
    XPModel
    """
    labels = trainer.constraints.labels[trainer.kept]
    prior = GaussianMixture.fit(labels, trainer.rng)
    order = np.argsort(trainer.spectra.source_id)
    return XPModel(
        forward=trainer.forward,
        prior=prior,
        trained_channels=trainer.trained_channels,
        label_names=trainer.label_names,
        label_ranges=np.column_stack([labels.min(axis=0), labels.max(axis=0)]),
        absolute=trainer.absolute,
        ln_prior_threshold=prior.ln_p_threshold(trainer.rng),
        preparation=trainer.spectra.preparation,
        training={**facts, "recipe": trainer.recipe.to_dict()},
        source_ids=trainer.spectra.source_id[order],
        clean_flags=trainer.clean_flags[order],
        covariance=learn_model_covariance(trainer),
        diagnostics=_diagnostics(trainer),
    )


def _diagnostics(trainer: Trainer) -> dict[str, np.ndarray]:
    """Numbers of the training stars that `xpfit plot model` draws."""
    kept = trainer.kept
    stars, theta = trainer.measured[kept], trainer.theta[kept]
    predicted = trainer.forward.flux(theta)
    known = np.isfinite(stars.flux_err)
    residual = np.where(known, stars.flux - predicted, np.nan)
    residual /= residual_scale(stars.space, predicted)
    numbers = {"residual_quantiles": _quantiles(residual), **_history(trainer)}
    for i, name in enumerate(trainer.label_names):
        bins = np.array_split(np.argsort(theta[:, i], kind="stable"), N_LABEL_BINS)
        numbers[f"residual_by_label/{name}"] = np.array([_quantiles(residual[b])[1] for b in bins])
        numbers[f"label_bins/{name}"] = np.array([np.median(theta[b, i]) for b in bins])
    if trainer.absolute:
        numbers |= _solar_type(trainer)
    return numbers


def _history(trainer: Trainer) -> dict[str, np.ndarray]:
    """The history's numbers epoch by epoch; phases as their places in the recipe."""
    phases = [phase.name for phase in trainer.recipe.phases]
    columns = {"phase": np.array([phases.index(line["phase"]) for line in trainer.history])}
    for name in HISTORY_COLUMNS:
        columns[name] = np.array([line[name] for line in trainer.history])
    return {f"history/{name}": values for name, values in columns.items()}


def _quantiles(residual: np.ndarray) -> np.ndarray:
    """16, 50 and 84 % over the stars, NaN in channels that none has, (3, n_obs)."""
    seen = np.isfinite(residual).any(axis=0)
    quantiles = np.full((len(QUANTILES), residual.shape[1]), np.nan)
    quantiles[:, seen] = np.nanquantile(residual[:, seen], QUANTILES, axis=0)
    return quantiles


def _solar_type(trainer: Trainer) -> dict[str, np.ndarray]:
    """Pulls and absolute magnitudes of low-extinction solar-type stars (ZGR23, fig. 4)."""
    known, names, k = trainer.constraints, trainer.label_names, trainer.forward.n_label
    if not set(SOLAR_TYPE) <= set(names):
        return {}
    with np.errstate(invalid="ignore"):
        chosen = known.parallax_err < SOLAR_MAX_PARALLAX_ERROR * known.parallax
        chosen &= known.extinction < SOLAR_MAX_EXTINCTION
        chosen &= known.extinction_err < SOLAR_MAX_EXTINCTION
    distance = np.zeros(len(chosen))
    for name, (centre, width, error) in SOLAR_TYPE.items():
        i = names.index(name)
        distance = np.maximum(distance, np.abs(known.labels[:, i] - centre) / width)
        chosen &= known.label_err[:, i] < error
    # Small surveys have hardly such a star: then the limits are widened.
    wide = next((w for w in (1, 2, 3) if np.sum(chosen & (distance < w)) >= SOLAR_ENOUGH), 4)
    chosen &= distance < wide
    pulls = trainer.constraints.pulls(trainer.theta)
    return {
        "solar_type/pull_logg": pulls[chosen, names.index("logg")],
        "solar_type/pull_parallax": pulls[chosen, k],
        "solar_type/absolute_magnitude": _absolute_magnitude(trainer)[chosen],
        "solar_type/width": np.array([wide]),
        "solar_type/clean_flags": trainer.clean_flags[chosen],
    }


def _absolute_magnitude(trainer: Trainer) -> np.ndarray:
    """AB magnitude of the observed flux at 592-782 nm, at 10 pc by the fitted parallax."""
    spectra = trainer.spectra
    window = amplitude_channels(spectra.space) & trainer.trained_grid
    level = spectra.space.spectrum(spectra.flux)[:, window].mean(axis=1)
    # At 10 pc a parallax is 100 mas.
    at_10pc = level * 1e4 / np.exp(2.0 * trainer.theta[:, trainer.forward.n_label + 1])
    per_frequency = at_10pc * FLUX_UNIT_SI * np.mean(AMPLITUDE_WINDOW) ** 2 / LIGHT_SPEED_NM
    with np.errstate(invalid="ignore", divide="ignore"):
        return -2.5 * np.log10(per_frequency / AB_ZERO_POINT_SI)
