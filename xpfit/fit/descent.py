"""Levenberg-Marquardt descents of many stars at once, in array code.

The slow twin of `xpfit.fit.kernel`, and what runs on a GPU. All stars of a batch step together;
each has its own damping and its own end, and those that are done leave the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from array_api_compat import array_namespace, device

from .lm_settings import PIVOT_FLOOR, LMSettings
from .objective import Evaluation, Objective

COMPACT_BELOW = 0.75
"""Share of a batch that must still be moving for it not to be made smaller."""


@dataclass
class Descents:
    """Where M descents stand, each of one star from one start.

    Attributes
    ----------
    star : ndarray of int64, shape (n_descent,)
        Row of the star.
    theta : ndarray, shape (n_descent, n_parameter)
    loss, chi2, ln_prior, gradient, information, gauss_newton, hessian : ndarray
        As in `xpfit.fit.objective.Evaluation`, at `theta`.
    damping : ndarray, shape (n_descent,)
    n_iterations : ndarray of int64, shape (n_descent,)
    finished : ndarray of bool, shape (n_descent,)
        At an optimum, or stuck: further steps do nothing.
    """

    star: np.ndarray
    theta: np.ndarray
    loss: np.ndarray
    chi2: np.ndarray
    ln_prior: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    gauss_newton: np.ndarray
    hessian: np.ndarray
    damping: np.ndarray
    n_iterations: np.ndarray
    finished: np.ndarray

    def __len__(self) -> int:
        return self.star.shape[0]

    @classmethod
    def empty(cls, star: np.ndarray, theta: np.ndarray, settings: LMSettings) -> Descents:
        """Descents that stand at their starts and were not evaluated yet, in NumPy arrays."""
        n, p = theta.shape
        scalars = (np.full(n, np.inf), np.full(n, np.nan), np.full(n, np.nan))
        matrices = tuple(np.full((n, p, p), np.nan) for _ in range(3))
        return cls(
            np.asarray(star, dtype=np.int64),
            np.array(theta, dtype=float),
            *scalars,
            np.full((n, p), np.nan),
            *matrices,
            np.full(n, settings.initial_damping),
            np.zeros(n, dtype=np.int64),
            np.zeros(n, dtype=bool),
        )

    def map(self, function) -> Descents:
        """Descents with a function applied to every array."""
        return Descents(*(function(getattr(self, f.name)) for f in fields(self)))

    def take(self, rows) -> Descents:
        """Some of the descents, as copies."""
        return self.map(lambda x: array_namespace(x).take(x, rows, axis=0))

    def put(self, rows: np.ndarray, others: Descents) -> None:
        """Overwrite some of the descents, in place; both in NumPy arrays."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(others, f.name)

    def set_evaluation(self, there: Evaluation) -> None:
        """Take over an evaluation at `theta`."""
        for f in fields(there):
            setattr(self, f.name, getattr(there, f.name))


def iterate(objective: Objective, settings: LMSettings, start: Descents, n_iterations: int):
    """Up to `n_iterations` steps of every descent that is not finished.

    Parameters
    ----------
    objective : Objective
        One row per descent.
    settings : LMSettings
        With `scale` in the namespace of the arrays.
    start : Descents
        Evaluated where they stand.
    n_iterations : int

    Yields
    ------
    rows : ndarray of int
        Rows of `start` ...
    there : Descents
        ... and where those descents stand now. Every row that moved comes once.
    """
    xp = array_namespace(start.theta)
    rows = xp.nonzero(~start.finished)[0]
    objective, now = objective[rows], start.take(rows)
    for _ in range(n_iterations):
        if not len(now):
            break
        _step(objective, settings, now)
        n_moving = len(now) - int(xp.count_nonzero(now.finished))
        if n_moving <= COMPACT_BELOW * len(now):
            done, moving = xp.nonzero(now.finished)[0], xp.nonzero(~now.finished)[0]
            yield xp.take(rows, done, axis=0), now.take(done)
            rows = xp.take(rows, moving, axis=0)
            objective, now = objective[moving], now.take(moving)
    yield rows, now


def _step(objective: Objective, settings: LMSettings, now: Descents) -> None:
    """One damped Newton step of every descent that is not finished, in place.

    The Hessian is the exact one where that, damped, is positive definite, else Gauss-Newton's.
    """
    xp, scale = array_namespace(now.theta), settings.scale
    gradient = now.gradient * scale
    gauss_newton = now.gauss_newton * scale[:, None] * scale
    hessian = now.hessian * scale[:, None] * scale
    unit = xp.eye(scale.shape[0], dtype=gradient.dtype, device=device(gradient))
    damping = now.damping[:, None, None] * gauss_newton * unit
    step, exact = _solve(hessian + damping, -gradient)
    other, possible = _solve(gauss_newton + damping, -gradient)
    possible = possible | exact
    step = xp.where(exact[:, None], step, other)
    used = xp.where(exact[:, None, None], hessian, gauss_newton)

    moving = ~now.finished & possible
    longest = xp.max(xp.abs(step), axis=1)
    slope = xp.sum(gradient * step, axis=1)
    small = -0.5 * slope < settings.atol + settings.rtol * xp.abs(now.loss)
    converged = small & (longest <= settings.max_step) & (now.damping <= settings.max_final_damping)
    shorten = xp.minimum(xp.ones_like(longest), settings.max_step / longest)
    shorten = xp.where(longest > 0.0, shorten, xp.ones_like(longest))
    step = step * shorten[:, None]
    curvature = xp.sum(step * (used @ step[:, :, None])[:, :, 0], axis=1)
    predicted_reduction = -shorten * slope - 0.5 * curvature

    trial = xp.where(moving[:, None], now.theta + step * scale, now.theta)
    there = objective.evaluate(trial)
    accepted = moving & (there.loss <= now.loss)
    ratio = xp.where(
        predicted_reduction > 0.0,
        (now.loss - there.loss) / predicted_reduction,
        xp.zeros_like(predicted_reduction),
    )
    shrunk = xp.clip(now.damping * settings.damping_decrease, settings.min_damping, None)
    after = xp.where(
        ratio < settings.ratio_poor, now.damping * settings.damping_increase, now.damping
    )
    after = xp.where(ratio > settings.ratio_good, shrunk, after)
    after = xp.where(accepted, after, now.damping * settings.damping_increase_rejected)
    now.damping = xp.where(moving, after, now.damping)
    now.theta = xp.where(accepted[:, None], trial, now.theta)
    for f in fields(there):
        old, new = getattr(now, f.name), getattr(there, f.name)
        mask = xp.reshape(accepted, (-1, *(1 for _ in old.shape[1:])))
        setattr(now, f.name, xp.where(mask, new, old))
    now.n_iterations = now.n_iterations + xp.astype(moving, now.n_iterations.dtype)
    now.finished = now.finished | ~possible | converged | (now.damping > settings.max_damping)


def _solve(matrix: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve small symmetric systems by Cholesky, all at once, column by column.

    Parameters
    ----------
    matrix : ndarray, shape (n_descent, n, n)
    vector : ndarray, shape (n_descent, n)

    Returns
    -------
    solution : ndarray, shape (n_descent, n)
        Meaningless where the matrix is not positive definite, ...
    positive : ndarray of bool, shape (n_descent,)
        ... which this tells.
    """
    xp, n = array_namespace(matrix), vector.shape[1]
    factor = [[None] * n for _ in range(n)]
    positive = xp.ones(matrix.shape[0], dtype=xp.bool, device=device(matrix))
    for j in range(n):
        for i in range(j, n):
            rest = matrix[:, i, j]
            for k in range(j):
                rest = rest - factor[i][k] * factor[j][k]
            if i == j:
                good = rest > PIVOT_FLOOR * xp.abs(matrix[:, j, j])
                positive = positive & good
                factor[j][j] = xp.sqrt(xp.where(good, rest, xp.ones_like(rest)))
            else:
                factor[i][j] = rest / factor[j][j]
    solution = []
    for j in range(n):
        rest = vector[:, j]
        for k in range(j):
            rest = rest - factor[j][k] * solution[k]
        solution.append(rest / factor[j][j])
    for j in reversed(range(n)):
        rest = solution[j]
        for k in range(j + 1, n):
            rest = rest - factor[k][j] * solution[k]
        solution[j] = rest / factor[j][j]
    return xp.stack(solution, axis=1), positive
