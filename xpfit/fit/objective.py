"""The inference loss of many stars, with its derivatives (ZGR23, eq. 19)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import Array
from ..model import ForwardModel, GaussianMixture
from ..model.prior import FLAT
from ..model.terms import Penalty, Terms, flux_terms, parallax_penalty, positive_penalty, xi_penalty
from ..nn import chi2
from .data import FitData


@dataclass
class Evaluation:
    """The loss of N stars at one point each, and its derivatives with respect to theta.

    Attributes
    ----------
    loss, chi2, ln_prior : ndarray, shape (n_star,)
        The loss is infinite where the prediction overflows, so that the step is rejected.
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

    loss: Array
    chi2: Array
    ln_prior: Array
    gradient: Array
    information: Array
    gauss_newton: Array
    hessian: Array


class Posterior(ABC):
    """-2 ln posterior of N stars as a function of theta, up to a constant.

    Array code: all arrays, those of the model too, are of one namespace and on one device. Flux,
    whitener and forward model may be of single precision; sums over them are double where theta is.
    """

    forward: ForwardModel
    data: FitData

    @abstractmethod
    def __getitem__(self, rows: Any) -> Posterior:
        """Some of the stars: a slice or an array of indices."""

    @abstractmethod
    def predict(self, theta: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
        """Flux, its Jacobian, and the Hessian of sum(weights * flux) as a function of weights."""

    @abstractmethod
    def ln_priors(self, theta: Array) -> Iterator[tuple[Any, Array, Array, Array, Array]]:
        """Parts of the ln prior of stellar type.

        Yields
        ------
        labels : slice or ndarray, shape (n_label, n_parameter)
            Columns of theta, or a matrix that maps theta to labels.
        value, gradient, hessian, curvature : ndarray
            By these labels; the last replaces minus the Hessian in the Gauss-Newton matrix.
        """

    @abstractmethod
    def penalties(self, theta: Array) -> Iterator[Penalty]:
        """Terms of the loss besides chi2 of the flux and the prior on stellar type."""

    def evaluate(self, theta: Array) -> Evaluation:
        """Loss and derivatives at `theta`, shape (n_star, n_parameter)."""
        xp, data = array_namespace(theta), self.data
        predicted, jacobian, curvature = self.predict(xp.astype(theta, data.flux.dtype, copy=False))
        residual = data.whitener(predicted - data.flux)
        second = xp.astype(curvature(data.whitener.adjoint(2.0 * residual)), theta.dtype)
        flux_chi2, gradient, information = flux_terms(
            data.whitener, residual, jacobian, theta.dtype
        )
        ln_prior = xp.zeros_like(flux_chi2)
        gauss_newton = 2.0 * information
        terms = Terms(flux_chi2, gradient, gauss_newton, gauss_newton + second)
        for labels, value, slope, hessian, curved in self.ln_priors(theta):
            ln_prior = ln_prior + value
            _add(terms.gradient, labels, -2.0 * slope)
            _add(terms.gauss_newton, labels, 2.0 * curved)
            _add(terms.hessian, labels, -2.0 * hessian)
        terms.value = terms.value - 2.0 * ln_prior
        terms.add(self.penalties(theta))
        return Evaluation(
            infinite_if_undefined(terms.value), flux_chi2, ln_prior, terms.gradient, information,
            terms.gauss_newton, terms.hessian,
        )  # fmt: skip


def _add(total: Array, labels: Any, derivative: Array) -> None:
    """Add a derivative by labels to one by theta, in place.

    `labels` is the slice of their columns, or a matrix (n_label, n_parameter) to multiply with.
    """
    if isinstance(labels, slice):
        at = (slice(None), *(labels,) * (total.ndim - 1))
        total[at] = total[at] + derivative
    else:
        total += derivative @ labels if total.ndim == 2 else labels.T @ derivative @ labels


@dataclass
class Objective(Posterior):
    """-2 ln posterior of single stars; theta = (labels, ln E, ln varpi[, xi]).

    Parameters
    ----------
    forward : ForwardModel
    prior : GaussianMixture
    absolute : bool
        Whether the model predicts luminosities.
    data : FitData
    parallax_prior : str
        One of `xpfit.model.prior.PARALLAX_PRIORS`.

    Notes
    -----
    ZGR23, eq. 19: chi2 + ((varpi - varpi_obs) / s)^2 - 2 ln p_gmm(Theta) - 2 ln varpi - 2 ln E.
    Where the emulator's luminosity has an error s_L, the parameter is u = ln varpi + delta / 2, and
    the terms in varpi and (delta / s_L)^2 are those at the best delta for this u.
    With a prior flat in ln varpi, -2 ln varpi is absent. For a model that is not absolute, varpi^2
    is a free amplitude whose prior is flat in its logarithm, and the terms in varpi are absent.
    Where the extinction curve varies, xi^2 is added.
    """

    forward: ForwardModel
    prior: GaussianMixture
    absolute: bool
    data: FitData
    parallax_prior: str = FLAT

    def __getitem__(self, rows: Any) -> Objective:
        """Some of the stars: a slice or an array of indices."""
        return replace(self, data=self.data[rows])

    def loss(self, theta: Array) -> Array:
        """Loss alone, shape (n_point,), without derivatives.

        `theta` has shape (n_star, n_parameter), or (n_point, n_parameter) for the objective of one
        star, at many points.
        """
        residual = self.data.whitener(self.forward.flux(theta) - self.data.flux)
        value = chi2(residual)[0] - 2.0 * self.prior.ln_p(theta[:, self.forward.layout.labels])
        for penalty in self.penalties(theta):
            value = value + penalty.value
        return infinite_if_undefined(value)

    def predict(self, theta: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
        """See `Posterior.predict`."""
        flux, jacobian = self.forward.flux_and_jacobian(theta)
        return flux, jacobian, lambda weights: self.forward.curvature(theta, weights)

    def ln_priors(self, theta: Array) -> Iterator[tuple[Any, Array, Array, Array, Array]]:
        """See `Posterior.ln_priors`."""
        labels = self.forward.layout.labels
        yield labels, *self.prior.ln_p_derivatives(theta[:, labels])

    def penalties(self, theta: Array) -> Iterator[Penalty]:
        """See `Posterior.penalties`."""
        layout = self.forward.layout
        yield positive_penalty(theta, layout.extinction)
        if self.absolute:
            data, flat = self.data, self.parallax_prior == FLAT
            measured = data.parallax, data.parallax_err, data.luminosity_err
            yield parallax_penalty(theta, layout.parallax, *measured, jacobian=flat)
        yield from xi_penalty(theta, layout)


def infinite_if_undefined(value: Array) -> Array:
    """Infinity in place of NaN."""
    xp = array_namespace(value)
    return xp.where(xp.isnan(value), xp.full_like(value, np.inf), value)
