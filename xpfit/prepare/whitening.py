"""Covariances -> whiteners, eigenvalues clipped (ZGR23, section 2.1, eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from ..data import Triangular, as_whitener

FLUX_EIGENVALUE_FLOOR = 1e-9
"""Smallest eigenvalue of a flux covariance, in (1e-18 W m-2 nm-1)^2 (ZGR23)."""


@dataclass
class Whitening:
    """Whiteners of N stars and how well-conditioned their covariances were.

    Attributes
    ----------
    whitener : Triangular
        Of the clipped covariance; masked values have no weight.
    min_eigenvalue, max_eigenvalue : ndarray, shape (n_star,)
        Of the covariance before clipping. Where the Cholesky factor was used they are bounds, the
        inverse of the inverse's trace from below and the trace from above.
    """

    whitener: Triangular
    min_eigenvalue: np.ndarray
    max_eigenvalue: np.ndarray


def whiten_covariances(
    covariance: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    floor: float = FLUX_EIGENVALUE_FLOOR,
    max_condition: float = np.inf,
) -> Whitening:
    """Whiteners of covariances, with eigenvalues below a floor raised to it.

    Parameters
    ----------
    covariance : ndarray, shape (n_star, n_obs, n_obs)
        Symmetric; need not be positive definite.
    mask : ndarray of bool, shape (n_star, n_obs), optional
        True for values that get zero weight, whatever their rows and columns contain.
    floor : float
        Smallest eigenvalue.
    max_condition : float
        Raise eigenvalues also to the largest divided by this.

    Returns
    -------
    Whitening

    Notes
    -----
    C = U D U^T, L = D^(-1/2) U^T (ZGR23, eqs. 3 and 4), made triangular. The inverse Cholesky
    factor of C is a whitener with the same chi2 at a fraction of the cost as long as nothing is to
    be clipped, which it shows itself: no eigenvalue of C can be below the inverse of
    tr(L^T L) = tr(C^-1). Where that is not above the floor, or the condition is capped, the
    eigenvalues are computed.
    """
    n_star, n_obs, _ = covariance.shape
    if mask is None:
        mask = np.zeros((n_star, n_obs), dtype=bool)
    clean = _isolate_masked(covariance, mask, floor)
    lower = np.empty_like(clean)
    lowest, highest = np.zeros(n_star), np.trace(clean, axis1=1, axis2=2)
    if np.isinf(max_condition):
        for i in range(n_star):
            lowest[i] = _whiten_by_cholesky(clean[i], lower[i])
    rest = np.flatnonzero(~(lowest > floor))
    if len(rest):
        lower[rest], lowest[rest], highest[rest] = _whiten_by_eigenvalues(
            clean[rest], floor, max_condition
        )
    lower *= ~mask[:, None, :]
    return Whitening(Triangular(lower), lowest, highest)


def _isolate_masked(covariance: np.ndarray, mask: np.ndarray, floor: float) -> np.ndarray:
    """Copy in which masked values are uncorrelated, with a variance that clips nothing."""
    keep = ~mask
    pairs = keep[:, :, None] & keep[:, None, :]
    clean = np.where(pairs, covariance, 0.0)
    index = np.arange(covariance.shape[1])
    scale = np.max(clean[:, index, index], axis=1, initial=2.0 * floor)
    clean[:, index, index] += np.where(mask, scale[:, None], 0.0)
    return clean


def _whiten_by_cholesky(covariance: np.ndarray, out: np.ndarray) -> float:
    """Write the inverse Cholesky factor to `out`; return a lower bound on the eigenvalues, or 0."""
    factor, info = dpotrf(covariance, lower=1, clean=1)
    if info:
        return 0.0
    out[:], info = dtrtri(factor, lower=1)
    return 0.0 if info else 1.0 / np.vdot(out, out)


def _whiten_by_eigenvalues(
    covariance: np.ndarray, floor: float, max_condition: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigen-clipped whiteners, made triangular; smallest and largest eigenvalues before."""
    values, vectors = np.linalg.eigh(covariance)
    clipped = np.maximum(values, np.maximum(floor, values[:, -1:] / max_condition))
    whitener = np.swapaxes(vectors, 1, 2) / np.sqrt(clipped)[:, :, None]
    return as_whitener(whitener).array, values[:, 0], values[:, -1]
