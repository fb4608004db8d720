"""The inference loss of one star, with gradient and Hessian (ZGR23, eq. 19)."""

from __future__ import annotations

import numpy as np

from ..model import XPModel
from ..model.terms import flux_term, gaussian_term


class Objective:
    """-2 ln posterior of one star as a function of theta = (labels, ln E, ln varpi[, xi]).

    Parameters
    ----------
    model : XPModel
    flux : ndarray, shape (n_obs,)
    whitener : ndarray, shape (n_obs,) or (n_obs, n_obs)
    parallax, parallax_err : float
        mas; an infinite error means that none was observed.

    Notes
    -----
    ZGR23, eq. 19: chi2 + ((varpi - varpi_obs) / s)^2 - 2 ln p_gmm(Theta) - 2 ln varpi - 2 ln E.
    For a model that is not absolute, varpi^2 is a free amplitude whose prior is flat in its
    logarithm, and the terms in varpi are absent. Where the extinction curve varies, xi^2 is added.
    """

    def __init__(
        self,
        model: XPModel,
        flux: np.ndarray,
        whitener: np.ndarray,
        parallax: float = np.nan,
        parallax_err: float = np.inf,
    ):
        self.model = model
        self.flux = flux[None]
        self.whitener = whitener[None]
        self.parallax = np.array([parallax])
        self.parallax_err = np.array([parallax_err])
        self._at: bytes | None = None
        self._derivatives: tuple = ()

    def value(self, theta: np.ndarray) -> float:
        """Loss at `theta`, shape (n_parameter,)."""
        return self._evaluate(theta)[0]

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Exact gradient of the loss, shape (n_parameter,)."""
        return self._evaluate(theta)[1]

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Hessian, shape (n_parameter, n_parameter).

        Exact in the prior; the flux and parallax terms leave out the model's second derivatives
        (Gauss-Newton).
        """
        return self._evaluate(theta)[2]

    def chi2(self, theta: np.ndarray) -> float:
        """chi2 of the flux alone."""
        self._evaluate(theta)
        return self._chi2

    def ln_prior(self, theta: np.ndarray) -> float:
        """ln p_gmm(Theta)."""
        self._evaluate(theta)
        return self._ln_prior

    def _evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian, remembered for the last `theta`."""
        key = theta.tobytes()
        if key == self._at:
            return self._derivatives
        k = self.model.forward.n_label
        with np.errstate(over="ignore", invalid="ignore"):
            terms = flux_term(self.model.forward, theta[None], self.flux, self.whitener)
        value, gradient, hessian = (term[0] for term in terms)
        ln_prior, prior_gradient, prior_hessian = self.model.prior.ln_p_derivatives(theta[None, :k])
        self._chi2, self._ln_prior = float(value), float(ln_prior[0])
        value = value - 2.0 * self._ln_prior - 2.0 * theta[k]
        gradient[:k] -= 2.0 * prior_gradient[0]
        gradient[k] -= 2.0
        hessian[:k, :k] -= 2.0 * prior_hessian[0]
        if self.model.absolute:
            parallax = np.exp(theta[k + 1 : k + 2])
            term = gaussian_term(parallax, parallax, self.parallax, self.parallax_err)
            value += term[0][0] - 2.0 * theta[k + 1]
            gradient[k + 1] += term[1][0] - 2.0
            hessian[k + 1, k + 1] += term[2][0]
        if self.model.forward.curve_varies:
            value += theta[k + 2] ** 2
            gradient[k + 2] += 2.0 * theta[k + 2]
            hessian[k + 2, k + 2] += 2.0
        # A step into nowhere (overflow of the flux) must look bad, not be undefined.
        value = float(value) if np.isfinite(value) else np.inf
        self._at, self._derivatives = key, (value, gradient, hessian)
        return self._derivatives
