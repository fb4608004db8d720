"""Luminosity and extinction in G of stars, as an absolute model predicts them, with errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..arrays import Array, batches
from ..constants import LN_PER_MAG
from ..data import SampledSpace
from .bolometric import bolometric_flux, ln_luminosity
from .trained import XPModel

G_PASSBAND = (
    (330, 0.00), (350, 0.05), (370, 0.11), (390, 0.28), (400, 0.46), (420, 0.68), (450, 0.81),
    (500, 0.91), (550, 0.97), (600, 1.00), (650, 1.00), (700, 0.98), (750, 0.90), (800, 0.73),
    (850, 0.51), (900, 0.31), (950, 0.15), (1000, 0.04), (1050, 0.00),
)  # fmt: skip
"""Wavelengths (nm), and the relative response of Gaia's G to photons.

An effective passband, drawn so that it gives the G of 30,000 stars of the APOGEE-XP library from
their spectra: between BP - RP = -0.3 and 3.5 there is no trend above 0.01 mag.
"""

STEP = 1e-3
"""Of the differences that replace derivatives: per label scale, or mag."""

STARS_PER_CHUNK = 500


def extinction_in_g(model: XPModel, parameters: np.ndarray) -> Array:
    """A_G of stars of given type behind given dust.

    Parameters
    ----------
    model : XPModel
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, as a fit gives them (see `xpfit.fit.FitResult`).

    Returns
    -------
    ndarray, shape (n_star,)
        mag.

    Notes
    -----
    Photons of the model's spectrum with and without dust, weighted with `G_PASSBAND`, where the
    model is trained. In coefficient space the spectrum is in photo-electrons, of BP and RP, which
    together see about what G does.
    """
    forward, space = model.forward, model.space
    used, ln_photons = _ln_photons(model, parameters[:, : forward.n_label])
    ln_curve = forward.ln_curve[used]
    if forward.curve_varies:
        ln_curve = ln_curve + parameters[:, forward.layout.xi, None] * forward.variation[used]
    extinction = parameters[:, forward.layout.extinction, None]
    ln_transmission = -extinction * np.exp(ln_curve)
    if space.second_order:
        ln_transmission = ln_transmission + extinction**2 * forward.second_order[used]
    return (_ln_sum(ln_photons) - _ln_sum(ln_photons + ln_transmission)) / LN_PER_MAG


def _ln_photons(model: XPModel, labels: np.ndarray) -> tuple[Array, Array]:
    """Grid points that G sees, (n_grid,), and ln of the photons it gets at each, without dust."""
    space = model.space
    used = model.trained_grid & ~space.is_band
    weight = np.ones(space.n_grid)
    if isinstance(space, SampledSpace):
        wavelength, response = np.array(G_PASSBAND).T
        seen = np.interp(space.wavelength, wavelength, response, left=0.0, right=0.0)
        used = used & (seen > 0)
        # Widths of the steps between the samples that are used, not up to the first band.
        at = space.wavelength[used]
        weight[used] = seen[used] * at * np.gradient(at)
    return used, model.forward.ln_absolute_flux(labels)[:, used] + np.log(weight[used])


def _ln_sum(ln_values: Array) -> Array:
    """Ln of the sums of exponentials over the last axis, shape (n_star,)."""
    peak = ln_values.max(axis=1)
    total: Array = peak + np.log(np.exp(ln_values - peak[:, None]).sum(axis=1))
    return total


def model_ln_luminosity(model: XPModel, labels: np.ndarray) -> Array:
    """Ln of the bolometric luminosity of stars of given type.

    Parameters
    ----------
    model : XPModel
        Absolute.
    labels : ndarray, shape (n_star, n_label)

    Returns
    -------
    ndarray, shape (n_star,)
        Ln of solar luminosities; NaN for models without luminosities, and in coefficient space,
        where the model has no flux by wavelength.
    """
    if not (model.absolute and isinstance(model.space, SampledSpace)):
        return np.full(len(labels), np.nan)
    used = model.trained_channels
    flux = np.exp(model.forward.ln_absolute_flux(labels)[:, used])
    teff = labels[:, model.label_names.index("teff")]
    return ln_luminosity(bolometric_flux(model.wavelength[used], flux, teff))


def absolute_magnitude_g(
    model: XPModel, parameters: np.ndarray, covariance: np.ndarray, g: np.ndarray
) -> tuple[Array, Array]:
    """Absolute magnitude without dust, with its standard error.

    Parameters
    ----------
    model : XPModel
        Absolute.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, as a fit gives them.
    covariance : ndarray, shape (n_star, n_parameter, n_parameter)
    g : ndarray, shape (n_star,)
        Apparent G.

    Returns
    -------
    magnitude, error : ndarray, shape (n_star,)
        M_G = G + 5 log10(varpi / 100 mas) - A_G. The error is that of all parameters together: more
        dust and a larger distance make up for each other in part. That of G is neglected.
    """

    def offset(linear: np.ndarray) -> Array:
        distance: Array = 5.0 * np.log10(linear[:, model.forward.layout.parallax] / 100.0)
        return distance - extinction_in_g(model, linear)

    columns = range(model.forward.layout.size)
    value, error = _propagated(offset, parameters, covariance, columns, _steps(model, parameters))
    known = np.isfinite(g)
    return np.where(known, g + value, np.nan), np.where(known, error, np.nan)


def ln_luminosity_with_error(
    model: XPModel,
    parameters: np.ndarray,
    covariance: np.ndarray,
    excess: np.ndarray | float = 0.0,
) -> tuple[Array, Array]:
    """Ln of the bolometric luminosity at the fitted parallax, with its standard error.

    Parameters
    ----------
    model : XPModel
        Absolute.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, as a fit gives them.
    covariance : ndarray, shape (n_star, n_parameter, n_parameter)
    excess : ndarray, shape (n_star,), or float
        By how much the star's ln luminosity is above that of the emulator for its type.

    Returns
    -------
    value, error : ndarray, shape (n_star,)
        That of the type (`model_ln_luminosity`), and the excess. The error is that of M_G plus the
        bolometric correction: the observed flux is known, so that the luminosity depends on
        parallax and dust, and on the labels through the shape of the spectrum.
    """
    n_label = model.forward.n_label

    def bolometric(linear: np.ndarray) -> Array:
        labels = linear[:, :n_label]
        shape = model_ln_luminosity(model, labels) - _ln_sum(_ln_photons(model, labels)[1])
        distance = -2.0 * np.log(linear[:, model.forward.layout.parallax])
        total: Array = shape + distance + LN_PER_MAG * extinction_in_g(model, linear)
        return total

    columns = range(model.forward.layout.size)
    steps = _steps(model, parameters)
    _, error = _propagated(bolometric, parameters, covariance, columns, steps)
    value = model_ln_luminosity(model, parameters[:, :n_label]) + excess
    return np.where(np.isfinite(error), value, np.nan), error


def _steps(model: XPModel, parameters: np.ndarray) -> Array:
    """Steps of the differences, shape (n_star, n_parameter)."""
    layout = model.forward.layout
    steps = np.full(parameters.shape, STEP)
    steps[:, layout.labels] *= model.forward.label_scale
    steps[:, layout.parallax] *= parameters[:, layout.parallax]
    return steps


def _propagated(
    function: Callable[[np.ndarray], Array],
    parameters: np.ndarray,
    covariance: np.ndarray,
    columns: Iterable[int],
    steps: np.ndarray,
) -> tuple[Array, Array]:
    """Value and standard error of a function of some parameters; NaN for stars without a fit."""
    value, error = (np.full(len(parameters), np.nan) for _ in range(2))
    index = np.array(list(columns))
    known = np.flatnonzero(
        np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(steps).all(axis=1)
    )
    for rows in batches(len(known), STARS_PER_CHUNK):
        stars = known[rows]
        value[stars] = here = function(parameters[stars])
        slopes = np.zeros((len(stars), len(index)))
        for i, column in enumerate(index):
            moved, step = parameters[stars].copy(), steps[stars, column]
            moved[:, column] += step
            slopes[:, i] = (function(moved) - here) / step
        part = covariance[stars[:, None, None], index[:, None], index]
        error[stars] = np.sqrt(np.einsum("si,sij,sj->s", slopes, part, slopes))
    return value, error
