"""Maximum a posteriori of one star by scipy.optimize: the reference engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError
from scipy.optimize import minimize

from .objective import Objective

GRADIENT_TOLERANCE = 1e-2
"""The optimiser stops where the gradient, in standardised parameters, is shorter than this."""

CONVERGED_DECREMENT = 1e-2
"""Largest fall of the loss that a further Newton step may promise for a star to have converged.

A hundredth of a unit of chi2 moves no parameter by more than a tenth of its error.
"""

HESSIAN_FLOOR = 1e-6
"""Curvature in standardised parameters below which a direction counts as flat."""


@dataclass
class Optimum:
    """Best point that the optimiser found for one star.

    Attributes
    ----------
    theta : ndarray, shape (n_parameter,)
    loss : float
    converged : bool
    n_iterations : int
    """

    theta: np.ndarray
    loss: float
    converged: bool
    n_iterations: int


def maximise_posterior(
    objective: Objective, start: np.ndarray, scale: np.ndarray, max_iterations: int
) -> Optimum:
    """Descend from one start.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (n_parameter,)
        (labels, ln E, ln varpi[, xi]).
    scale : ndarray, shape (n_parameter,)
        Lengths that make the parameters comparable.
    max_iterations : int

    Returns
    -------
    Optimum
        Never worse than the start.

    Notes
    -----
    Trust-region Newton (`scipy.optimize.minimize`, "trust-exact"), with the exact gradient and the
    Hessian of `Objective.hessian`.
    """
    try:
        found = minimize(
            lambda x: objective.value(x * scale),
            start / scale,
            method="trust-exact",
            jac=lambda x: objective.gradient(x * scale) * scale,
            hess=lambda x: objective.hessian(x * scale) * np.outer(scale, scale),
            options={"gtol": GRADIENT_TOLERANCE, "maxiter": max_iterations},
        )
        theta, n_iterations = found.x * scale, int(found.nit)
    except (LinAlgError, ValueError):
        # A Hessian with overflow in it: the star is reported as not converged, where it started.
        theta, n_iterations = start, 0
    return Optimum(
        theta,
        objective.value(theta),
        newton_decrement(objective, theta, scale) < CONVERGED_DECREMENT,
        n_iterations,
    )


def newton_decrement(objective: Objective, theta: np.ndarray, scale: np.ndarray) -> float:
    """Fall of the loss that a Newton step would promise: g^T |H|^-1 g / 2.

    Parameters
    ----------
    objective : Objective
    theta, scale : ndarray, shape (n_parameter,)

    Returns
    -------
    float
        Independent of how parameters are scaled, unlike the gradient; infinite where the loss or
        its derivatives are not finite.
    """
    gradient = objective.gradient(theta) * scale
    hessian = objective.hessian(theta) * np.outer(scale, scale)
    if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
        return np.inf
    values, vectors = np.linalg.eigh(hessian)
    curvature = np.maximum(np.abs(values), HESSIAN_FLOOR)
    return float(0.5 * np.sum((vectors.T @ gradient) ** 2 / curvature))
