"""Errors to be expected: Fisher forecasts over the Kiel diagram (ZGR23, fig. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..constants import LN_PER_MAG
from ..data import SampledSpace, XPSettings
from ..errors import InputError
from ..fit.fisher import fisher_matrix, safe_inverse
from ..model import XPModel
from ..prepare import whiten_covariances
from ..simulate.noise import XPNoise, g_magnitude, gaia_parallax_err

MIN_DRAWS = 10
"""Draws from the prior without which a cell of the diagram counts as empty."""

MAGNITUDE_ERR = 0.03
"""mag; of the photometric bands on which the model is trained."""

ROWS_AT_A_TIME = 200


@dataclass(frozen=True)
class Forecast:
    """Expected errors and correlations over the Kiel diagram.

    Attributes
    ----------
    parameter_names : tuple of str
    teff_edges, logg_edges : ndarray
        Of the cells, in kK and dex.
    covariance : ndarray, shape (n_teff, n_logg, n_parameter, n_parameter)
        From the Fisher matrix, in kK, dex, mag, mas; NaN where the prior has no stars.
    """

    parameter_names: tuple[str, ...]
    teff_edges: np.ndarray
    logg_edges: np.ndarray
    covariance: np.ndarray

    def error(self, name: str) -> np.ndarray:
        """Standard error of a parameter, shape (n_teff, n_logg)."""
        i = self.parameter_names.index(name)
        return np.sqrt(self.covariance[:, :, i, i])

    def correlation(self, first: str, second: str) -> np.ndarray:
        """Correlation of the errors of two parameters, shape (n_teff, n_logg)."""
        i, j = (self.parameter_names.index(name) for name in (first, second))
        return self.covariance[:, :, i, j] / (self.error(first) * self.error(second))


def fisher_forecast(
    model: XPModel,
    *,
    g: float = 15.0,
    extinction: float = 0.1,
    parallax: bool = True,
    n_bins: tuple[int, int] = (36, 36),
    seed: int = 1,
) -> Forecast:
    """Errors to be expected of stars of one magnitude, over the Kiel diagram.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    g : float
        Gaia's G, which sets the noise.
    extinction : float
        mag.
    parallax : bool
        Whether Gaia's parallax is known too; of models without luminosities it never is.
    n_bins : tuple of int
        Cells in Teff and log g. The other labels are the medians of the prior's stars there.
    seed : int
        Of the draws from the prior.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        If the model is in coefficient space.

    Notes
    -----
    ZGR23, eqs. 21-23, with the covariances of real XP spectra (see `xpfit.simulate.noise`) and
    the emulator's own error, if the model has one. Without the prior.
    """
    if not isinstance(model.space, SampledSpace):
        raise InputError("forecasts are made in sampled space; this model works on coefficients")
    types, cells, edges = _types(model, n_bins, np.random.default_rng(seed))
    layout = model.forward.layout
    theta = np.zeros((len(types), model.forward.n_stellar))
    theta[:, layout.labels], theta[:, layout.extinction] = types, np.log(extinction)
    at_unit_amplitude = g_magnitude(model.wavelength, model.forward.flux(theta))
    theta[:, layout.parallax] = 0.5 * LN_PER_MAG * (at_unit_amplitude - g)
    error = gaia_parallax_err(np.full(len(types), g))
    if not (parallax and model.absolute):
        error = np.full(len(types), np.inf)
    wavelength = model.wavelength[: model.space.n_obs - model.space.n_bands]
    noise = XPNoise(wavelength, model.preparation.settings_of(XPSettings))
    n = len(model.parameter_names)
    covariance = np.full((*n_bins, n, n), np.nan)
    for start in range(0, len(types), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        information = _information(model, noise, theta[rows])
        fisher = fisher_matrix(information, theta[rows], error[rows], layout)
        covariance[tuple(cells[rows].T)] = safe_inverse(fisher)[0]
    return Forecast(model.parameter_names, *edges, covariance)


def _types(model: XPModel, n_bins, rng) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Labels (n_type, n_label), cells (n_type, 2), and the cells' edges."""
    from scipy.stats import binned_statistic_dd

    draws = model.prior.sample(200_000, rng)
    draws = draws[model.in_range(draws).all(axis=1)]
    axes = draws[:, [model.label_names.index(name) for name in ("teff", "logg")]]
    edges = [
        np.linspace(*np.quantile(axis, [0.0005, 0.9995]), n + 1)
        for axis, n in zip(axes.T, n_bins, strict=True)
    ]
    cells = np.argwhere(np.histogram2d(*axes.T, edges)[0] >= MIN_DRAWS)
    medians = binned_statistic_dd(axes, draws.T, "median", edges).statistic
    return medians[:, cells[:, 0], cells[:, 1]].T, cells, edges


def _information(model: XPModel, noise: XPNoise, theta: np.ndarray) -> np.ndarray:
    """J^T C^-1 J of stars as Gaia would observe them."""
    flux, jacobian = model.forward.flux_and_jacobian(theta)
    known = model.trained_channels
    flux = np.where(known, flux, 0.0)
    covariance = noise.covariance_with_bands(flux, MAGNITUDE_ERR)
    whitener = whiten_covariances(covariance, np.broadcast_to(~known, flux.shape)).whitener
    if model.covariance is not None:
        whitener = whitener.inflate(model.space.scale(flux), model.covariance.root())
    white = whitener(jacobian)
    return white @ np.swapaxes(white, 1, 2)
