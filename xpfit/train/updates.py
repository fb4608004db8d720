"""Per-star updates during training: stellar parameters at a fixed model.

Whatever the method, a star's loss is never higher after an update than before.
"""

from __future__ import annotations

import numpy as np

from ..data.spectra import whiten
from ..model.forward import ForwardModel
from ..model.gauge import best_ln_parallax
from ..nn import Adam
from .stars import StarData, loss_derivatives, stellar_loss

INITIAL_DAMPING = 1e-6
DAMPING_DOWN, DAMPING_UP = 0.1, 30.0
"""Factors on the damping of a star after a step that was accepted or refused.

Damping must start small: where flux ties parameters to each other, labels alone hold the rest, and
even 1e-3 of the curvature of the flux would outweigh them.
"""

MAX_STEP = 1.0
"""Longest step of one iteration, in standardised labels, ln E, ln varpi and xi.

A longer one leaves the range where the linearised model means anything: ln E could run away to
where no flux is left, which a very bad star would even prefer.
"""

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
    updated, amplitude = theta.copy(), forward.n_label + 1
    predicted = whiten(data.whitener, forward.flux(theta))
    observed = whiten(data.whitener, data.flux)
    updated[:, amplitude] = best_ln_parallax(theta[:, amplitude], predicted, observed)
    return updated


def xi_variance(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """Variance of xi from the curvature of the stellar loss, shape (n_star,)."""
    variance = np.empty(len(theta))
    for rows, part in data.chunks(np.arange(len(theta))):
        _, _, hessian = loss_derivatives(forward, theta[rows], part)
        # The loss is -2 ln p: half its Hessian is the inverse covariance.
        variance[rows] = 2.0 * np.linalg.inv(hessian)[:, -1, -1]
    return variance


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
    for rows, part in data.chunks(np.arange(len(theta))):
        updated[rows] = _gauss_newton_chunk(forward, updated[rows], part, n_iterations)
    return updated


def _gauss_newton_chunk(forward, theta, data, n_iterations):
    """Levenberg-Marquardt on stars that fit in memory together."""
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
            damping *= np.where(better, DAMPING_DOWN, DAMPING_UP)
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
        A star whose loss would rise takes half the step, a quarter, and so on: bright stars' losses
        are so steep that no one rate suits them and faint ones. No star's loss is higher than
        before.
    """
    updated = theta.copy()
    for rows, part in data.chunks(np.arange(len(theta))):
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradient, _ = loss_derivatives(forward, theta[rows], part)
            step = learning_rate * gradient
            step *= _shortening(step, forward.scale)
            waiting = np.flatnonzero(np.isfinite(step).all(axis=1) & step.any(axis=1))
            for _ in range(MAX_HALVINGS):
                trial = theta[rows[waiting]] - step[waiting]
                better = stellar_loss(forward, trial, part[waiting]) <= loss[waiting]
                updated[rows[waiting[better]]] = trial[better]
                waiting = waiting[~better]
                if not len(waiting):
                    break
                step[waiting] *= 0.5
    return updated


class AdamDescent:
    """Many Adam steps of every star at a fixed model (ZGR23, table 1, phase 6).

    Adam overshoots on its way; what counts is the best point that each star has visited.

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
        """Note how good the present positions are, then move on; returns their mean loss."""
        loss, gradient = np.empty(len(self.best)), np.empty_like(self.best)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, part in data.chunks(np.arange(len(loss))):
                loss[rows], gradient[rows], _ = loss_derivatives(
                    forward, self._position[rows], part
                )
        better = loss < self._best_loss
        self.best[better], self._best_loss[better] = self._position[better], loss[better]
        # A star that ran into overflow goes back to its best point.
        lost = ~np.isfinite(gradient).all(axis=1)
        self._position[lost], gradient[lost] = self.best[lost], 0.0
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
        """Go on from what `state` returned."""
        descent = cls(state["best"])
        descent._position, descent._best_loss = state["position"], state["best_loss"]
        descent._adam.restore(state)
        return descent
