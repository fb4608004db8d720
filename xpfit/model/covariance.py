"""The model covariance: the error of the emulator itself, learned from its residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..constants import MAD_TO_SIGMA
from .luminosity import LuminosityError

RANK = 30
"""Correlated components of the model covariance; the rest is independent between values.

On 2,500 validation stars neither scatters nor pulls differ between 30 and 70.
"""

CLIP = 4.0
"""Robust standard deviations at which residuals are clipped, so that no star dominates."""

MIN_VARIANCE = 1e-8
"""Smallest independent variance of fractional residuals: the covariance is positive definite."""

WEIGHT_SCALE = 0.01
"""Fractional error up to which stars have equal weights; noisier stars have less."""

SHRINKAGE_STARS = 100.0
"""Correlations from n stars are multiplied by n / (n + this)."""


@dataclass
class ModelCovariance:
    """Covariance of the emulator's fractional error: low rank plus diagonal.

    Parameters
    ----------
    loadings : ndarray, shape (n_obs, n_component)
    diagonal : ndarray, shape (n_obs,)
        Independent variances.
    luminosity : LuminosityError, optional
        Error of the luminosity, in models that know luminosities.

    Notes
    -----
    M = loadings loadings^T + diag(diagonal). A star whose data vector has the scale s (see
    `xpfit.data.ObservationSpace.scale`) gets s s^T M (element by element) in addition to its
    measured covariance. The error of the luminosity, which all values have in common, is a term of
    the loss instead (`xpfit.model.terms.parallax_penalty`).
    """

    loadings: np.ndarray
    diagonal: np.ndarray
    luminosity: LuminosityError | None = None

    def matrix(self) -> Array:
        """M, shape (n_obs, n_obs)."""
        return self.loadings @ self.loadings.T + np.diag(self.diagonal)

    @classmethod
    def fit(
        cls, residual: np.ndarray, variance: np.ndarray, *, rank: int = RANK
    ) -> ModelCovariance:
        """Estimate it from the part of the residuals that measurement errors do not explain.

        Parameters
        ----------
        residual : ndarray, shape (n_star, n_obs)
            (observed - predicted) / scale; NaN where there is no measurement.
        variance : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
            Measurement variances or covariances in the same unit; finite where there is a
            residual.
        rank : int
            Correlated components to keep.

        Returns
        -------
        ModelCovariance
            Zero in channels that no star has.

        Notes
        -----
        Each pair of channels is averaged over the stars that have both, with weights 1 / (variance
        + `WEIGHT_SCALE`^2) of both: with equal weights the measurement errors of noisy stars would
        dominate. The measurement covariance is subtracted, and negative eigenvalues of the
        remainder are set to zero; correlations are shrunk by n / (n + `SHRINKAGE_STARS`); the
        largest components are kept, and the rest of the variances goes to the diagonal.
        """
        known = np.isfinite(residual)
        index = np.arange(residual.shape[1])
        measured = variance if variance.ndim == 2 else variance[:, index, index]
        weight = np.where(known, 1.0 / (measured + WEIGHT_SCALE**2), 0.0)
        filled = _clipped(np.where(known, residual, 0.0) * np.sqrt(weight), known)
        total = weight.T @ weight
        pairs = np.where(total > 0, total, 1.0)
        weighted = filled * np.sqrt(weight)
        excess = weighted.T @ weighted / pairs
        if variance.ndim == 2:
            excess[index, index] -= (
                np.sum(weight**2 * np.where(known, measured, 0.0), axis=0) / (pairs[index, index])
            )
        else:
            both = weight[:, :, None] * weight[:, None, :]
            excess -= np.sum(both * np.where(both > 0, variance, 0.0), axis=0) / pairs
        count = known.T.astype(float) @ known
        shrunk = excess * (count / (count + SHRINKAGE_STARS))
        shrunk[index, index] = excess[index, index]
        values, vectors = np.linalg.eigh(shrunk)
        values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
        loadings = vectors * np.sqrt(np.maximum(values, 0.0))
        rest = np.diag(shrunk) - np.sum(loadings**2, axis=1)
        observed = np.diag(count) > 0
        return cls(
            np.where(observed[:, None], loadings, 0.0),
            np.where(observed, np.maximum(rest, MIN_VARIANCE), 0.0),
        )

    def root(self) -> Array:
        """Lower triangular matrix whose product with its transpose is M, (n_obs, n_obs)."""
        parts = np.concatenate([self.loadings.T, np.diag(np.sqrt(self.diagonal))])
        upper: Array = np.linalg.qr(parts, mode="r")
        return upper.T.copy()


def _clipped(residual: np.ndarray, known: np.ndarray) -> Array:
    """Residuals clipped to `CLIP` robust standard deviations of their channel."""
    with np.errstate(invalid="ignore"):
        masked: Any = np.ma.masked_array(np.abs(residual), ~known)
        median = np.ma.median(masked, axis=0)  # type: ignore[no-untyped-call]
    limit = CLIP * MAD_TO_SIGMA * np.ma.filled(median, np.inf)
    limit = np.where(limit > 0, limit, np.inf)
    return np.clip(residual, -limit, limit)
