"""Smooth functions of wavelength: cubic splines with as many knots as the data call for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from ..arrays import Array

DEGREE = 3

N_INTERVALS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of intervals between knots that are tried, equal in ln wavelength."""

SIZE = 0.1
"""Prior standard deviation of the coefficients, which are about as large as the function."""


@dataclass(frozen=True)
class Smooth:
    """A smooth function and its error.

    Attributes
    ----------
    value : ndarray, shape (n_channel,)
    root : ndarray, shape (n_channel, n_coefficient)
        Its product with its transpose is the covariance of `value`.
    n_intervals : int
        Between knots.
    """

    value: np.ndarray
    root: np.ndarray
    n_intervals: int


def spline_basis(wavelength: np.ndarray, n_intervals: int) -> Array:
    """Cubic B-splines over the range of some wavelengths, (n_channel, n_intervals + 3).

    Parameters
    ----------
    wavelength : ndarray, shape (n_channel,)
    n_intervals : int
        Equal in ln wavelength.
    """
    x = np.log(wavelength)
    inner = np.linspace(x.min(), x.max(), n_intervals + 1)
    knots = np.concatenate([[inner[0]] * DEGREE, inner, [inner[-1]] * DEGREE])
    # Rounding must not move the last wavelength out of the last interval.
    x = np.clip(x, knots[0], knots[-1])
    return np.asarray(BSpline.design_matrix(x, knots, DEGREE).toarray())


def best_smooth(wavelength: np.ndarray, normal: np.ndarray, gradient: np.ndarray) -> Smooth:
    """The smooth function of highest posterior, for the number of knots of highest evidence.

    Parameters
    ----------
    wavelength : ndarray, shape (n_channel,)
    normal : ndarray, shape (n_channel, n_channel)
        N of a likelihood exp(v^T h - v^T N v / 2) of the values v.
    gradient : ndarray, shape (n_channel,)
        h.

    Returns
    -------
    Smooth

    Notes
    -----
    v = B c, with c normally distributed with standard deviation `SIZE`: wide enough for what the
    data leave open to stay so. With S = B^T N B + 1 / `SIZE`^2 the mean of c is S^-1 B^T h, its
    covariance S^-1, and the evidence exp(h^T B S^-1 B^T h / 2) / sqrt(det `SIZE`^2 S), up to a
    constant.
    """
    tried = [_posterior(wavelength, normal, gradient, n) for n in N_INTERVALS]
    return max(tried, key=lambda pair: pair[1])[0]


def _posterior(
    wavelength: np.ndarray, normal: np.ndarray, gradient: np.ndarray, n_intervals: int
) -> tuple[Smooth, float]:
    """The best function with given knots, and ln evidence."""
    basis = spline_basis(wavelength, n_intervals)
    precision = basis.T @ normal @ basis + np.eye(basis.shape[1]) / SIZE**2
    lower = np.linalg.cholesky(precision)
    white = np.linalg.solve(lower, basis.T @ gradient)
    root = np.linalg.solve(lower, basis.T).T
    evidence = 0.5 * float(white @ white) - float(np.sum(np.log(SIZE * np.diag(lower))))
    return Smooth(root @ white, root, n_intervals), evidence
