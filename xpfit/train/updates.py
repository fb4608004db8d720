"""Updates of the stellar parameters during training, at a fixed model.

A star's loss is never higher after an update than before, whatever the method.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..model import ForwardModel
from ..model.gauge import best_ln_parallax
from ..nn import Adam
from .stars import StarData, loss_derivatives, loss_gradient, stellar_loss

INITIAL_DAMPING = 1e-6
DAMPING_DECREASE, DAMPING_INCREASE = 0.1, 30.0
"""Factors on the damping of a star after a step that was accepted or rejected.

Damping must start small: where the flux makes parameters degenerate, only the measured labels
constrain their combination, and even 1e-3 of the curvature of the flux would outweigh them.
"""

MAX_STEP = 1.0
"""Longest step of one iteration, in standardised labels, ln E, ln varpi and xi.

A longer one leaves the range where the linearised model is valid: ln E could diverge to where no
flux is left, which lowers the loss of a star that fits very badly.
"""

FIXED_LABELS = 1e-3
ITERATIONS_AT_MEASURED_LABELS = 5
"""Factor on the errors of labels that fixes them, and Gauss-Newton steps with it."""

WIDE = 1e6
"""Variance of a prior of xi that says nothing, but keeps matrices regular."""

MIN_FREE_EXTINCTION = 0.005
"""mag; least E of a star without an estimate when a fit begins: ln E cannot return from zero."""

FREE_ITERATIONS = 5
"""Gauss-Newton steps of such stars before phases that do not take any."""

MAX_HALVINGS = 20
"""How often a step of gradient descent is halved until the star's loss falls."""


def fit_amplitude(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """Fit every star's amplitude to its flux, all else fixed.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
    """
    updated, amplitude = theta.copy(), forward.layout.parallax
    predicted = data.whitener(forward.flux(theta))
    observed = data.whitener(data.flux)
    updated[:, amplitude] = best_ln_parallax(theta[:, amplitude], predicted, observed)
    return updated


def at_measured_labels(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """Extinction and amplitude of stars that fit best at their measured labels.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
        Where to start.
    data : StarData

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
        With the measured labels.
    """
    measured, start = data.constraints, theta.copy()
    start[:, forward.layout.labels] = measured.labels
    fixed = replace(measured, label_err=FIXED_LABELS * measured.label_err)
    return gauss_newton(
        forward, start, replace(data, constraints=fixed), ITERATIONS_AT_MEASURED_LABELS
    )


def restart_free_extinction(
    forward: ForwardModel, theta: np.ndarray, data: StarData, *, fit: bool
) -> np.ndarray:
    """Let E of the stars without an estimate leave zero.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData
    fit : bool
        Fit these stars too.

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
    """
    free, column = np.flatnonzero(data.constraints.free_extinction), forward.layout.extinction
    updated = theta.copy()
    updated[free, column] = np.maximum(theta[free, column], np.log(MIN_FREE_EXTINCTION))
    if len(free) and fit:
        updated[free] = gauss_newton(forward, updated[free], data[free], FREE_ITERATIONS)
    return updated


def xi_variance(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """Variance of xi from the curvature of the stellar loss, shape (n_star,)."""
    variance = np.empty(len(theta))
    for rows, part in data.chunks():
        _, _, hessian = loss_derivatives(forward, theta[rows], part)
        # The loss is -2 ln p: half its Hessian is the inverse covariance.
        variance[rows] = 2.0 * np.linalg.inv(hessian)[:, -1, -1]
    return variance


def xi_likelihood(
    forward: ForwardModel, theta: np.ndarray, data: StarData
) -> tuple[np.ndarray, np.ndarray]:
    """What each star's data say of its xi, without the prior of xi.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
        Where the loss is taken to be quadratic.
    data : StarData

    Returns
    -------
    xi, information : ndarray, shape (n_star,)
        Best value, all other parameters free, and its inverse variance; zero and zero where the
        data say next to nothing.
    """
    wide = replace(data.constraints, xi_mean=0.0, xi_variance=WIDE)
    best, information = np.zeros(len(theta)), np.zeros(len(theta))
    for rows, part in replace(data, constraints=wide).chunks():
        _, gradient, hessian = loss_derivatives(forward, theta[rows], part)
        inverse = np.linalg.inv(hessian)
        at = theta[rows, -1] - (inverse[:, -1:] @ gradient[:, :, None])[:, 0, 0]
        precision = 0.5 / inverse[:, -1, -1]
        own = precision - 1.0 / WIDE
        known = own > 1e-3
        information[rows] = np.where(known, own, 0.0)
        best[rows] = np.where(known, at * precision / np.where(known, own, 1.0), 0.0)
    return best, information


def gauss_newton(
    forward: ForwardModel, theta: np.ndarray, data: StarData, n_iterations: int
) -> np.ndarray:
    """Improve every star by a few damped Gauss-Newton steps (Levenberg-Marquardt).

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData
    n_iterations : int

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
        Updated parameters; no star's loss is higher than before.
    """
    updated = theta.copy()
    for rows, part in data.chunks():
        updated[rows] = _gauss_newton_chunk(forward, updated[rows], part, n_iterations)
    return updated


def _gauss_newton_chunk(forward, theta, data, n_iterations):
    """Levenberg-Marquardt steps of stars that fit in memory together."""
    damping = np.full(len(theta), INITIAL_DAMPING)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = stellar_loss(forward, theta, data)
        for _ in range(n_iterations):
            _, gradient, hessian = loss_derivatives(forward, theta, data)
            step = _damped_step(gradient, hessian, damping)
            trial = theta - step * _shortening(step, forward.scale)
            trial_loss = stellar_loss(forward, trial, data)
            better = trial_loss < loss
            theta = np.where(better[:, None], trial, theta)
            loss = np.where(better, trial_loss, loss)
            damping *= np.where(better, DAMPING_DECREASE, DAMPING_INCREASE)
    return theta


def _damped_step(gradient, hessian, damping):
    """Solve (H + damping diag(H)) step = gradient for every star."""
    index = np.arange(hessian.shape[1])
    damped = hessian.copy()
    damped[:, index, index] += damping[:, None] * hessian[:, index, index] + 1e-10
    return np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]


def _shortening(step, scale):
    """Factor (n_star, 1), at most one, that keeps every step within `MAX_STEP`."""
    length = np.max(np.abs(step) / scale, axis=1, keepdims=True)
    return 1.0 / np.maximum(length / MAX_STEP, 1.0)


def gradient_descent(
    forward: ForwardModel, theta: np.ndarray, data: StarData, learning_rate: float
) -> np.ndarray:
    """Move every star once against its gradient (ZGR23's star steps, SGD without momentum).

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData
    learning_rate : float

    Returns
    -------
    ndarray, shape (n_star, n_stellar)
        A star whose loss would rise takes half the step, a quarter, and so on: the loss of bright
        stars is so steep that no single rate is right for bright and faint ones. No star's loss is
        higher than before.
    """
    return np.concatenate(
        [_descend_chunk(forward, theta[rows], part, learning_rate) for rows, part in data.chunks()]
    )


def _descend_chunk(forward, theta, data, learning_rate):
    """Gradient descent of stars that fit in memory together."""
    updated = theta.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        loss, gradient = loss_gradient(forward, theta, data)
        step = learning_rate * gradient
        step *= _shortening(step, forward.scale)
        remaining = np.flatnonzero(np.isfinite(step).all(axis=1) & step.any(axis=1))
        for _ in range(MAX_HALVINGS):
            trial = theta[remaining] - step[remaining]
            part = data if len(remaining) == len(data) else data[remaining]
            better = stellar_loss(forward, trial, part) <= loss[remaining]
            updated[remaining[better]] = trial[better]
            remaining = remaining[~better]
            if not len(remaining):
                break
            step[remaining] *= 0.5
    return updated


class AdamDescent:
    """Many Adam steps of every star at a fixed model (ZGR23, table 1, phase 6).

    Adam overshoots on its way; the result is the best point that each star has visited.

    Parameters
    ----------
    theta : ndarray, shape (n_star, n_stellar)
        Where the stars start.

    Attributes
    ----------
    best : ndarray, shape (n_star, n_stellar)
        Best point of each star so far: no star's loss is higher than at its start.
    """

    def __init__(self, theta: np.ndarray):
        self.best = theta.copy()
        self._position = theta.copy()
        self._best_loss = np.full(len(theta), np.inf)
        self._adam = Adam()

    def step(self, forward: ForwardModel, data: StarData, learning_rate: float) -> float:
        """Evaluate the current positions, then take a step; returns the mean of the lowest losses.

        Parameters
        ----------
        forward : ForwardModel
        data : StarData
        learning_rate : float
        """
        loss, gradient = np.empty(len(self.best)), np.empty_like(self.best)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, part in data.chunks():
                loss[rows], gradient[rows] = loss_gradient(forward, self._position[rows], part)
        better = loss < self._best_loss
        self.best[better], self._best_loss[better] = self._position[better], loss[better]
        # A star whose prediction overflows returns to its best point.
        overflow = ~np.isfinite(gradient).all(axis=1)
        self._position[overflow], gradient[overflow] = self.best[overflow], 0.0
        self._position = self._adam.step(self._position, gradient, learning_rate)
        return float(np.mean(self._best_loss))

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on."""
        return {
            "best": self.best,
            "position": self._position,
            "best_loss": self._best_loss,
            **self._adam.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> AdamDescent:
        """Continue from what `state` returned."""
        descent = cls(state["best"])
        descent._position, descent._best_loss = state["position"], state["best_loss"]
        descent._adam.restore(state)
        return descent
