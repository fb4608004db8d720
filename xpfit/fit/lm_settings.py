"""Settings of the Levenberg-Marquardt algorithm, shared by the array code and the Numba kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PIVOT_FLOOR = 1e-12
"""Smallest pivot of a Cholesky factorisation, as a fraction of the diagonal element."""


class LMSettings(NamedTuple):
    """Levenberg-Marquardt with the exact Hessian where that is positive definite.

    Attributes
    ----------
    scale : ndarray, shape (n_parameter,)
        Typical size of changes in each parameter (`ForwardModel.scale`), which standardises them.
    initial_damping : float
        Damping is in units of the diagonal of the Gauss-Newton Hessian.
    ratio_good, ratio_poor : float
        Actual over predicted reduction of the loss, above which the damping is decreased and below
        which it is increased.
    damping_decrease, damping_increase, damping_increase_rejected : float
        Factors of the damping after a good step, a poor step and a rejected step.
    min_damping, max_damping : float
        A descent whose damping rises above the latter is stuck, and ends.
    max_step : float
        Longest step in any parameter, in units of `scale`.
    atol, rtol : float
        A descent ends with a step whose predicted reduction is below ``atol + rtol * |loss|``, ...
    max_final_damping : float
        ... if its damping was no larger than this.
    """

    scale: np.ndarray
    initial_damping: float = 1e-2
    ratio_good: float = 0.75
    ratio_poor: float = 0.25
    damping_decrease: float = 0.2
    damping_increase: float = 2.0
    damping_increase_rejected: float = 8.0
    min_damping: float = 1e-10
    max_damping: float = 1e8
    max_step: float = 1.0
    atol: float = 1e-6
    rtol: float = 1e-12
    max_final_damping: float = 1e-3
