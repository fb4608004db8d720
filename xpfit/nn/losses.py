"""Losses: each returns its value and its gradient."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace
from scipy.special import expit


def chi2(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of squares of whitened residuals (ZGR23, eq. 4).

    Parameters
    ----------
    residual : ndarray, shape (..., n_obs)
        Whitened residuals, L (f_pred - f_obs).

    Returns
    -------
    value : ndarray, shape (...)
    gradient : ndarray, shape (..., n_obs)
        With respect to `residual`.
    """
    return array_namespace(residual).sum(residual**2, axis=-1), 2.0 * residual


def binary_cross_entropy(logit: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy of a yes or no with the probability sigmoid(logit).

    Parameters
    ----------
    logit : ndarray
    target : ndarray, same shape
        0 or 1, or a probability.

    Returns
    -------
    value : ndarray, same shape
        -t ln p - (1 - t) ln(1 - p), finite for any logit.
    gradient : ndarray, same shape
        With respect to `logit`: p - t.
    """
    return np.logaddexp(0.0, logit) - target * logit, expit(logit) - target


def gaussian_likelihood(
    residual: np.ndarray, ln_excess: np.ndarray, known_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-ln of a Gaussian likelihood whose variance is learned in part (Fallows & Sanders, eq. 9).

    Parameters
    ----------
    residual : ndarray
        Prediction minus truth.
    ln_excess : ndarray, same shape
        ln of the learned excess variance.
    known_variance : ndarray, same shape
        What is added to that: of measurements, inputs, the model.

    Returns
    -------
    value : ndarray, same shape
        r^2 e^-s / 2 + s / 2, s = ln(known + excess).
    d_residual, d_ln_excess : ndarray, same shape
        Its derivatives.
    """
    xp = array_namespace(residual)
    excess = xp.exp(ln_excess)
    variance = known_variance + excess
    scaled = residual / variance
    value = 0.5 * residual * scaled + 0.5 * xp.log(variance)
    return value, scaled, 0.5 * excess * (1.0 / variance - scaled**2)


def standard_normal_divergence(
    mean: np.ndarray, ln_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kullback-Leibler divergence of Gaussians from the standard normal distribution.

    Parameters
    ----------
    mean, ln_variance : ndarray, shape (..., n_latent)

    Returns
    -------
    value : ndarray, shape (...)
        Sum over the dimensions of (m^2 + v - ln v - 1) / 2.
    d_mean, d_ln_variance : ndarray, shape (..., n_latent)
    """
    xp = array_namespace(mean)
    variance = xp.exp(ln_variance)
    value = 0.5 * xp.sum(mean**2 + variance - ln_variance - 1.0, axis=-1)
    return value, mean, 0.5 * (variance - 1.0)


def asinh_turnover(value: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Robust turnover of large chi2: linear well below `scale`, logarithmic well above.

    Parameters
    ----------
    value : ndarray
        Non-negative, such as one chi2 per star.
    scale : float
        Where the turnover sets in; infinity leaves `value` as it is.

    Returns
    -------
    robust : ndarray
        ``scale * asinh(value / scale)``.
    derivative : ndarray
        With respect to `value`, between 0 and 1: the weight that a star keeps.
    """
    if np.isinf(scale):
        return value, np.ones_like(value)
    ratio = value / scale
    return scale * np.arcsinh(ratio), 1.0 / np.sqrt(1.0 + ratio**2)


def l2_penalty(parameters: np.ndarray, is_weight: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean square of the weights, the regularisation of ZGR23 (eq. 12); biases are free.

    Parameters
    ----------
    parameters : ndarray, shape (n_parameters,)
    is_weight : ndarray of bool, shape (n_parameters,)

    Returns
    -------
    value : float
        ``||W||^2 / n_W``.
    gradient : ndarray, shape (n_parameters,)
    """
    weights = np.where(is_weight, parameters, 0.0)
    n_weights = max(int(is_weight.sum()), 1)
    return float(weights @ weights) / n_weights, 2.0 * weights / n_weights
