"""The loss of the global parameters (ZGR23, eq. 12)."""

from __future__ import annotations

import numpy as np

from ..data import Whitener
from ..model import ForwardModel
from ..nn import asinh_turnover, chi2, l2_penalty
from .projection import Projection


def model_loss(
    forward: ForwardModel,
    theta: np.ndarray,
    flux: np.ndarray,
    whitener: Whitener,
    turnover: float,
    projection: Projection | None = None,
) -> tuple[float, np.ndarray]:
    """Loss of the global parameters for one batch, and its gradient.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    flux : ndarray, shape (n_star, n_obs)
    whitener : Whitener
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
    residual = whitener(predicted - flux)
    value, d_residual = projection.chi2(residual) if projection else chi2(residual)
    robust, influence = asinh_turnover(value, turnover)
    d_residual *= influence[:, None] / len(theta)
    penalty, d_penalty = l2_penalty(forward.parameters, forward.is_weight)
    gradient = pullback(whitener.adjoint(d_residual)) + d_penalty
    return float(robust.mean()) + penalty, gradient
