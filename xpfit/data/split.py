"""Division of stars into those that a model is trained on and those that it is validated with."""

from __future__ import annotations

import numpy as np

_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Of the finaliser of the generator SplitMix64 (Steele, Lea & Flood 2014)."""


def place_of_id(source_id: np.ndarray) -> np.ndarray:
    """A number between 0 and 1 that is as good as random, but always the same for a source id.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)

    Returns
    -------
    ndarray, shape (n_star,)
        Uniform in [0, 1), whatever regularity the ids have (their high bits are a place on the
        sky).
    """
    bits = np.asarray(source_id).astype(np.int64).view(np.uint64)
    with np.errstate(over="ignore"):
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_MULTIPLIERS[0])
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_MULTIPLIERS[1])
    bits = bits ^ (bits >> np.uint64(31))
    place: np.ndarray = (bits >> np.uint64(11)) * 2.0**-53
    return place


def is_held_out(source_id: np.ndarray, fraction: float) -> np.ndarray:
    """Stars that belong to the validation set, in every data set that they are in.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
    fraction : float
        Of all stars, between 0 and 1. A larger fraction holds out the same stars and more.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    held_out: np.ndarray = place_of_id(source_id) < fraction
    return held_out
