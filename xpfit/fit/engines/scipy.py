"""The reference engine: scipy.optimize, star by star."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError
from scipy.optimize import minimize

from ..data import FitData
from ..descent import Descents
from ..objective import Evaluation, Objective
from .array import ArrayEngine, ArrayStars

GRADIENT_TOLERANCE = 1e-3
"""The optimiser stops where the gradient, in standardised parameters, is shorter than this."""


class ScipyEngine(ArrayEngine):
    """scipy.optimize for every star: the reference."""

    name = "scipy"
    can_pause = False
    thread_safe = False

    def load(self, data: FitData) -> ScipyStars:
        """See `Engine.load`."""
        return ScipyStars(self, data)


class ScipyStars(ArrayStars):
    """Stars of a `ScipyEngine` (see `LoadedStars`)."""

    def _iterate(
        self, objective: Objective, descents: Descents, which: np.ndarray, n_iterations: int
    ) -> None:
        scale = self.engine.lm_settings.scale
        for m in which:
            star = objective[descents.star[m : m + 1]]
            theta, n_steps = minimise(star, descents.theta[m], scale, n_iterations)
            row = np.array([m])
            descent = descents.take(row)
            descent.theta = theta[None]
            descent.set_evaluation(star.evaluate(descent.theta))
            descent.n_iterations = descent.n_iterations + n_steps
            descents.put(row, descent)


def minimise(
    objective: Objective, start: np.ndarray, scale: np.ndarray, max_iterations: int
) -> tuple[np.ndarray, int]:
    """Minimise the loss of one star from one start.

    Parameters
    ----------
    objective : Objective
        Of one star.
    start : ndarray, shape (n_parameter,)
        (labels, ln E, ln varpi[, xi]).
    scale : ndarray, shape (n_parameter,)
        Typical size of changes in each parameter, which standardises them.
    max_iterations : int

    Returns
    -------
    theta : ndarray, shape (n_parameter,)
        Its loss is never above that of the start.
    n_iterations : int

    Notes
    -----
    Trust-region Newton (`scipy.optimize.minimize`, "trust-exact"), with exact gradient and Hessian.
    """
    last: dict[bytes, Evaluation] = {}

    def evaluate(x: np.ndarray) -> Evaluation:
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
        # The Hessian overflows: the star stays at its start.
        return start, 0
    return found.x * scale, int(found.nit)
