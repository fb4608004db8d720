"""Maximum a posteriori of one star by scipy.optimize: the reference engine."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError
from scipy.optimize import minimize

from .objective import Evaluation, Objective

GRADIENT_TOLERANCE = 1e-3
"""The optimiser stops where the gradient, in standardised parameters, is shorter than this."""


def maximise_posterior(
    objective: Objective, start: np.ndarray, scale: np.ndarray, max_iterations: int
) -> tuple[np.ndarray, int]:
    """Descend from one start.

    Parameters
    ----------
    objective : Objective
        Of one star.
    start : ndarray, shape (n_parameter,)
        (labels, ln E, ln varpi[, xi]).
    scale : ndarray, shape (n_parameter,)
        Lengths that make the parameters comparable.
    max_iterations : int

    Returns
    -------
    theta : ndarray, shape (n_parameter,)
        Never worse than the start.
    n_iterations : int

    Notes
    -----
    Trust-region Newton (`scipy.optimize.minimize`, "trust-exact"), with exact gradient and Hessian.
    """
    last: dict[bytes, Evaluation] = {}

    def evaluate(x):
        key = x.tobytes()
        if key not in last:
            last.clear()
            last[key] = objective.evaluate((x * scale)[None])
        return last[key]

    try:
        found = minimize(
            lambda x: evaluate(x).loss[0],
            start / scale,
            method="trust-exact",
            jac=lambda x: evaluate(x).gradient[0] * scale,
            hess=lambda x: evaluate(x).hessian[0] * np.outer(scale, scale),
            options={"gtol": GRADIENT_TOLERANCE, "maxiter": max_iterations},
        )
    except (LinAlgError, ValueError):
        # A Hessian with overflow in it: the star stays where it started.
        return start, 0
    return found.x * scale, int(found.nit)
