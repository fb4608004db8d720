"""Smooth functions of wavelength: cubic splines whose stiffness the data choose."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.interpolate import BSpline

from ..arrays import Array

DEGREE = 3

N_INTERVALS = (2, 4, 8, 16)
"""Numbers of intervals between knots that are tried, equal in ln wavelength."""

STIFFNESS = tuple(10.0 ** np.arange(-4.0, -0.4, 0.5))
"""Prior standard deviations of the second differences of the coefficients that are tried."""

SIZE = 0.1
"""Prior standard deviation of the coefficients themselves: the whole is about this large."""


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
    stiffness : float
        Prior standard deviation of second differences.
    """

    value: np.ndarray
    root: np.ndarray
    n_intervals: int
    stiffness: float


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
    return BSpline.design_matrix(x, knots, DEGREE).toarray()


def best_smooth(wavelength: np.ndarray, normal: np.ndarray, gradient: np.ndarray) -> Smooth:
    """The smooth function of highest posterior, for knots and stiffness of highest evidence.

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
    v = B c, with c of Gaussian prior, whose precision P is that of the second differences plus
    1 / `SIZE`^2. With S = B^T N B + P the mean of c is S^-1 B^T h, its covariance S^-1, and the
    evidence, up to a constant, exp(h^T B S^-1 B^T h / 2) sqrt(det P / det S).
    """
    best, highest = None, -np.inf
    for n_intervals, stiffness in product(N_INTERVALS, STIFFNESS):
        basis = spline_basis(wavelength, n_intervals)
        prior = _prior_precision(basis.shape[1], stiffness)
        lower = np.linalg.cholesky(basis.T @ normal @ basis + prior)
        white = np.linalg.solve(lower, basis.T @ gradient)
        evidence = 0.5 * (white @ white + np.linalg.slogdet(prior)[1])
        evidence -= np.sum(np.log(np.diag(lower)))
        if evidence > highest:
            root = np.linalg.solve(lower, basis.T).T
            best, highest = Smooth(root @ white, root, n_intervals, float(stiffness)), evidence
    assert best is not None
    return best


def _prior_precision(n: int, stiffness: float) -> Array:
    """Precision of the prior of n coefficients."""
    second = np.diff(np.eye(n), 2, axis=0)
    return second.T @ second / stiffness**2 + np.eye(n) / SIZE**2
