"""Excess errors: what known errors do not explain, found on held-out stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ..statistics import robust_width

N_BINS, MIN_PER_BIN, MIN_KNOWN = 6, 30, 10
"""Number of bins, stars per bin, and stars with a label for an error of the bin's own."""


@dataclass(frozen=True)
class ExcessErrors:
    """Errors of several labels as functions of one of them.

    Parameters
    ----------
    at : ndarray, shape (n_bin,)
        Centres of the bins: errors are interpolated between them, and constant beyond.
    errors : ndarray, shape (n_label, n_bin)
    """

    at: np.ndarray
    errors: np.ndarray

    @classmethod
    def learn(cls, at: np.ndarray, residual: np.ndarray, error: np.ndarray) -> ExcessErrors:
        """Find the excess errors for which pulls have width 1.

        Parameters
        ----------
        at : ndarray, shape (n_star,)
        residual : ndarray, shape (n_star, n_label)
            Prediction minus label; NaN where that is unknown.
        error : ndarray, shape (n_star, n_label)
            Known errors of predictions and labels, added in quadrature.

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

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """Errors of stars, shape (n_star, n_label)."""
        return np.column_stack([np.interp(at, self.at, row) for row in self.errors])


def excess_error(residual: np.ndarray, error: np.ndarray) -> float:
    """Error for which, added in quadrature to the known ones, pulls have width 1.

    Parameters
    ----------
    residual, error : ndarray, shape (n_star,)
        NaN where unknown.

    Returns
    -------
    float
        Close to zero where the known errors are large enough.
    """
    known = np.isfinite(residual) & np.isfinite(error)
    residual, error = residual[known], error[known]

    def too_wide(excess: float) -> float:
        pull = residual / np.sqrt(error**2 + excess**2)
        return robust_width(pull) - 1.0

    largest = 3.0 * float(np.std(residual))
    least = 1e-6 * largest
    return brentq(too_wide, least, largest) if too_wide(least) > 0 > too_wide(largest) else least
