"""Which surveys are tied to the reference by stars in common, directly or through others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_COMMON = 20
"""Stars in common, at every step to the reference, from which an offset is fitted."""

MIN_COMMON_SLOPE = 100
"""Stars in common, at every step to the reference, from which a slope is fitted too."""


def common_counts(measured: np.ndarray) -> np.ndarray:
    """Number of stars that each pair of surveys has in common.

    Parameters
    ----------
    measured : ndarray of bool, shape (n_star, n_survey)

    Returns
    -------
    ndarray of int, shape (n_survey, n_survey)
    """
    counts = measured.astype(np.int64)
    return counts.T @ counts


def chains(counts: np.ndarray, reference: int) -> tuple[np.ndarray, np.ndarray]:
    """The surveys through which each is best tied to the reference.

    Parameters
    ----------
    counts : ndarray of int, shape (n_survey, n_survey)
        Stars in common.
    reference : int

    Returns
    -------
    parent : ndarray of int, shape (n_survey,)
        Next survey on the way to the reference, whose own is itself: a spanning tree of the
        largest numbers of stars in common.
    weakest : ndarray of int, shape (n_survey,)
        Stars in common at the weakest step of that way; of the reference its own stars.
    """
    n = len(counts)
    parent = np.full(n, reference)
    weakest = np.zeros(n, dtype=int)
    weakest[reference] = counts[reference, reference]
    known = [reference]
    while len(known) < n:
        left = [s for s in range(n) if s not in known]
        pairs = [(counts[p, s], p, s) for p in known for s in left]
        count, p, s = max(pairs, key=lambda pair: pair[0])
        parent[s], weakest[s] = p, min(count, weakest[p])
        known.append(s)
    return parent, weakest


def robust_start(
    values: np.ndarray, variance: np.ndarray, parent: Sequence[int], reference: int
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and scatters from medians of differences to the next survey on the way.

    Parameters
    ----------
    values, variance : ndarray, shape (n_star, n_survey)
        Infinite variance where not measured.
    parent : sequence of int
        From `chains`.
    reference : int

    Returns
    -------
    offset, scatter2 : ndarray, shape (n_survey,)
    """
    n = values.shape[1]
    offset, scatter2, done = np.zeros(n), np.zeros(n), [reference]
    while len(done) < n:
        for s in [s for s in range(n) if s not in done and parent[s] in done]:
            both = np.isfinite(variance[:, s]) & np.isfinite(variance[:, parent[s]])
            difference = values[both, s] - values[both, parent[s]]
            middle = np.median(difference)
            spread2 = (1.4826 * np.median(np.abs(difference - middle))) ** 2
            noise2 = np.median(variance[both, s] + variance[both, parent[s]])
            offset[s] = offset[parent[s]] + middle
            scatter2[s] = max(spread2 - noise2, 0.01 * spread2)
            done.append(s)
    return offset, scatter2
