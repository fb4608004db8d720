"""Every kind of model and data that the fit knows, for tests that all of them must pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers import random_full_whiteners, simulate, with_variation
from internal import coefficient_twin, simulate_coefficients

import xpfit
from xpfit import Spectra, XPModel
from xpfit.fit.data import FitData, fit_data
from xpfit.fit.objective import Objective
from xpfit.model.covariance import ModelCovariance
from xpfit.model.luminosity import LuminosityError
from xpfit.model.prior import LOG_FLAT
from xpfit.prepare import continuous_spectra

THREE_LABELS = Path(__file__).parent / "data" / "three_labels.h5"

SITUATIONS = (
    "shapes",
    "full whiteners",
    "parallax",
    "parallax of a few",
    "parallax, uncertain luminosity",
    "parallax of a few, uncertain luminosity, log-flat prior",
    "varying curve",
    "four labels",
    "coefficients",
    "coefficients, varying curve",
)


def situation(name: str, n_star: int, rng: np.random.Generator):
    """Model, spectra and true theta of some stars.

    Returns
    -------
    model : XPModel
    spectra : Spectra
    theta : ndarray, shape (n_star, n_parameter)
    """
    model = replace(xpfit.load_model(THREE_LABELS), covariance=None)
    if name.startswith("coefficients"):
        model = coefficient_twin(model)
        theta, table = simulate_coefficients(model, n_star, rng)
        spectra = continuous_spectra([table], model.space)
        if name.endswith("varying curve"):
            model, theta = with_variation(model), np.column_stack([theta, np.zeros(n_star)])
        return model, spectra.keep_channels(model.trained_channels), theta
    if name == "four labels":
        model = replace(xpfit.load_model(), covariance=None)
    if name.startswith("parallax") or name == "varying curve":
        model = replace(model, absolute=True)
    if name == "varying curve":
        model = with_variation(model)
    if "uncertain luminosity" in name:
        model = replace(model, covariance=_with_luminosity_error(model))
    if "log-flat" in name:
        model = replace(model, parallax_prior=LOG_FLAT)
    truth, spectra = simulate(model, n_star, rng, relative_error=0.02)
    spectra = spectra.keep_channels(model.trained_channels)
    if name == "full whiteners":
        spectra = _with_correlations(model, truth, spectra, rng)
    k = len(model.label_names)
    if model.absolute:
        few = name.startswith("parallax of a few")
        known = np.arange(n_star) % 3 == 0 if few else np.full(n_star, True)
        error = np.where(known, 0.03 * truth[:, k + 1], np.inf)
        noise = np.where(known, error, 0.0) * rng.standard_normal(n_star)
        parallax = np.where(known, truth[:, k + 1] + noise, np.nan)
        spectra = spectra.replace(parallax=parallax, parallax_err=error)
    theta = truth.copy()
    theta[:, k : k + 2] = np.log(theta[:, k : k + 2])
    return model, spectra, theta


def _with_correlations(model, truth, spectra, rng) -> Spectra:
    """The same stars with correlated noise and full whiteners."""
    used = model.trained_channels
    covariance, whitener = random_full_whiteners(np.where(used, spectra.flux_err, 1.0), rng)
    noise = np.linalg.cholesky(covariance) @ rng.standard_normal((*spectra.flux.shape, 1))
    flux = np.nan_to_num(model.predict(truth[:, :3], truth[:, 3], truth[:, 4]))
    noisy = spectra.replace(
        flux=flux + np.where(used, noise[:, :, 0], 0.0),
        flux_err=np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)),
        whitener=whitener,
    )
    return noisy.keep_channels(used)


def _with_luminosity_error(model: XPModel) -> ModelCovariance:
    """A model covariance that is an error of the luminosity alone, of 0.2."""
    n_obs, n_label = model.space.n_obs, len(model.label_names)
    error = LuminosityError(np.zeros((1, n_label)), np.ones(n_label), np.array([0.2]))
    return ModelCovariance(np.zeros((n_obs, 1)), np.zeros(n_obs), error)


def data_of(model: XPModel, spectra: Spectra) -> FitData:
    """Data as a fit compares them; all stars have the luminosity error of their situation."""
    if model.covariance is None:
        return fit_data(model, spectra)
    error = np.full(len(spectra), model.covariance.luminosity.error[0])
    return fit_data(model, spectra, luminosity_err=error)


def objective_of(model: XPModel, spectra: Spectra) -> Objective:
    """The loss of all stars, in NumPy."""
    return Objective(
        model.forward, model.prior, model.absolute, data_of(model, spectra), model.parallax_prior
    )


def near(model: XPModel, theta: np.ndarray, rng: np.random.Generator, distance: float = 0.1):
    """Points at some distance, in standardised parameters."""
    return theta + distance * model.forward.scale * rng.standard_normal(theta.shape)
