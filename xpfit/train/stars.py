"""What is known of training stars, and their loss at a fixed model (ZGR23, eq. 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ..arrays import batches
from ..data import Whitener
from ..model.forward import ForwardModel
from ..model.terms import flux_terms, gaussian_term
from ..nn import chi2

CHUNK = 4096
"""Stars handled together, which bounds the memory of the Jacobians."""


@dataclass
class StarConstraints:
    """What is known of the training stars besides their flux.

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
    """

    labels: np.ndarray
    label_err: np.ndarray
    extinction: np.ndarray
    extinction_err: np.ndarray
    parallax: np.ndarray
    parallax_err: np.ndarray
    absolute: bool = False
    jacobian_terms: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows) -> StarConstraints:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return StarConstraints(
            **{n: v[rows] if isinstance(v, np.ndarray) else v for n, v in values.items()}
        )

    def pulls(self, theta: np.ndarray) -> np.ndarray:
        """(fitted - measured) / error of each label, then of the parallax, (n_star, n_label + 1).

        Zero where nothing was measured.
        """
        k = self.labels.shape[1]
        label = (theta[:, :k] - self.labels) / self.label_err
        known = np.isfinite(self.parallax_err) & self.absolute
        with np.errstate(over="ignore"):
            difference = np.where(known, np.exp(theta[:, k + 1]) - self.parallax, 0.0)
        return np.column_stack([label, difference / self.parallax_err])


@dataclass
class StarData:
    """Data of some stars: what their loss compares a prediction with.

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

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, rows) -> StarData:
        return StarData(*(getattr(self, f.name)[rows] for f in fields(self)))

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
        + sum_i ((Theta_i - Theta_obs,i) / s_i)^2 - 2 ln varpi - 2 ln E, and xi^2 where the
        extinction curve varies. The terms in varpi are those of absolute models only; the last two
        go where the constraints say so.
    """
    value, _ = chi2(data.whitener(forward.flux(theta) - data.flux))
    return value + _constraint_terms(theta, data.constraints)[0]


def chi2_per_dof(forward: ForwardModel, theta: np.ndarray, data: StarData) -> np.ndarray:
    """chi2 of the flux per degree of freedom, shape (n_star,); arguments as of `stellar_loss`."""
    value, _ = chi2(data.whitener(forward.flux(theta) - data.flux))
    return value / (np.isfinite(data.flux_err).sum(axis=1) - theta.shape[1])


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
    value, gradient, information = flux_terms(data.whitener, residual, jacobian)
    hessian = 2.0 * information
    known, slope, curvature = _constraint_terms(theta, data.constraints)
    index = np.arange(theta.shape[1])
    hessian[:, index, index] += curvature
    return value + known, gradient + slope, hessian


@dataclass
class Projection:
    """What makes a star's residual blind to changes that its own parameters can take up.

    Parameters
    ----------
    offset : ndarray, shape (n_star, n_obs)
        Whitened change of the flux from the fitted parameters to the measured ones.
    taken_up : ndarray, shape (n_star, n_stellar, n_obs)
        K: directions of whitened residuals that the parameters follow, within their constraints.

    Notes
    -----
    Variable projection. To first order in a star's parameters, the least loss that they reach for a
    whitened residual r is ``|r + offset|^2 - |K (r + offset)|^2`` plus a constant: chi2 with the
    covariance C + J^T S J, where S is that of the measured labels, parallax and E. Steps of the
    model on this loss are steps with the stars always at their best, which no alternation of the
    two attains: where flux is much more precise than labels, fitted labels follow the model and not
    the measured ones, and the model follows them.
    """

    offset: np.ndarray
    taken_up: np.ndarray

    def __getitem__(self, rows) -> Projection:
        return Projection(self.offset[rows], self.taken_up[rows])

    def chi2(self, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least chi2 plus constraints for whitened residuals, and its gradient.

        Parameters
        ----------
        residual : ndarray, shape (n_star, n_obs)

        Returns
        -------
        value : ndarray, shape (n_star,)
        gradient : ndarray, shape (n_star, n_obs)
        """
        moved = residual + self.offset
        followed = (self.taken_up @ moved[:, :, None])[:, :, 0]
        value = np.sum(moved**2, axis=1) - np.sum(followed**2, axis=1)
        return value, 2.0 * (moved - (followed[:, None, :] @ self.taken_up)[:, 0])


def project(forward: ForwardModel, theta: np.ndarray, data: StarData) -> Projection:
    """`Projection` of stars at their fitted parameters.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    data : StarData

    Returns
    -------
    Projection
    """
    offset = np.empty(data.flux.shape)
    taken_up = np.empty((*theta.shape, data.flux.shape[1]))
    for rows, part in data.chunks():
        white = part.whitener(forward.flux_and_jacobian(theta[rows])[1])
        _, slope, curvature = _constraint_terms(theta[rows], part.constraints)
        measured = np.divide(-slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
        offset[rows] = (measured[:, None, :] @ white)[:, 0]
        normal = white @ np.swapaxes(white, 1, 2)
        index = np.arange(theta.shape[1])
        # Half the Hessian, and a trifle so that what nothing constrains can be solved for.
        scale = normal[:, index, index] + 0.5 * curvature
        normal[:, index, index] += 0.5 * curvature + 1e-12 * scale + 1e-300
        taken_up[rows] = np.linalg.solve(np.linalg.cholesky(normal), white)
    return Projection(offset, taken_up)


def _constraint_terms(theta: np.ndarray, known: StarConstraints) -> tuple:
    """Value, gradient and diagonal of the Hessian of all terms but the flux's."""
    k = known.labels.shape[1]
    value, gradient, curvature = np.zeros(len(theta)), np.zeros_like(theta), np.zeros_like(theta)

    def add(columns, terms) -> None:
        nonlocal value
        value = value + (terms[0].sum(axis=1) if terms[0].ndim == 2 else terms[0])
        gradient[:, columns] += terms[1]
        curvature[:, columns] += terms[2]

    def add_positive(column, observed, error) -> None:
        """A quantity whose logarithm is fitted, with the Jacobian of that."""
        linear = np.exp(theta[:, column])
        add(column, gaussian_term(linear, linear, observed, error))
        if known.jacobian_terms:
            add(column, (-2.0 * theta[:, column], -2.0, 0.0))

    add(slice(k), gaussian_term(theta[:, :k], np.ones(1), known.labels, known.label_err))
    add_positive(k, known.extinction, known.extinction_err)
    if known.absolute:
        add_positive(k + 1, known.parallax, known.parallax_err)
    if theta.shape[1] > k + 2:
        xi = theta[:, k + 2]
        add(k + 2, (xi**2, 2.0 * xi, 2.0))
    return value, gradient, curvature
