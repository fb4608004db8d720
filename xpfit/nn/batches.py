"""Minibatches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def minibatches(n_samples: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices of one epoch: every sample once, in random order.

    Parameters
    ----------
    n_samples, batch_size : int
        The last batch may be smaller.
    rng : numpy.random.Generator

    Yields
    ------
    ndarray of int, shape (<= batch_size,)

    Raises
    ------
    ValueError
        If `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    order = rng.permutation(n_samples)
    for start in range(0, n_samples, batch_size):
        yield order[start : start + batch_size]
