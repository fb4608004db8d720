"""How unlike the training set a spectrum is, from what an auto-encoder makes of it.

Three numbers see different things: chi2 of the residuals, with the correlations that they have
among ordinary stars, sees what is wrong at many wavelengths; the largest residual, given all
others, what is wrong at one, such as a band; and the density of the latent numbers sees spectra
that pass through, but where there are no stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.prior import GaussianMixture

FALSE_ALARMS = 0.02
"""Share of the stars like those of the training set that are flagged."""

N_COMPONENTS = 40
"""Gaussians of the density of the latent numbers."""

TRIMMED = 0.01
"""Share of the training stars that the covariance of residuals is to be found without."""

SHRINKAGE = 0.02
"""How far that covariance is moved towards its diagonal."""

LEVELS = np.geomspace(0.5, 2e-3, 16)
"""Shares of ordinary stars beyond, at which each number is tabulated."""


@dataclass
class OddityDetector:
    """Tells spectra unlike the training set from others.

    Parameters
    ----------
    mean : ndarray, shape (n_input,)
        Of ordinary stars' residuals, in units of their errors.
    precision : ndarray, shape (n_input, n_input)
        Inverse covariance of these.
    weights, means, covariances : ndarray
        Of the mixture of Gaussians of the latent numbers.
    tails : ndarray, shape (3, n_level)
        What each number exceeds in a share `LEVELS` of ordinary stars.
    limit : float
        Oddity beyond which a star is flagged.
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
    ) -> OddityDetector:
        """Find out what is ordinary.

        Parameters
        ----------
        latent : ndarray, shape (n_star, n_latent)
        residual : ndarray, shape (n_star, n_input)
            In units of errors and scatter; zero where unknown.
        held_out : ndarray of int
            Rows that the auto-encoder was not trained on: these say what is how rare.
        rng : numpy.random.Generator

        Returns
        -------
        OddityDetector
        """
        used = np.isfinite(latent).all(axis=1)
        mean, precision = _robust(residual[used])
        n_components = int(np.clip(used.sum() // 50, 1, N_COMPONENTS))
        mixture = GaussianMixture.fit(latent[used], rng, n_components)
        parts = (mixture.weights, mixture.means, mixture.covariances)
        detector = cls(mean, precision, *parts, np.zeros((3, len(LEVELS))), np.inf)
        judged = held_out[used[held_out]]
        numbers = detector.numbers(latent[judged], residual[judged])
        detector.tails = np.quantile(numbers, 1.0 - LEVELS, axis=1).T
        detector.limit = float(np.quantile(detector.oddity(numbers), 1.0 - FALSE_ALARMS))
        return detector

    @property
    def mixture(self) -> GaussianMixture:
        """Density of the latent numbers."""
        return GaussianMixture(self.weights, self.means, self.covariances)

    def deviations(self, residual: np.ndarray) -> np.ndarray:
        """Each residual, given all others, in units of what that leaves; same shape."""
        away = (residual - self.mean) @ self.precision
        return away / np.sqrt(np.diagonal(self.precision))

    def numbers(self, latent: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """ln chi2, ln of the largest deviation, minus ln density of the latent numbers.

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

    def oddity(self, numbers: np.ndarray) -> np.ndarray:
        """-log10 of the share of ordinary stars for which one of the numbers is as large.

        Parameters
        ----------
        numbers : ndarray, shape (3, n_star)

        Returns
        -------
        ndarray, shape (n_star,)
            The largest of the three; beyond the table along its last slope.
        """
        rarity = -np.log10(LEVELS)
        each = []
        for values, tail in zip(numbers, self.tails, strict=True):
            slope = (rarity[-1] - rarity[-4]) / max(tail[-1] - tail[-4], 1e-12)
            inside = np.interp(values, tail, rarity, left=0.0)
            each.append(inside + slope * np.maximum(values - tail[-1], 0.0))
        return np.max(each, axis=0)


def _robust(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse covariance of all but the oddest."""
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
