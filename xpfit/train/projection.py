"""Variable projection: the model's loss with every star at its best parameters, to first order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import StarRows
from ..model import ForwardModel
from .stars import StarData

RIDGE = 1e-12
"""Relative addition to the diagonal of the normal matrix, for parameters without constraints."""


@dataclass
class Projection(StarRows):
    """Removes the part of the residual that the star's own parameters absorb.

    Parameters
    ----------
    offset : ndarray, shape (n_star, n_obs)
        Whitened change of the flux from the fitted parameters to the measured ones.
    absorbed_basis : ndarray, shape (n_star, n_stellar, n_obs)
        K: directions of whitened residuals that the parameters absorb, within their constraints.

    Notes
    -----
    To first order in a star's parameters, the minimum over them of the loss, for a whitened
    residual r, is ``|r + offset|^2 - |K (r + offset)|^2`` plus a constant: chi2 with the covariance
    C + J^T S J, where S is that of the measured labels, parallax and E. Steps of the model on this
    loss are steps with every star at its minimum. Alternating between model and stars does not
    reach it: where the flux is much more precise than the labels, fitted labels agree with the
    model rather than with the measurements, and the model is then fitted to those labels.
    """

    offset: np.ndarray
    absorbed_basis: np.ndarray

    def chi2(self, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minimum of chi2 plus constraints for whitened residuals, and its gradient.

        Parameters
        ----------
        residual : ndarray, shape (n_star, n_obs)

        Returns
        -------
        value : ndarray, shape (n_star,)
        gradient : ndarray, shape (n_star, n_obs)
        """
        shifted = residual + self.offset
        absorbed = (self.absorbed_basis @ shifted[:, :, None])[:, :, 0]
        value = np.sum(shifted**2, axis=1) - np.sum(absorbed**2, axis=1)
        return value, 2.0 * (shifted - (absorbed[:, None, :] @ self.absorbed_basis)[:, 0])


def project(forward: ForwardModel, theta: np.ndarray, data: StarData) -> Projection:
    """`Projection` of stars at their fitted parameters.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData

    Returns
    -------
    Projection
    """
    offset = np.empty(data.flux.shape)
    basis = np.empty((*theta.shape, data.flux.shape[1]))
    index = np.arange(theta.shape[1])
    for rows, part in data.chunks():
        white = part.whitener(forward.flux_and_jacobian(theta[rows])[1])
        slope, curvature = np.zeros_like(theta[rows]), np.zeros_like(theta[rows])
        for penalty in part.constraints.penalties(theta[rows], forward.layout):
            slope[:, penalty.column] += penalty.first
            curvature[:, penalty.column] += penalty.second
        measured = np.divide(-slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
        offset[rows] = (measured[:, None, :] @ white)[:, 0]
        # Half the Hessian, plus a small ridge, so that unconstrained directions are solvable.
        normal = white @ np.swapaxes(white, 1, 2)
        scale = normal[:, index, index] + 0.5 * curvature
        normal[:, index, index] += 0.5 * curvature + RIDGE * scale + 1e-300
        basis[rows] = np.linalg.solve(np.linalg.cholesky(normal), white)
    return Projection(offset, basis)
