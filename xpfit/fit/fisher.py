"""Fisher information -> covariance of the fitted parameters (ZGR23, eqs. 21-23)."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..quantities import Layout

EIGENVALUE_FLOOR = 1e-6
"""Smallest eigenvalue of the Fisher matrix, in inverse squared kK, dex, mag, mas.

It bounds the error of a parameter (or combination) that the data do not constrain to 1000 units,
where a matrix inverse would give infinity or a negative variance.
"""


def fisher_matrix(
    information: np.ndarray,
    theta: np.ndarray,
    parallax_err: np.ndarray,
    layout: Layout,
    luminosity_err: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Fisher matrix of flux and parallax, without the prior, in linear parameters.

    Parameters
    ----------
    information : ndarray, shape (n_star, n_parameter, n_parameter)
        J^T C^-1 J with respect to `theta` (see `xpfit.fit.objective.Evaluation`).
    theta : ndarray, shape (n_star, n_parameter)
        (labels, ln E, ln varpi[, xi]) of the best fit.
    parallax_err : ndarray, shape (n_star,)
        mas; infinite where no parallax was observed.
    layout : Layout
    luminosity_err : ndarray, shape (n_star,), or float
        Standard error of the emulator's ln luminosity.

    Returns
    -------
    ndarray, shape (n_star, n_parameter, n_parameter)
        With respect to (labels, E, varpi[, xi]).

    Notes
    -----
    ZGR23, eqs. 21 and 22: I = J^T C^-1 J + diag(0, 0, 0, 0, 1 / s^2). Their eq. 22 prints s^2.
    Where the extinction curve varies, the prior of xi adds its 1: without it, xi and what
    correlates with it would be unconstrained for stars with little dust.
    """
    # The flux depends on u = ln varpi + delta / 2, and delta is marginalised: the inverse of the
    # information is that plus luminosity_err^2 / 4 in u (Sherman and Morrison's formula).
    if np.any(luminosity_err):
        variance = 0.25 * np.square(luminosity_err) * np.ones(len(theta))
        along = information[:, layout.parallax]
        with np.errstate(over="ignore", invalid="ignore"):
            share = variance / (1.0 + variance * along[:, layout.parallax])
            information = information - share[:, None, None] * along[:, :, None] * along[:, None, :]
    # d/dE = (1/E) d/dlnE, and likewise for the parallax.
    factor = 1.0 / layout.jacobian(theta)
    fisher = information * factor[:, :, None] * factor[:, None, :]
    fisher[:, layout.parallax, layout.parallax] += (1.0 / parallax_err) ** 2
    if layout.has_xi:
        fisher[:, layout.xi, layout.xi] += 1.0
    return fisher


def safe_inverse(
    matrix: np.ndarray, floor: float = EIGENVALUE_FLOOR
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of symmetric matrices that is positive definite by construction.

    Parameters
    ----------
    matrix : ndarray, shape (n_star, n, n)
    floor : float
        Eigenvalues below are raised to it.

    Returns
    -------
    inverse, floored : ndarray, shape (n_star, n, n)
        The inverse, and the matrix that it is the inverse of.
    """
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    values = np.maximum(values, floor)[:, None, :]
    transposed = np.swapaxes(vectors, 1, 2)
    return _symmetric((vectors / values) @ transposed), _symmetric((vectors * values) @ transposed)


def _symmetric(matrix: Array) -> Array:
    """Mean of matrices and their transposes, which differ by rounding."""
    return 0.5 * (matrix + np.swapaxes(matrix, 1, 2))
