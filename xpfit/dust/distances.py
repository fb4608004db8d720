"""What a parallax says about a distance."""

from __future__ import annotations

import numpy as np

LENGTH_SCALE = 1350.0
"""pc, of the prior d^2 exp(-d / L) on distances (Bailer-Jones 2015, PASP 127, 994)."""

MAX_DISTANCE = 30_000.0
"""pc; the posterior is cut off here."""

N_NODES = 12
"""Distances that stand for the posterior of a star, each for the same probability."""

N_GRID, N_SIGMA = 200, 5.0
"""Points of the grid on which a posterior is integrated, and errors of the parallax it spans."""


def distance_nodes(parallax: np.ndarray, parallax_err: np.ndarray) -> np.ndarray:
    """Distances of equal posterior probability, given a parallax.

    Parameters
    ----------
    parallax, parallax_err : ndarray, shape (n_star,)
        mas; finite, errors positive.

    Returns
    -------
    ndarray, shape (n_star, N_NODES)
        pc, rising: the quantiles (k + 1/2) / N_NODES of the posterior with the prior
        d^2 exp(-d / L), which matters where the parallax is below some 5 of its errors.
    """
    parallax, error = np.asarray(parallax, float)[:, None], np.asarray(parallax_err, float)[:, None]
    largest = np.maximum(parallax + N_SIGMA * error, 2e3 / MAX_DISTANCE)
    smallest = np.maximum(parallax - N_SIGMA * error, 1e3 / MAX_DISTANCE)
    ln_first = np.log(1e3 / largest)
    step = (np.log(1e3 / np.minimum(smallest, 0.999 * largest)) - ln_first) / (N_GRID - 1)
    ln_distance = ln_first + step * np.arange(N_GRID)
    distance = np.exp(ln_distance)
    # One more power of the distance: the grid is even in its logarithm.
    ln_p = 3.0 * ln_distance - distance / LENGTH_SCALE
    ln_p -= 0.5 * ((1e3 / distance - parallax) / error) ** 2
    p = np.exp(ln_p - ln_p.max(axis=1, keepdims=True))
    below = np.cumsum(p, axis=1) - 0.5 * p
    below /= p.sum(axis=1, keepdims=True)
    wanted = (np.arange(N_NODES) + 0.5) / N_NODES
    return np.exp([np.interp(wanted, q, x) for q, x in zip(below, ln_distance, strict=True)])
