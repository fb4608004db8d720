"""The Levenberg-Marquardt algorithm for many stars at once, in array code.

The slow twin of `xpfit.fit.kernel`, and the code that runs on a GPU. All descents of a batch take a
step together; each has its own damping and stopping criterion, and finished ones leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..arrays import Array
from .lm_settings import PIVOT_FLOOR, LMSettings
from .objective import Evaluation, Posterior

COMPACT_BELOW = 0.75
"""Finished descents are removed from a batch when less than this fraction is unfinished."""


@dataclass
class Descents(Evaluation):
    """Current state of descents: minimisations of one star's loss from one start each.

    Attributes
    ----------
    loss, chi2, ln_prior, gradient, information, gauss_newton, hessian : ndarray
        As in `xpfit.fit.objective.Evaluation`, at `theta`.
    star : ndarray of int64, shape (n_descent,)
        Row of the star.
    theta : ndarray, shape (n_descent, n_parameter)
    damping : ndarray, shape (n_descent,)
    n_iterations : ndarray of int64, shape (n_descent,)
    finished : ndarray of bool, shape (n_descent,)
        At an optimum, or stuck: no further steps are taken.
    """

    star: Array
    theta: Array
    damping: Array
    n_iterations: Array
    finished: Array

    def __len__(self) -> int:
        return int(self.star.shape[0])

    @classmethod
    def empty(cls, star: Array, theta: Array, settings: LMSettings) -> Descents:
        """Descents at their starts, not yet evaluated, in NumPy arrays."""
        n, p = theta.shape
        shapes: dict[str, tuple[int, ...]] = {"gradient": (p,)}
        shapes |= dict.fromkeys(("information", "gauss_newton", "hessian"), (p, p))
        values: dict[str, Any] = {
            f.name: np.full((n, *shapes.get(f.name, ())), np.nan) for f in fields(Evaluation)
        }
        return cls(
            **values | {"loss": np.full(n, np.inf)},
            star=np.ascontiguousarray(star, dtype=np.int64),
            theta=np.array(theta, dtype=float),
            damping=np.full(n, settings.initial_damping),
            n_iterations=np.zeros(n, dtype=np.int64),
            finished=np.zeros(n, dtype=bool),
        )

    def map(self, function: Callable[[Any], Any]) -> Descents:
        """Apply a function to every array."""
        return Descents(*(function(getattr(self, f.name)) for f in fields(self)))

    def take(self, rows: Array) -> Descents:
        """Copies of the descents in some rows."""
        return self.map(lambda x: array_namespace(x).take(x, rows, axis=0))

    def put(self, rows: Array, others: Descents) -> None:
        """Overwrite the descents in some rows, in place; both in NumPy arrays."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(others, f.name)

    def set_evaluation(self, evaluation: Evaluation) -> None:
        """Set the loss and its derivatives at `theta`."""
        for f in fields(evaluation):
            setattr(self, f.name, getattr(evaluation, f.name))


def iterate(
    objective: Posterior, settings: LMSettings, start: Descents, n_iterations: int
) -> Iterator[tuple[Array, Descents]]:
    """Up to `n_iterations` steps of every descent that is not finished.

    Parameters
    ----------
    objective : Posterior
        One row per descent.
    settings : LMSettings
        With `scale` in the namespace of the arrays.
    start : Descents
        Evaluated at their `theta`.
    n_iterations : int

    Yields
    ------
    rows : ndarray of int
        Rows of `start` ...
    descents : Descents
        ... and the new state of these descents. Every row that took a step comes once.
    """
    xp = array_namespace(start.theta)
    rows = xp.nonzero(~start.finished)[0]
    objective, descents = objective[rows], start.take(rows)
    for _ in range(n_iterations):
        if not len(descents):
            break
        _step(objective, settings, descents)
        n_unfinished = len(descents) - int(xp.count_nonzero(descents.finished))
        if n_unfinished <= COMPACT_BELOW * len(descents):
            done, left = xp.nonzero(descents.finished)[0], xp.nonzero(~descents.finished)[0]
            yield xp.take(rows, done, axis=0), descents.take(done)
            rows = xp.take(rows, left, axis=0)
            objective, descents = objective[left], descents.take(left)
    yield rows, descents


def _step(objective: Posterior, settings: LMSettings, descents: Descents) -> None:
    """One damped Newton step of every descent that is not finished, in place.

    The Hessian is the exact one where that, damped, is positive definite, else Gauss-Newton's.
    """
    xp, scale = array_namespace(descents.theta), settings.scale
    loss, damping = descents.loss, descents.damping
    gradient = descents.gradient * scale
    gauss_newton = descents.gauss_newton * scale[:, None] * scale
    hessian = descents.hessian * scale[:, None] * scale
    unit = xp.eye(scale.shape[0], dtype=gradient.dtype, device=device(gradient))
    diagonal = damping[:, None, None] * gauss_newton * unit
    step, exact = _solve(hessian + diagonal, -gradient)
    other, possible = _solve(gauss_newton + diagonal, -gradient)
    possible = possible | exact
    step = xp.where(exact[:, None], step, other)
    used = xp.where(exact[:, None, None], hessian, gauss_newton)

    moving = ~descents.finished & possible
    longest = xp.max(xp.abs(step), axis=1)
    slope = xp.sum(gradient * step, axis=1)
    small = -0.5 * slope < settings.atol + settings.rtol * xp.abs(loss)
    converged = small & (longest <= settings.max_step) & (damping <= settings.max_final_damping)
    shorten = xp.minimum(xp.ones_like(longest), settings.max_step / longest)
    shorten = xp.where(longest > 0.0, shorten, xp.ones_like(longest))
    step = step * shorten[:, None]
    curvature = xp.sum(step * (used @ step[:, :, None])[:, :, 0], axis=1)
    predicted_reduction = -shorten * slope - 0.5 * curvature

    theta = xp.where(moving[:, None], descents.theta + step * scale, descents.theta)
    trial = objective.evaluate(theta)
    accepted = moving & (trial.loss <= loss)
    ratio = (loss - trial.loss) / predicted_reduction
    ratio = xp.where(predicted_reduction > 0.0, ratio, xp.zeros_like(ratio))
    decreased = xp.clip(damping * settings.damping_decrease, settings.min_damping, None)
    updated = xp.where(ratio < settings.ratio_poor, damping * settings.damping_increase, damping)
    updated = xp.where(ratio > settings.ratio_good, decreased, updated)
    updated = xp.where(accepted, updated, damping * settings.damping_increase_rejected)
    damping = xp.where(moving, updated, damping)
    descents.damping = damping
    descents.theta = xp.where(accepted[:, None], theta, descents.theta)
    for f in fields(trial):
        old, new = getattr(descents, f.name), getattr(trial, f.name)
        mask = xp.reshape(accepted, (-1, *(1 for _ in old.shape[1:])))
        setattr(descents, f.name, xp.where(mask, new, old))
    descents.n_iterations = descents.n_iterations + xp.astype(moving, descents.n_iterations.dtype)
    stuck = ~possible | (damping > settings.max_damping)
    descents.finished = descents.finished | converged | stuck


def _solve(matrix: Array, vector: Array) -> tuple[Array, Array]:
    """Solve small symmetric systems by Cholesky, all at once, column by column.

    Parameters
    ----------
    matrix : ndarray, shape (n_descent, n, n)
    vector : ndarray, shape (n_descent, n)

    Returns
    -------
    solution : ndarray, shape (n_descent, n)
        Meaningless where the matrix is not positive definite.
    positive : ndarray of bool, shape (n_descent,)
        Whether the matrix is positive definite.
    """
    xp, n = array_namespace(matrix), vector.shape[1]
    factor: list[list[Any]] = [[None] * n for _ in range(n)]
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
    solution: list[Any] = []
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
