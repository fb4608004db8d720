"""Errors that known ones do not explain, found on stars that were not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ..constants import MAD_TO_SIGMA

N_BINS, MIN_PER_BIN, MIN_KNOWN = 6, 30, 10
"""Bins in which errors are found, stars for each, and those with a label for a bin of its own."""


@dataclass(frozen=True)
class ExcessErrors:
    """Errors of several labels as functions of one of them.

    Parameters
    ----------
    at : ndarray, shape (n_bin,)
        Where they are known; between, they are interpolated, and beyond, constant.
    errors : ndarray, shape (n_label, n_bin)
    """

    at: np.ndarray
    errors: np.ndarray

    @classmethod
    def learn(cls, at: np.ndarray, residual: np.ndarray, error: np.ndarray) -> ExcessErrors:
        """Find the errors with which pulls have the width 1.

        Parameters
        ----------
        at : ndarray, shape (n_star,)
        residual : ndarray, shape (n_star, n_label)
            Prediction minus label; NaN where that is unknown.
        error : ndarray, shape (n_star, n_label)
            Known errors of both.

        Returns
        -------
        ExcessErrors
        """
        n_bins = int(np.clip(len(at) // MIN_PER_BIN, 1, N_BINS))
        bins = np.array_split(np.argsort(at), n_bins)
        found = np.empty((residual.shape[1], n_bins))
        for label, (values, known) in enumerate(zip(residual.T, error.T, strict=True)):
            for i, rows in enumerate(bins):
                enough = np.isfinite(values[rows]).sum() >= MIN_KNOWN
                found[label, i] = excess_error(
                    *((values[rows], known[rows]) if enough else (values, known))
                )
        return cls(np.array([np.nanmedian(at[rows]) for rows in bins]), found)

    def of(self, at: np.ndarray) -> np.ndarray:
        """Errors of stars, shape (n_star, n_label)."""
        return np.column_stack([np.interp(at, self.at, row) for row in self.errors])


def excess_error(residual: np.ndarray, error: np.ndarray) -> float:
    """Error that makes pulls have the width 1, together with the given ones.

    Parameters
    ----------
    residual, error : ndarray, shape (n_star,)
        NaN where unknown.

    Returns
    -------
    float
        Next to nothing where the given errors are large enough.
    """
    known = np.isfinite(residual) & np.isfinite(error)
    residual, error = residual[known], error[known]

    def too_wide(excess: float) -> float:
        pull = residual / np.sqrt(error**2 + excess**2)
        return MAD_TO_SIGMA * float(np.median(np.abs(pull - np.median(pull)))) - 1.0

    largest = 3.0 * float(np.std(residual))
    least = 1e-6 * largest
    return brentq(too_wide, least, largest) if too_wide(least) > 0 > too_wide(largest) else least
