"""The inference loss of many stars, with its derivatives (ZGR23, eq. 19)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ..data.spectra import whiten
from ..model import ForwardModel, GaussianMixture
from ..model.terms import gaussian_term
from ..nn import chi2


@dataclass
class Evaluation:
    """The loss of N stars at one point each, and its derivatives with respect to theta.

    Attributes
    ----------
    loss, chi2, ln_prior : ndarray, shape (n_star,)
        The loss is infinite where the prediction overflows: a step into nowhere must look bad.
    gradient : ndarray, shape (n_star, n_parameter)
        Exact.
    information : ndarray, shape (n_star, n_parameter, n_parameter)
        J^T C^-1 J, the Fisher matrix of the flux.
    gauss_newton : ndarray, shape (n_star, n_parameter, n_parameter)
        Hessian without the second derivatives of the model, and with the prior as if each of its
        components were centred here: positive semi-definite.
    hessian : ndarray, shape (n_star, n_parameter, n_parameter)
        Exact.
    """

    loss: np.ndarray
    chi2: np.ndarray
    ln_prior: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    gauss_newton: np.ndarray
    hessian: np.ndarray


@dataclass
class Objective:
    """-2 ln posterior of N stars as a function of theta = (labels, ln E, ln varpi[, xi]).

    Array code: all arrays, those of the model too, are of one namespace and on one device. Flux,
    whitener and forward model may be of single precision; sums over them are double where theta is.

    Parameters
    ----------
    forward : ForwardModel
    prior : GaussianMixture
    absolute : bool
        Whether the model knows luminosities.
    flux : ndarray, shape (n_star, n_obs)
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
    parallax, parallax_err : ndarray, shape (n_star,)
        mas; an infinite error means that none was observed.

    Notes
    -----
    ZGR23, eq. 19: chi2 + ((varpi - varpi_obs) / s)^2 - 2 ln p_gmm(Theta) - 2 ln varpi - 2 ln E.
    For a model that is not absolute, varpi^2 is a free amplitude whose prior is flat in its
    logarithm, and the terms in varpi are absent. Where the extinction curve varies, xi^2 is added.
    """

    forward: ForwardModel
    prior: GaussianMixture
    absolute: bool
    flux: np.ndarray
    whitener: np.ndarray
    parallax: np.ndarray
    parallax_err: np.ndarray

    def __getitem__(self, rows) -> Objective:
        """Some of the stars: a slice or an array of indices."""
        return Objective(
            self.forward,
            self.prior,
            self.absolute,
            *(_take(x, rows) for x in (self.flux, self.whitener)),
            *(_take(x, rows) for x in (self.parallax, self.parallax_err)),
        )

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """Loss alone, shape (n_point,), without derivatives.

        `theta` has shape (n_star, n_parameter), or (n_point, n_parameter) for the objective of one
        star, at many points.
        """
        residual = whiten(self.whitener, self.forward.flux(theta) - self.flux)
        value = chi2(residual)[0] + self._own_value(theta)
        return infinite_if_undefined(value)

    def _own_value(self, theta: np.ndarray) -> np.ndarray:
        """What the loss has besides chi2 of the flux."""
        k = self.forward.n_label
        value = -2.0 * self.prior.ln_p(theta[:, :k]) - 2.0 * theta[:, k]
        for _, _, (term, _, _) in self.own_terms(theta):
            value = value + term
        return value

    def evaluate(self, theta: np.ndarray) -> Evaluation:
        """Loss and derivatives at `theta`, shape (n_star, n_parameter)."""
        xp, k, single = array_namespace(theta), self.forward.n_label, self.flux.dtype
        at = xp.astype(theta, single, copy=False)
        predicted, jacobian = self.forward.flux_and_jacobian(at)
        residual = whiten(self.whitener, predicted - self.flux)
        curvature = self.forward.curvature(at, self.unwhiten(2.0 * residual))
        white = xp.astype(whiten(self.whitener, jacobian), theta.dtype, copy=False)
        flux_chi2, d_residual = chi2(xp.astype(residual, theta.dtype, copy=False))
        gradient = (white @ d_residual[:, :, None])[:, :, 0]
        information = white @ xp.matrix_transpose(white)
        gauss_newton = 2.0 * information
        hessian = gauss_newton + xp.astype(curvature, theta.dtype, copy=False)
        ln_prior, slope, bend, precision = self.prior.ln_p_derivatives(theta[:, :k])
        value = flux_chi2 - 2.0 * ln_prior - 2.0 * theta[:, k]
        gradient[:, :k] = gradient[:, :k] - 2.0 * slope
        gradient[:, k] = gradient[:, k] - 2.0
        gauss_newton[:, :k, :k] = gauss_newton[:, :k, :k] + 2.0 * precision
        hessian[:, :k, :k] = hessian[:, :k, :k] - 2.0 * bend
        for column, bends, (term, first, second) in self.own_terms(theta):
            value = value + term
            gradient[:, column] = gradient[:, column] + first
            gauss_newton[:, column, column] = gauss_newton[:, column, column] + second
            hessian[:, column, column] = hessian[:, column, column] + second + bends
        value = infinite_if_undefined(value)
        return Evaluation(value, flux_chi2, ln_prior, gradient, information, gauss_newton, hessian)

    def own_terms(self, theta: np.ndarray):
        """Terms of one parameter: (column, what Gauss-Newton leaves out, its derivatives)."""
        xp, k = array_namespace(theta), self.forward.n_label
        if self.absolute:
            parallax = xp.exp(theta[:, k + 1])
            value, first, second = gaussian_term(
                parallax, parallax, self.parallax, self.parallax_err
            )
            # varpi is an exponential: its second derivative is its first.
            yield k + 1, first, (value - 2.0 * theta[:, k + 1], first - 2.0, second)
        if self.forward.curve_varies:
            xi = theta[:, k + 2]
            yield k + 2, 0.0, (xi**2, 2.0 * xi, 2.0 * xp.ones_like(xi))

    def unwhiten(self, d_residual: np.ndarray) -> np.ndarray:
        """d chi2 / d flux from d chi2 / d whitened residual."""
        whitener = self.whitener
        if whitener.ndim == 3:
            whitener = array_namespace(whitener).matrix_transpose(whitener)
        return whiten(whitener, d_residual)


def _take(values: np.ndarray, rows) -> np.ndarray:
    """Rows of an array: a slice or an array of indices."""
    if isinstance(rows, slice):
        return values[rows, ...]
    return array_namespace(values).take(values, rows, axis=0)


def infinite_if_undefined(value: np.ndarray) -> np.ndarray:
    """Infinity in place of NaN."""
    xp = array_namespace(value)
    return xp.where(xp.isnan(value), xp.full_like(value, xp.inf), value)
