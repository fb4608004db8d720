"""The loss of the global parameters (ZGR23, eq. 12)."""

from __future__ import annotations

import numpy as np

from ..data.spectra import whiten
from ..model import ForwardModel
from ..nn import asinh_turnover, chi2, l2_penalty
from .stars import Projection


def model_loss(
    forward: ForwardModel,
    theta: np.ndarray,
    flux: np.ndarray,
    whitener: np.ndarray,
    turnover: float,
    projection: Projection | None = None,
) -> tuple[float, np.ndarray]:
    """Loss of the global parameters for one batch, and its gradient.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    flux : ndarray, shape (n_star, n_obs)
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
    turnover : float
        Scale of the robust turnover of chi2.
    projection : Projection, optional
        Lets the stars follow the model within their constraints (to first order).

    Returns
    -------
    value : float
        Mean over stars of the robust chi2, plus ``||W||^2 / n_W`` (ZGR23, eq. 12).
    gradient : ndarray, shape (n_parameters,)
    """
    predicted, pullback = forward.flux_and_pullback(theta)
    residual = whiten(whitener, predicted - flux)
    value, d_residual = projection.chi2(residual) if projection else chi2(residual)
    robust, influence = asinh_turnover(value, turnover)
    d_residual *= influence[:, None] / len(theta)
    # d chi2 / d flux = L^T (d chi2 / d residual); a diagonal L is its own transpose.
    transposed = whitener if whitener.ndim == 2 else np.swapaxes(whitener, 1, 2)
    penalty, d_penalty = l2_penalty(forward.parameters, forward.is_weight)
    gradient = pullback(whiten(transposed, d_residual)) + d_penalty
    return float(robust.mean()) + penalty, gradient
