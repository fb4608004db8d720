"""Terms of the losses for stellar parameters: value, gradient and Gauss-Newton Hessian.

Each function takes `theta` (n_star, n_parameter) = (labels, ln E, ln varpi[, xi]) and returns the
value (n_star,), the gradient (n_star, n_parameter) and a Hessian (n_star, n_parameter, n_parameter)
that is positive semi-definite. The losses of ZGR23 (eqs. 13 and 19) are sums of these terms.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ..data.spectra import whiten
from ..nn import chi2
from .forward import ForwardModel

Terms = tuple[np.ndarray, np.ndarray, np.ndarray]


def flux_term(
    forward: ForwardModel, theta: np.ndarray, flux: np.ndarray, whitener: np.ndarray
) -> Terms:
    """chi2 of the flux (ZGR23, eq. 4).

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_parameter)
    flux : ndarray, shape (n_star, n_obs)
        Observed.
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)

    Returns
    -------
    value, gradient, hessian : ndarray
        The Hessian leaves out second derivatives of the model.
    """
    predicted, jacobian = forward.flux_and_jacobian(theta)
    value, d_residual = chi2(whiten(whitener, predicted - flux))
    white = whiten(whitener, jacobian)
    gradient = (white @ d_residual[:, :, None])[:, :, 0]
    return value, gradient, 2.0 * white @ array_namespace(white).matrix_transpose(white)


def gaussian_term(
    value: np.ndarray, derivative: np.ndarray, observed: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((value - observed) / error)^2 of independent quantities.

    Parameters
    ----------
    value, derivative : ndarray
        The quantities, and their derivative with respect to the fitted parameter.
    observed, error : ndarray, same shape
        Where the error is infinite there is no constraint, whatever `observed` is.

    Returns
    -------
    value, gradient, hessian : ndarray, same shape
        Element by element, with respect to the fitted parameter.
    """
    xp = array_namespace(value, error)
    pull = xp.where(xp.isfinite(error), value - observed, xp.zeros_like(value)) / error
    slope = derivative / error
    return pull**2, 2.0 * pull * slope, 2.0 * slope**2
