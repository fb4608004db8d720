"""Detection of spectra unlike the training set, from their reconstruction by an auto-encoder.

Three statistics are sensitive to different anomalies: chi2 of the residuals, with the correlations
that they have in the training set, to deviations at many wavelengths; the largest residual, given
all others, to deviations at one, such as a band; and the density of the latent variables to spectra
that are reconstructed well, but where there are no stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model import GaussianMixture

FALSE_ALARMS = 0.02
"""Share of training-set stars that are flagged."""

N_COMPONENTS = 40
"""Gaussians of the density of the latent variables."""

TRIMMED = 0.01
"""Share of the training stars that is left out of the covariance of residuals."""

SHRINKAGE = 0.02
"""Shrinkage of that covariance towards its diagonal."""

LEVELS = np.geomspace(0.5, 2e-3, 16)
"""Tail probabilities at which each statistic is tabulated."""


@dataclass
class OutlierDetector:
    """Scores spectra by how unlike the training set they are.

    Parameters
    ----------
    mean : ndarray, shape (n_input,)
        Of the training stars' residuals, in units of their errors.
    precision : ndarray, shape (n_input, n_input)
        Inverse covariance of these.
    weights, means, covariances : ndarray
        Of the mixture of Gaussians of the latent variables.
    tails : ndarray, shape (3, n_level)
        Values that each statistic exceeds in a share `LEVELS` of held-out stars.
    limit : float
        Score above which a star is flagged.
    """

    mean: np.ndarray
    precision: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    tails: np.ndarray
    limit: float

    @classmethod
    def learn(
        cls,
        latent: np.ndarray,
        residual: np.ndarray,
        held_out: np.ndarray,
        rng: np.random.Generator,
    ) -> OutlierDetector:
        """Learn the distributions of residuals and latent variables.

        Parameters
        ----------
        latent : ndarray, shape (n_star, n_latent)
        residual : ndarray, shape (n_star, n_input)
            In units of errors and scatter; zero where unknown.
        held_out : ndarray of int
            Rows that the auto-encoder was not trained on, by which tails are tabulated.
        rng : numpy.random.Generator

        Returns
        -------
        OutlierDetector
        """
        used = np.isfinite(latent).all(axis=1)
        mean, precision = _robust(residual[used])
        n_components = int(np.clip(used.sum() // 50, 1, N_COMPONENTS))
        mixture = GaussianMixture.fit(latent[used], rng, n_components)
        parts = (mixture.weights, mixture.means, mixture.covariances)
        detector = cls(mean, precision, *parts, np.zeros((3, len(LEVELS))), np.inf)
        used_rows = held_out[used[held_out]]
        statistics = detector.statistics(latent[used_rows], residual[used_rows])
        detector.tails = np.quantile(statistics, 1.0 - LEVELS, axis=1).T
        detector.limit = float(np.quantile(detector.score(statistics), 1.0 - FALSE_ALARMS))
        return detector

    @property
    def mixture(self) -> GaussianMixture:
        """Density of the latent variables."""
        return GaussianMixture(self.weights, self.means, self.covariances)

    def deviations(self, residual: np.ndarray) -> np.ndarray:
        """Each residual given all others, over its conditional standard deviation; same shape."""
        away = (residual - self.mean) @ self.precision
        return away / np.sqrt(np.diagonal(self.precision))

    def statistics(self, latent: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """ln chi2, ln of the largest deviation, minus ln density of the latent variables.

        Parameters
        ----------
        latent : ndarray, shape (n_star, n_latent)
        residual : ndarray, shape (n_star, n_input)

        Returns
        -------
        ndarray, shape (3, n_star)
        """
        away = residual - self.mean
        chi2 = np.sum((away @ self.precision) * away, axis=1)
        largest = np.abs(self.deviations(residual)).max(axis=1)
        return np.stack([np.log(chi2), np.log(largest), -self.mixture.ln_p(latent)])

    def score(self, statistics: np.ndarray) -> np.ndarray:
        """-log10 of the share of training-set stars for which one statistic is as large.

        Parameters
        ----------
        statistics : ndarray, shape (3, n_star)

        Returns
        -------
        ndarray, shape (n_star,)
            The largest of the three; extrapolated linearly beyond the table.
        """
        rarity = -np.log10(LEVELS)
        each = []
        for values, tail in zip(statistics, self.tails, strict=True):
            slope = (rarity[-1] - rarity[-4]) / max(tail[-1] - tail[-4], 1e-12)
            inside = np.interp(values, tail, rarity, left=0.0)
            each.append(inside + slope * np.maximum(values - tail[-1], 0.0))
        return np.max(each, axis=0)


def _robust(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse covariance of all but those with the largest chi2."""
    kept = np.ones(len(residual), dtype=bool)
    for _ in range(5):
        mean = residual[kept].mean(axis=0)
        covariance = np.cov(residual[kept].T)
        variance = np.maximum(np.diagonal(covariance), 1e-6 * np.trace(covariance))
        covariance = (1.0 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(variance)
        precision = np.linalg.inv(covariance)
        away = residual - mean
        chi2 = np.sum((away @ precision) * away, axis=1)
        kept = chi2 <= np.quantile(chi2, 1.0 - TRIMMED)
    return mean, precision
