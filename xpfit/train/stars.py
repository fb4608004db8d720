"""Per-star updates during training: labels, extinction and amplitude at a fixed model.

Damped Gauss-Newton (Levenberg-Marquardt) on the stellar loss of ZGR23 (eq. 13), many stars at a
time. A star moves only when its loss falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.forward import ForwardModel
from ..model.terms import flux_term, gaussian_term
from ..nn import chi2
from ..spectra import whiten

CHUNK = 4096
"""Stars handled together, which bounds the memory of the Jacobians."""

INITIAL_DAMPING = 1e-3
DAMPING_DOWN, DAMPING_UP = 0.2, 8.0
"""Factors on a star's damping after a step that was accepted or refused."""

MAX_STEP = 1.0
"""Longest step of one iteration, in standardised labels, ln E and ln varpi.

A longer one leaves the range where the linearised model means anything: ln E could run away to
where no flux is left, which a very bad star would even prefer.
"""


@dataclass
class StarConstraints:
    """What is known of the training stars besides their flux.

    Parameters
    ----------
    labels, label_err : ndarray, shape (n_star, n_label)
        Measured labels and errors, floors included.
    extinction, extinction_err : ndarray, shape (n_star,)
        Estimates of E; infinite error where unknown.
    """

    labels: np.ndarray
    label_err: np.ndarray
    extinction: np.ndarray
    extinction_err: np.ndarray

    def __getitem__(self, rows) -> StarConstraints:
        return StarConstraints(
            self.labels[rows],
            self.label_err[rows],
            self.extinction[rows],
            self.extinction_err[rows],
        )


def stellar_loss(
    forward: ForwardModel,
    theta: np.ndarray,
    flux: np.ndarray,
    whitener: np.ndarray,
    constraints: StarConstraints,
) -> np.ndarray:
    """Loss of ZGR23, eq. 13, for stars whose amplitude is free.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_label + 2)
    flux : ndarray, shape (n_star, n_obs)
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
    constraints : StarConstraints

    Returns
    -------
    ndarray, shape (n_star,)
        chi2 + ((E - E_obs) / s)^2 + sum_i ((Theta_i - Theta_obs,i) / s_i)^2 - 2 ln E. There is no
        term in the amplitude: its prior is flat in ln varpi.
    """
    value, _ = chi2(whiten(whitener, forward.flux(theta) - flux))
    return value + sum(term[0] for term in _constraint_terms(theta, constraints))


def update_stars(
    forward: ForwardModel,
    theta: np.ndarray,
    flux: np.ndarray,
    whitener: np.ndarray,
    constraints: StarConstraints,
    n_iterations: int,
) -> np.ndarray:
    """Improve every star's parameters by a few damped Gauss-Newton steps.

    Parameters
    ----------
    forward, theta, flux, whitener, constraints
        As for `stellar_loss`.
    n_iterations : int

    Returns
    -------
    ndarray, shape (n_star, n_label + 2)
        Updated parameters; no star's loss is higher than before.
    """
    updated = theta.copy()
    for start in range(0, len(theta), CHUNK):
        rows = slice(start, start + CHUNK)
        data = (flux[rows], whitener[rows], constraints[rows])
        updated[rows] = _update_chunk(forward, updated[rows], data, n_iterations)
    return updated


def _update_chunk(forward, theta, data, n_iterations):
    """Levenberg-Marquardt on stars that fit in memory together."""
    damping = np.full(len(theta), INITIAL_DAMPING)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = stellar_loss(forward, theta, *data)
        for _ in range(n_iterations):
            gradient, hessian = _loss_derivatives(forward, theta, *data)
            step = _damped_step(gradient, hessian, damping)
            trial = theta - step * _shortening(step, forward.label_scale)
            trial_loss = stellar_loss(forward, trial, *data)
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


def _shortening(step, label_scale):
    """Factor (n_star, 1), at most one, that keeps every step within `MAX_STEP`."""
    scale = np.concatenate([label_scale, np.ones(2)])
    length = np.max(np.abs(step) / scale, axis=1, keepdims=True)
    return 1.0 / np.maximum(length / MAX_STEP, 1.0)


def _loss_derivatives(forward, theta, flux, whitener, constraints):
    """Gradient and Gauss-Newton Hessian of `stellar_loss`."""
    _, gradient, hessian = flux_term(forward, theta, flux, whitener)
    k = forward.n_label
    labels, extinction, jacobian = _constraint_terms(theta, constraints)
    index = np.arange(k + 1)
    gradient[:, :k] += labels[1]
    gradient[:, k] += extinction[1] + jacobian[1]
    hessian[:, index[:k], index[:k]] += labels[2]
    hessian[:, k, k] += extinction[2]
    return gradient, hessian


def _constraint_terms(theta, constraints):
    """Value, gradient and Hessian diagonal of the labels', extinction's and Jacobian terms."""
    k = constraints.labels.shape[1]
    pulls, slopes, curvatures = gaussian_term(
        theta[:, :k], np.ones(1), constraints.labels, constraints.label_err
    )
    extinction = np.exp(theta[:, k])
    known = gaussian_term(
        extinction, extinction, constraints.extinction, constraints.extinction_err
    )
    jacobian = (-2.0 * theta[:, k], np.full(len(theta), -2.0))
    return (pulls.sum(axis=1), slopes, curvatures), known, jacobian
