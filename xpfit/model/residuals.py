"""The model covariance: how wrong the emulator itself is, learned from its residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..prepare import whiten_covariances
from ..space import CoefficientSpace, ObservationSpace
from ..spectra import Spectra

RANK = 30
"""Correlated components of the model covariance; the rest is independent between values.

On 2,500 validation stars neither scatters nor pulls differ between 30 and 70.
"""

CLIP = 4.0
"""Robust standard deviations beyond which a residual is pulled in, so that no star dominates."""

MIN_VARIANCE = 1e-8
"""Smallest independent variance (of the fractional residual), which keeps all positive definite."""

WEIGHT_SCALE = 0.01
"""Fractional error up to which stars count alike; noisier ones say little of the emulator."""

SHRINKAGE_STARS = 100.0
"""Stars whose weight the independent part has over the correlations: they count n / (n + this)."""


@dataclass
class ModelCovariance:
    """Covariance of the emulator's fractional error: low rank plus diagonal.

    Parameters
    ----------
    loadings : ndarray, shape (n_obs, n_component)
    diagonal : ndarray, shape (n_obs,)
        Independent variances.

    Notes
    -----
    M = loadings loadings^T + diag(diagonal). A star of predicted data vector f, of scale s (see
    `residual_scale`), gets s s^T M (element by element) in addition to its measured covariance.
    """

    loadings: np.ndarray
    diagonal: np.ndarray

    def matrix(self) -> np.ndarray:
        """M, shape (n_obs, n_obs)."""
        return self.loadings @ self.loadings.T + np.diag(self.diagonal)

    @classmethod
    def fit(
        cls,
        residual: np.ndarray,
        variance: np.ndarray,
        *,
        rank: int = RANK,
    ) -> ModelCovariance:
        """Learn from the residuals of many stars what their measurement errors do not explain.

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
        Each pair of channels is averaged over the stars that have both, with weights
        1 / (variance + `WEIGHT_SCALE`^2) of both: noisy stars would drown the emulator's error in
        the uncertainty of their own. What is left after taking off the measurement covariance has
        its negative eigenvalues cut; correlations are shrunk by n / (n + `SHRINKAGE_STARS`); the
        largest components are kept and what they miss of the variances goes to the diagonal.
        """
        known = np.isfinite(residual)
        index = np.arange(residual.shape[1])
        own = variance if variance.ndim == 2 else variance[:, index, index]
        weight = np.where(known, 1.0 / (own + WEIGHT_SCALE**2), 0.0)
        filled = _clipped(np.where(known, residual, 0.0) * np.sqrt(weight), known)
        total = weight.T @ weight
        pairs = np.where(total > 0, total, 1.0)
        weighted = filled * np.sqrt(weight)
        excess = weighted.T @ weighted / pairs
        if variance.ndim == 2:
            excess[index, index] -= (
                np.sum(weight**2 * np.where(known, own, 0.0), axis=0) / (pairs[index, index])
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
        seen = np.diag(count) > 0
        return cls(
            np.where(seen[:, None], loadings, 0.0),
            np.where(seen, np.maximum(rest, MIN_VARIANCE), 0.0),
        )

    def add_to(self, covariance: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Covariances with the emulator's own error.

        Parameters
        ----------
        covariance : ndarray, shape (n_star, n_obs, n_obs)
        scale : ndarray, shape (n_star, n_obs)
            From `residual_scale`.

        Returns
        -------
        ndarray, shape (n_star, n_obs, n_obs)
        """
        return covariance + scale[:, :, None] * scale[:, None, :] * self.matrix()


def residual_scale(space: ObservationSpace, predicted: np.ndarray) -> np.ndarray:
    """What residuals are fractions of.

    Parameters
    ----------
    space : ObservationSpace
    predicted : ndarray, shape (n_star, n_obs)

    Returns
    -------
    ndarray, shape (n_star, n_obs)
        The predicted flux itself; of coefficients, which may vanish, the norm of their band's.
    """
    if not isinstance(space, CoefficientSpace):
        return predicted
    scale, start = predicted.copy(), 0
    for basis in (space.bp_basis, space.rp_basis):
        block = slice(start, start + len(basis))
        scale[:, block] = np.linalg.norm(predicted[:, block], axis=1, keepdims=True)
        start += len(basis)
    return scale


def with_model_covariance(spectra: Spectra, covariance: ModelCovariance) -> Spectra:
    """Spectra whose whiteners know of the emulator's own error too.

    Parameters
    ----------
    spectra : Spectra
    covariance : ModelCovariance

    Returns
    -------
    Spectra
        With full whiteners. The scale of a star is taken from what was observed, as in ZGR23's
        calibration terms (eq. 2): where that is mostly noise, the noise outweighs this term.
    """
    used = np.isfinite(spectra.flux_err)
    inflated = covariance.add_to(
        measured_covariance(spectra), residual_scale(spectra.space, spectra.flux)
    )
    index = np.arange(used.shape[1])
    variance = inflated[:, index, index]
    return replace(
        spectra,
        whitener=whiten_covariances(inflated, ~used).whitener,
        flux_err=np.where(used, np.sqrt(np.abs(variance)), np.inf),
    )


def measured_covariance(spectra: Spectra) -> np.ndarray:
    """Covariances that the whiteners stand for; zero where there is no weight.

    Parameters
    ----------
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_star, n_obs, n_obs)
    """
    whitener, used = spectra.whitener, np.isfinite(spectra.flux_err)
    covariance = np.zeros((*used.shape, used.shape[1]))
    if whitener.ndim == 2:
        index = np.arange(used.shape[1])
        covariance[:, index, index] = np.where(used, spectra.flux_err, 0.0) ** 2
        return covariance
    for one, inverse_root, channels in zip(covariance, whitener, used, strict=True):
        root = inverse_root[:, channels]
        one[np.ix_(channels, channels)] = np.linalg.inv(root.T @ root)
    return covariance


def _clipped(residual: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Residuals pulled in to `CLIP` robust standard deviations of their channel."""
    with np.errstate(invalid="ignore"):
        masked = np.ma.masked_array(residual, ~known)
        limit = CLIP * 1.4826 * np.ma.filled(np.ma.median(np.ma.abs(masked), axis=0), np.inf)
    limit = np.where(limit > 0, limit, np.inf)
    return np.clip(residual, -limit, limit)
