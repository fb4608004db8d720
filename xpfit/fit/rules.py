"""How a descent proceeds: the numbers that the array code and the Numba core share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PIVOT_FLOOR = 1e-12
"""Share of a diagonal element that must be left of it in a Cholesky factorisation."""


class Rules(NamedTuple):
    """Levenberg-Marquardt with the exact Hessian where that is positive definite.

    Attributes
    ----------
    scale : ndarray, shape (n_parameter,)
        Lengths that make the parameters comparable (`ForwardModel.scale`).
    start_damping : float
        Damping is in units of the diagonal of the Gauss-Newton Hessian.
    good, poor : float
        Share of the promised fall of the loss above which the model of the loss is trusted more,
        and below which it is trusted less.
    shrink, stretch, grow : float
        What damping is multiplied with after a good step, a poor one, and one that was refused.
    min_damping, max_damping : float
        A descent whose damping rises above the latter is stuck, and ends.
    max_step : float
        Longest step in any parameter, in units of `scale`.
    tolerance, rounding : float
        A descent ends with a step that promises a fall of the loss by less than `tolerance` plus
        `rounding` times the loss, ...
    end_damping : float
        ... if it was damped by no more than this.
    """

    scale: np.ndarray
    start_damping: float = 1e-2
    good: float = 0.75
    poor: float = 0.25
    shrink: float = 0.2
    stretch: float = 2.0
    grow: float = 8.0
    min_damping: float = 1e-10
    max_damping: float = 1e8
    max_step: float = 1.0
    tolerance: float = 1e-6
    rounding: float = 1e-12
    end_damping: float = 1e-3
