"""Data of the training stars, and their loss at a fixed model (ZGR23, eq. 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import StarRows, batches
from ..data import Whitener
from ..model import ForwardModel, terms
from ..nn import chi2
from ..quantities import Layout

CHUNK = 4096
"""Stars that are evaluated together, which bounds the memory of the Jacobians."""


@dataclass
class StarConstraints(StarRows):
    """Measurements of the training stars besides their flux.

    Parameters
    ----------
    labels, label_err : ndarray, shape (n_star, n_label)
        Measured labels and errors, floors included.
    extinction, extinction_err : ndarray, shape (n_star,)
        Estimates of E; infinite error where unknown.
    parallax, parallax_err : ndarray, shape (n_star,)
        mas; infinite error where unknown.
    absolute : bool
        Whether the amplitude is varpi^2 of a star of known luminosity. If not it is free, with a
        prior flat in its logarithm.
    jacobian_terms : bool
        Whether the loss has the terms -2 ln varpi - 2 ln E.
    xi_mean, xi_variance : ndarray, shape (n_star,), or float
        Of the normal prior of xi.
    """

    labels: np.ndarray
    label_err: np.ndarray
    extinction: np.ndarray
    extinction_err: np.ndarray
    parallax: np.ndarray
    parallax_err: np.ndarray
    absolute: bool = False
    jacobian_terms: bool = True
    xi_mean: np.ndarray | float = 0.0
    xi_variance: np.ndarray | float = 1.0

    @property
    def free_extinction(self) -> np.ndarray:
        """Stars without an estimate of E, for which any E >= 0 is as likely, shape (n_star,)."""
        return ~np.isfinite(self.extinction_err)

    def pulls(self, theta: np.ndarray) -> np.ndarray:
        """(fitted - measured) / error of each label, then of the parallax, (n_star, n_label + 1).

        Zero where nothing was measured.
        """
        layout = Layout(self.labels.shape[1])
        label = (theta[:, layout.labels] - self.labels) / self.label_err
        measured = np.isfinite(self.parallax_err) & self.absolute
        with np.errstate(over="ignore"):
            parallax = np.exp(theta[:, layout.parallax])
            difference = np.where(measured, parallax - self.parallax, 0.0)
        return np.column_stack([label, difference / self.parallax_err])

    def penalties(self, theta: np.ndarray, layout: Layout) -> Iterator[terms.Penalty]:
        """Terms of the loss besides chi2 of the flux.

        Parameters
        ----------
        theta : ndarray, shape (n_star, n_stellar)
        layout : Layout
            Of theta.

        Yields
        ------
        Penalty
        """
        labels = terms.gaussian_term(
            theta[:, layout.labels], np.ones(1), self.labels, self.label_err
        )
        for column in range(layout.n_label):
            yield terms.Penalty(column, *(term[:, column] for term in labels))
        with_jacobian = {"jacobian": self.jacobian_terms}
        yield terms.positive_penalty(
            theta, layout.extinction, self.extinction, self.extinction_err, **with_jacobian
        )
        if self.absolute:
            yield terms.positive_penalty(
                theta, layout.parallax, self.parallax, self.parallax_err, **with_jacobian
            )
        yield from terms.xi_penalty(theta, layout, self.xi_mean, self.xi_variance)


@dataclass
class StarData(StarRows):
    """Data of N training stars.

    Parameters
    ----------
    flux, flux_err : ndarray, shape (n_star, n_obs)
    whitener : Whitener
    constraints : StarConstraints
    """

    flux: np.ndarray
    flux_err: np.ndarray
    whitener: Whitener
    constraints: StarConstraints

    def chunks(self) -> Iterator[tuple[slice, StarData]]:
        """A few thousand stars at a time, with their rows."""
        for rows in batches(len(self), CHUNK):
            yield rows, self[rows]


def stellar_loss(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """Loss of ZGR23, eq. 13.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData

    Returns
    -------
    ndarray, shape (n_star,)
        chi2 + ((varpi - varpi_obs) / s)^2 + ((E - E_obs) / s)^2
        + sum_i ((Theta_i - Theta_obs,i) / s_i)^2 - 2 ln varpi - 2 ln E, and the prior of xi
        where the extinction curve varies. The terms in varpi are those of absolute models only; the
        logarithms are left out unless the constraints have `jacobian_terms`.
    """
    value, _ = chi2(data.whitener(forward.flux(theta) - data.flux))
    return value + sum(p.value for p in data.constraints.penalties(theta, forward.layout))


def chi2_per_dof(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """chi2 of the flux per degree of freedom, shape (n_star,); arguments as of `stellar_loss`."""
    value, _ = chi2(data.whitener(forward.flux(theta) - data.flux))
    return value / (np.isfinite(data.flux_err).sum(axis=1) - theta.shape[1])


def loss_gradient(
    forward: ForwardModel, theta: np.ndarray, data: StarData
) -> tuple[np.ndarray, np.ndarray]:
    """`stellar_loss` with its gradient, without the Hessian of `loss_derivatives`.

    Parameters
    ----------
    forward, theta, data
        As for `stellar_loss`.

    Returns
    -------
    value : ndarray, shape (n_star,)
    gradient : ndarray, shape (n_star, n_stellar)
    """
    predicted, jacobian = forward.flux_and_jacobian(theta)
    value, d_residual = chi2(data.whitener(predicted - data.flux))
    d_flux = data.whitener.adjoint(d_residual)
    gradient = (jacobian @ d_flux[:, :, None])[:, :, 0]
    penalties = list(data.constraints.penalties(theta, forward.layout))
    for penalty in penalties:
        gradient[:, penalty.column] += penalty.first
    return value + sum(penalty.value for penalty in penalties), gradient


def loss_derivatives(forward: ForwardModel, theta: np.ndarray, data: StarData) -> tuple:
    """`stellar_loss` with its gradient and Gauss-Newton Hessian.

    Parameters
    ----------
    forward, theta, data
        As for `stellar_loss`.

    Returns
    -------
    value : ndarray, shape (n_star,)
    gradient : ndarray, shape (n_star, n_stellar)
    hessian : ndarray, shape (n_star, n_stellar, n_stellar)
        Positive semi-definite: second derivatives of the flux are left out.
    """
    predicted, jacobian = forward.flux_and_jacobian(theta)
    residual = data.whitener(predicted - data.flux)
    value, gradient, information = terms.flux_terms(data.whitener, residual, jacobian)
    # The penalties' sum is added to chi2 at the end, in the same order as in `stellar_loss`.
    total = terms.Terms(np.zeros(len(theta)), gradient, 2.0 * information)
    total.add(data.constraints.penalties(theta, forward.layout))
    return value + total.value, total.gradient, total.gauss_newton
