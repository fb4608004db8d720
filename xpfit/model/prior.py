"""The prior on stellar type: a Gaussian mixture (ZGR23, eq. 18)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ..arrays import Array

N_COMPONENTS = 16
"""Number of Gaussians that ZGR23 use."""

FLAT, LOG_FLAT = "flat", "log-flat"
PARALLAX_PRIORS = (FLAT, LOG_FLAT)
"""Priors on the parallax: flat in varpi (ZGR23, eq. 19), or in ln varpi.

Given the type and the flux of a star, its parallax follows. So a prior on both the type and the
parallax counts the stars of a type within reach twice if the prior on type is that of an observed
sample, in which they have been counted already. With a prior flat in ln varpi, types of observed
stars have the prior that they were found to have; one flat in varpi favours large parallaxes, and
so types of low luminosity: by half the variance of ln luminosity.
"""

PRIOR_MASS = 0.999
"""Fraction of the prior's mass that counts as populated (see `GaussianMixture.ln_p_threshold`)."""


@dataclass
class GaussianMixture:
    """Mixture of Gaussians over stellar type, with exact first and second derivatives of ln p.

    Parameters
    ----------
    weights : ndarray, shape (n_component,)
        Non-negative, summing to one.
    means : ndarray, shape (n_component, n_label)
    covariances : ndarray, shape (n_component, n_label, n_label)

    Attributes
    ----------
    precisions : ndarray, shape (n_component, n_label, n_label)
    ln_norm : ndarray, shape (n_component,)
        ln of the weighted density at each mean.
    """

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        self.weights = np.asarray(self.weights, dtype=float)
        self.means = np.asarray(self.means, dtype=float)
        self.covariances = np.asarray(self.covariances, dtype=float)
        self.precisions = np.linalg.inv(self.covariances)
        _, ln_det = np.linalg.slogdet(self.covariances)
        n_label = self.means.shape[1]
        self.ln_norm = np.log(self.weights) - 0.5 * (ln_det + n_label * np.log(2.0 * np.pi))

    def marginal(self, columns: Array) -> GaussianMixture:
        """The mixture over some of the labels, whatever the others are."""
        return GaussianMixture(
            self.weights, self.means[:, columns], self.covariances[:, columns[:, None], columns]
        )

    @classmethod
    def fit(
        cls, labels: Array, rng: np.random.Generator, n_components: int = N_COMPONENTS
    ) -> GaussianMixture:
        """Fit the mixture with scikit-learn, on standardised labels.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)
        rng : numpy.random.Generator
        n_components : int

        Raises
        ------
        ValueError
            If there are fewer stars than components.
        """
        from sklearn.mixture import GaussianMixture as SklearnMixture

        if len(labels) < n_components:
            raise ValueError(f"{len(labels)} stars are too few for {n_components} Gaussians")
        mean, scale = labels.mean(axis=0), labels.std(axis=0)
        mixture = SklearnMixture(
            n_components,
            n_init=2,
            max_iter=300,
            reg_covar=1e-4,
            random_state=int(rng.integers(2**31)),
        ).fit((labels - mean) / scale)
        return cls(
            mixture.weights_,
            mixture.means_ * scale + mean,
            mixture.covariances_ * scale[:, None] * scale,
        )

    def ln_p(self, labels: Array) -> Array:
        """ln p(Theta), finite however far from every component.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ndarray, shape (n_star,)
        """
        return _ln_sum_exp(self._ln_components(labels)[0])

    def ln_p_derivatives(self, labels: Array) -> tuple[Array, ...]:
        """ln p(Theta) with gradient, Hessian, and a curvature that is positive definite.

        Parameters
        ----------
        labels : ndarray, shape (n_star, n_label)

        Returns
        -------
        ln_p : ndarray, shape (n_star,)
        gradient : ndarray, shape (n_star, n_label)
        hessian : ndarray, shape (n_star, n_label, n_label)
        precision : ndarray, shape (n_star, n_label, n_label)
            Mean of the components' inverse covariances: -Hessian, were they all centred here.
        """
        xp = array_namespace(labels)
        ln_components, slopes = self._ln_components(labels)
        ln_p = _ln_sum_exp(ln_components)
        responsibility = xp.exp(ln_components - ln_p[:, None])
        weighted = responsibility[:, :, None] * slopes
        gradient = xp.sum(weighted, axis=1)
        precision = xp.sum(responsibility[:, :, None, None] * self.precisions, axis=1)
        hessian = xp.matrix_transpose(weighted) @ slopes - precision
        hessian = hessian - gradient[:, :, None] * gradient[:, None, :]
        return ln_p, gradient, hessian, precision

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw stellar types, shape (n, n_label)."""
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        factors = np.linalg.cholesky(self.covariances)
        normal = rng.standard_normal((n, self.means.shape[1]))
        return self.means[component] + np.einsum("nkl,nl->nk", factors[component], normal)

    def ln_p_threshold(self, rng: np.random.Generator, mass: float = PRIOR_MASS) -> float:
        """ln p above which a fraction `mass` of the prior lies (-7.43 for ZGR23's prior).

        Parameters
        ----------
        rng : numpy.random.Generator
        mass : float
            Between 0 and 1.

        Returns
        -------
        float
        """
        return float(np.quantile(self.ln_p(self.sample(200_000, rng)), 1.0 - mass))

    def _ln_components(self, labels: Array) -> tuple[Array, Array]:
        """ln(weight x density) (n_star, n_component) and its gradients (.., .., n_label)."""
        xp = array_namespace(labels)
        offset = labels[:, None, :] - self.means
        slopes = -xp.sum(self.precisions * offset[:, :, None, :], axis=-1)
        return self.ln_norm + 0.5 * xp.sum(slopes * offset, axis=-1), slopes


def _ln_sum_exp(x: Array) -> Array:
    """ln of the sum of exp(x) over the last axis, without underflow.

    scipy.special.logsumexp does the same with checks that cost half a fit.
    """
    xp = array_namespace(x)
    peak = xp.max(x, axis=-1)
    return peak + xp.log(xp.sum(xp.exp(x - peak[..., None]), axis=-1))
