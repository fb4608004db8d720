"""Luminosity and extinction in G of stars, as an absolute model predicts them, with errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..arrays import Array, batches
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
    theta = forward.layout.to_theta(parameters)
    used = model.trained_grid & ~space.is_band
    if isinstance(space, SampledSpace):
        wavelength, response = np.array(G_PASSBAND).T
        at = space.wavelength[used]
        weight = np.interp(at, wavelength, response) * at * np.gradient(at)
    else:
        weight = np.ones(int(used.sum()))
    ln_flux = forward.ln_absolute_flux(parameters[:, : forward.n_label])[:, used]
    flux = weight * np.exp(ln_flux - ln_flux.max(axis=1, keepdims=True))
    ln_curve = forward.ln_curve[used]
    if forward.curve_varies:
        ln_curve = ln_curve + theta[:, forward.layout.xi, None] * forward.variation[used]
    extinction = parameters[:, forward.layout.extinction, None]
    ln_transmission = -extinction * np.exp(ln_curve)
    if space.second_order:
        ln_transmission = ln_transmission + extinction**2 * forward.second_order[used]
    through = np.sum(flux * np.exp(ln_transmission), axis=1) / flux.sum(axis=1)
    magnitudes: Array = -2.5 * np.log10(through)
    return magnitudes


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
    model: XPModel, parameters: np.ndarray, covariance: np.ndarray
) -> tuple[Array, Array]:
    """Ln of the bolometric luminosity of the model's star, with its standard error.

    Parameters
    ----------
    model : XPModel
        Absolute.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, as a fit gives them.
    covariance : ndarray, shape (n_star, n_parameter, n_parameter)

    Returns
    -------
    value, error : ndarray, shape (n_star,)
        From the type alone; the error is that of the labels, and the emulator's own.
    """

    def value(linear: np.ndarray) -> Array:
        return model_ln_luminosity(model, linear[:, : model.forward.n_label])

    columns = range(model.forward.n_label)
    ln_l, error = _propagated(value, parameters, covariance, columns, _steps(model, parameters))
    grey = grey_variance(model, parameters[:, : model.forward.n_label])
    return ln_l, np.sqrt(error**2 + grey)


def grey_variance(model: XPModel, labels: np.ndarray) -> Array:
    """Variance of the emulator's error in ln luminosity by stellar type, shape (n_star,).

    Zero where the model covariance has none.
    """
    found = getattr(model.covariance, "grey_variance", None)
    if found is None:
        return np.zeros(len(labels))
    variance: Array = found(labels)
    return variance


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
