"""The forward model in linear parameters, in which extinction may be negative."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..model import ForwardModel

MIN_EXTINCTION = 1e-3
"""E (mag) that the forward model is evaluated at for lower and for negative E."""


def flux_and_jacobian(forward: ForwardModel, values: np.ndarray) -> tuple[Array, Array]:
    """Flux and its derivatives with respect to linear parameters, for negative E too.

    Parameters
    ----------
    forward : ForwardModel
        In sampled space.
    values : ndarray, shape (n_star, n_parameter)
        Labels, E, parallax[, xi].

    Returns
    -------
    flux : ndarray, shape (n_star, n_obs)
    jacobian : ndarray, shape (n_star, n_parameter, n_obs)

    Notes
    -----
    Fits keep E positive. Here noise must be free to make it negative: if it could only make it
    larger, the mean over the stars would be wrong, and the factor with it.
    """
    layout = forward.layout
    positive = values.copy()
    extinction = values[:, layout.extinction]
    positive[:, layout.extinction] = np.maximum(extinction, MIN_EXTINCTION)
    rest = extinction - positive[:, layout.extinction]
    flux, jacobian = forward.flux_and_jacobian(layout.to_theta(positive))
    ln_curve = forward.ln_curve
    if forward.curve_varies:
        ln_curve = ln_curve + values[:, layout.xi, None] * forward.variation
    transmission = np.exp(-rest[:, None] * np.exp(ln_curve))
    flux, jacobian = flux * transmission, jacobian * transmission[:, None, :]
    if forward.curve_varies:
        jacobian[:, layout.xi] *= (extinction / positive[:, layout.extinction])[:, None]
    jacobian[:, layout.logarithmic] /= positive[:, layout.logarithmic, None]
    return flux, jacobian
