"""Random numbers, from one generator per star, so that results do not depend on other stars."""

from __future__ import annotations

import numpy as np

SEED = 1
"""Default seed of predictions, the same wherever they are made."""


def star_generator(source_id: int, seed: int) -> np.random.Generator:
    """Generator of one star.

    Parameters
    ----------
    source_id : int
        Stars of equal id, those without one (0) among them, get equal numbers. That does no harm:
        numbers of different stars need not be independent.
    seed : int

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.Generator(np.random.SFC64([seed, int(source_id) % 2**64]))


class StarDraws:
    """Uniform random numbers of several stars, in place of a generator in `Network.forward`.

    Parameters
    ----------
    source_id : ndarray of int, shape (n_star,)
    seed : int
    n : int
        How many numbers each star needs in all.
    """

    def __init__(self, source_id: np.ndarray, seed: int, n: int):
        self._numbers = np.empty((len(source_id), n), dtype=np.float32)
        for row, star in zip(self._numbers, source_id, strict=True):
            star_generator(star, seed).random(dtype=np.float32, out=row)
        self._n_used = 0

    def random(self, shape: tuple[int, int]) -> np.ndarray:
        """The next numbers, in [0, 1), of all stars: (n_star, n_number)."""
        first, self._n_used = self._n_used, self._n_used + shape[1]
        return self._numbers[:, first : self._n_used]
