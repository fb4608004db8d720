"""Epochs of one star compared with their mean: chi2 with the exact covariances.

The mean is that of generalised least squares. Spectra sampled more closely than the instrument
resolves have singular covariances: what is compared are the directions that have noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .data import EpochSpectra

MIN_VARIANCE = 1e-4
"""Directions of smaller variance, relative to the largest of the correlation matrix, are left out.

They are features finer than the instrument resolves, in which no star varies.
"""

MIN_MEAN_VARIANCE = 1e-12
"""The same for the mean, of which nothing but rounding is left out."""

MIN_EIGENVALUE = 1e-10
"""Smallest eigenvalue of the mean's information, relative to the largest, that is not rounding."""


@dataclass(frozen=True)
class Whitened:
    """Epochs as independent values of unit variance.

    Attributes
    ----------
    matrices : ndarray, shape (n_epoch, n_value, n_obs)
        What turns differences of data vectors into such values; an epoch with fewer values than
        others has rows of zeros.
    values : ndarray, shape (n_epoch, n_value)
        Of the data vectors minus `origin`.
    n_values : ndarray of int, shape (n_epoch,)
    origin : ndarray, shape (n_obs,)
    basis : ndarray, shape (n_obs, n_basis)
        The mean minus `origin` is a combination of these.
    """

    matrices: np.ndarray
    values: np.ndarray
    n_values: np.ndarray
    origin: np.ndarray
    basis: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Mean of the epochs of one star, and how they differ from it.

    Attributes
    ----------
    source_id : int
    whitened : Whitened
    flux : ndarray, shape (n_obs,)
        Mean data vector; zero where no epoch has weight.
    covariance : ndarray, shape (n_obs, n_obs)
        Of the mean.
    used : ndarray of bool, shape (n_obs,)
        Values that any epoch has.
    residual : ndarray, shape (n_epoch, n_value)
        Epochs minus mean, whitened.
    leverage : ndarray, shape (n_epoch, n_value, n_basis)
        Share of the epochs in the mean: the covariance of `residual` is the identity minus the
        products of its rows.
    chi2 : float
        Of the epochs about their mean.
    dof : int
        Values less those that the mean is fitted to. If the epochs have all directions in common,
        (n_epoch - 1) times the number of directions.
    """

    source_id: int
    whitened: Whitened
    flux: np.ndarray
    covariance: np.ndarray
    used: np.ndarray
    residual: np.ndarray
    leverage: np.ndarray
    chi2: float
    dof: int

    def __len__(self) -> int:
        return len(self.residual)

    @property
    def p_value(self) -> float:
        """Probability of a larger chi2 if the star is constant; NaN without anything to compare."""
        return p_value(self.chi2, self.dof)

    @property
    def epoch_chi2(self) -> np.ndarray:
        """Contribution of each epoch to chi2, shape (n_epoch,)."""
        return np.sum(self.residual**2, axis=1)

    @property
    def epoch_dof(self) -> np.ndarray:
        """Expected contribution of each epoch, shape (n_epoch,)."""
        return self.whitened.n_values - np.sum(self.leverage**2, axis=(1, 2))


def p_value(chi2: float, dof: int) -> float:
    """Probability of a larger chi2; NaN without degrees of freedom."""
    return float(stats.chi2.sf(chi2, dof)) if dof > 0 else np.nan


def compare_epochs(epochs: EpochSpectra, channels: np.ndarray | None = None) -> Comparison:
    """Compare the epochs of a star with their mean.

    Parameters
    ----------
    epochs : EpochSpectra
        Epochs may lack a band or single values.
    channels : ndarray of bool, shape (n_obs,), optional
        Values of the data vector to use, such as those that a model was trained on; all by default.

    Returns
    -------
    Comparison

    Notes
    -----
    With L_e the whitener of epoch e, ``mu = (sum L_e^T L_e)^-1 sum L_e^T L_e f_e``, and
    ``chi2 = sum |L_e (f_e - mu)|^2``. Of a constant star with Gaussian noise, chi2 is distributed
    exactly as its name says, and independent of mu.
    """
    used = epochs.used if channels is None else epochs.used & channels
    whitened = whiten_epochs(epochs.flux, epochs.covariance, used)
    design = whitened.matrices @ whitened.basis
    information = np.tensordot(design, design, ((0, 1), (0, 1)))
    eigenvalues, vectors = np.linalg.eigh(information)
    known = eigenvalues > MIN_EIGENVALUE * eigenvalues.max(initial=0.0)
    root = vectors[:, known] / np.sqrt(eigenvalues[known])
    leverage = design @ root
    projected = np.tensordot(leverage, whitened.values, ((0, 1), (0, 1)))
    residual = whitened.values - leverage @ projected
    spread = whitened.basis @ root
    # What has been left out of the comparison has the noise of the plain mean.
    rest = whitened.basis @ vectors[:, ~known] / np.sqrt(len(used))
    any_used = used.any(axis=0)
    return Comparison(
        source_id=epochs.source_id,
        whitened=whitened,
        flux=np.where(any_used, whitened.origin + spread @ projected, 0.0),
        covariance=spread @ spread.T + rest @ rest.T,
        used=any_used,
        residual=residual,
        leverage=leverage,
        chi2=float(np.sum(residual**2)),
        dof=int(whitened.n_values.sum() - known.sum()),
    )


def whiten_epochs(flux: np.ndarray, covariance: np.ndarray, used: np.ndarray) -> Whitened:
    """Whiten the epochs of one star.

    Parameters
    ----------
    flux : ndarray, shape (n_epoch, n_obs)
    covariance : ndarray, shape (n_epoch, n_obs, n_obs)
        Positive semi-definite.
    used : ndarray of bool, shape (n_epoch, n_obs)

    Returns
    -------
    Whitened
        Epochs with the same values have their directions in common, those of their mean covariance.
    """
    n_epoch, n_obs = flux.shape
    weight = used.sum(axis=0)
    origin = np.sum(np.where(used, flux, 0.0), axis=0) / np.maximum(weight, 1)
    variance = np.where(used, np.diagonal(covariance, axis1=1, axis2=2), 0.0).sum(axis=0)
    scale = np.sqrt(np.where(weight > 0, variance / np.maximum(weight, 1), 1.0))
    correlation = covariance / (scale[:, None] * scale)
    matrices = np.zeros((n_epoch, int(used.sum(axis=1).max()), n_obs))
    n_values, bases = np.zeros(n_epoch, dtype=int), {}
    patterns, pattern_of = np.unique(used, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        channels, rows = np.flatnonzero(pattern), np.flatnonzero(pattern_of.ravel() == i)
        if not len(channels):
            continue
        own = correlation[np.ix_(rows, channels, channels)]
        whitener, bases[tuple(channels)] = _whiten(own)
        n_values[rows] = whitener.shape[1]
        matrices[rows[:, None, None], np.arange(whitener.shape[1])[:, None], channels] = (
            whitener / scale[channels]
        )
    matrices = matrices[:, : n_values.max()]
    values = (matrices @ (np.where(used, flux, origin) - origin)[:, :, None])[:, :, 0]
    return Whitened(matrices, values, n_values, origin, scale[:, None] * _joined(bases, n_obs))


def _whiten(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whiteners (n, n_value, n_channel), and a basis (n_channel, n_basis), of epochs alike."""
    values, vectors = np.linalg.eigh(covariance.mean(axis=0))
    kept, all_noisy = (values > limit * values[-1] for limit in (MIN_VARIANCE, MIN_MEAN_VARIANCE))
    directions = vectors[:, kept] / np.sqrt(values[kept])
    near_identity = directions.T @ covariance @ directions
    lower = np.linalg.cholesky(0.5 * (near_identity + np.swapaxes(near_identity, 1, 2)))
    whitener = np.linalg.solve(
        lower, np.broadcast_to(directions.T, (len(lower), *directions.T.shape))
    )
    return whitener, vectors[:, all_noisy] * np.sqrt(values[all_noisy])


def _joined(bases: dict[tuple[int, ...], np.ndarray], n_obs: int) -> np.ndarray:
    """Basis of what epochs with different values have in common, shape (n_obs, n_basis)."""
    if not bases:
        return np.zeros((n_obs, 0))
    largest = max(bases, key=len)
    if set(largest).issuperset(channel for channels in bases for channel in channels):
        bases = {largest: bases[largest]}
    parts = []
    for channels, basis in bases.items():
        parts.append(np.zeros((n_obs, basis.shape[1])))
        parts[-1][list(channels)] = basis
    if len(parts) == 1:
        return parts[0]
    left, values, _ = np.linalg.svd(np.concatenate(parts, axis=1), full_matrices=False)
    kept = values > np.sqrt(MIN_MEAN_VARIANCE) * values[0]
    return left[:, kept] * values[kept]
