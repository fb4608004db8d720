"""The changes of epochs in the few directions in which stars vary.

A star that varies changes its temperature or its brightness: its epochs differ along the
derivatives of the model with respect to these, and by noise alone in all other directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..model import XPModel
from .comparison import Comparison, p_value

AMPLITUDE = "amplitude"
"""Brightness of an epoch relative to the star's mean, the same at all wavelengths."""

MIN_SHARE = 1e-8
"""Variance of a change that is not rounding, relative to that of a single epoch."""


@dataclass(frozen=True)
class Projection:
    """Changes of the epochs of one star along some directions.

    Attributes
    ----------
    change : ndarray, shape (n_epoch, n_direction)
        Of each epoch against the mean, to first order; NaN where an epoch does not determine it.
    covariance : ndarray, shape (n_epoch, n_direction, n_direction)
        Of `change`. The noise of the mean, a part of which is an epoch's own, is allowed for.
    chi2 : float
        By how much that of all epochs is lower if each has a change of its own.
    dof : int
        Number of independent changes: (n_epoch - 1) n_direction if every epoch determines all.
    """

    change: np.ndarray
    covariance: np.ndarray
    chi2: float
    dof: int

    @property
    def p_value(self) -> float:
        """Probability of a larger chi2 if the star is constant; NaN without anything to compare."""
        return p_value(self.chi2, self.dof)


def project(comparison: Comparison, derivatives: np.ndarray) -> Projection:
    """Project the epochs' differences from their mean on some directions.

    Parameters
    ----------
    comparison : Comparison
    derivatives : ndarray, shape (n_direction, n_obs) or (n_epoch, n_direction, n_obs)
        Of the data vector by each parameter.

    Returns
    -------
    Projection

    Notes
    -----
    The likelihood-ratio test of one change a_e per epoch, f_e = mu + D^T a_e, against none, mu
    being free in both. Of a constant star its chi2 has exactly that distribution, at whatever mean
    spectrum the derivatives are taken, which is independent of the residuals.
    """
    n_epoch, matrices = len(comparison), comparison.whitened.matrices
    columns = matrices @ np.swapaxes(
        np.broadcast_to(derivatives, (n_epoch, *derivatives.shape[-2:])), 1, 2
    )
    left, values, right = np.linalg.svd(columns, full_matrices=False)
    known = values > 1e-10 * values.max(axis=1, keepdims=True, initial=0.0)
    left = left * known[:, None, :]
    k = left.shape[2]
    score = np.einsum("env,en->ev", left, comparison.residual)
    shared = np.swapaxes(left, 1, 2) @ comparison.leverage
    matrix = -np.tensordot(shared, shared, (2, 2))
    each = np.arange(n_epoch)
    matrix[each, :, each, :] += known[:, :, None] * np.eye(k)
    eigenvalues, vectors = np.linalg.eigh(matrix.reshape(n_epoch * k, n_epoch * k))
    independent = eigenvalues > MIN_SHARE
    along = vectors[:, independent].T @ score.ravel()
    inverse = np.swapaxes(right, 1, 2) / np.where(known, values, np.inf)[:, None, :]
    change = (inverse @ score[:, :, None])[:, :, 0]
    covariance = inverse @ matrix[each, :, each, :] @ np.swapaxes(inverse, 1, 2)
    lost = ~known.all(axis=1)
    change[lost], covariance[lost] = np.nan, np.nan
    return Projection(
        change,
        covariance,
        float(np.sum(along**2 / eigenvalues[independent])),
        int(independent.sum()),
    )


@dataclass(frozen=True)
class Variability:
    """Tests of one star for the two changes that stars show.

    Attributes
    ----------
    brightness : Projection
        On the mean spectrum itself: changes that are the same at all wavelengths, as in eclipses.
    both : Projection or None
        On that and on the model's derivative by Teff; None without a fit of the mean spectrum.
    """

    brightness: Projection
    both: Projection | None = None

    @property
    def chi2_teff(self) -> float:
        """By how much changes of Teff lower chi2 beyond those of brightness; NaN if unknown."""
        return self.both.chi2 - self.brightness.chi2 if self.both else np.nan

    @property
    def dof_teff(self) -> int:
        """Degrees of freedom of `chi2_teff`."""
        return self.both.dof - self.brightness.dof if self.both else 0

    @property
    def p_teff(self) -> float:
        """Probability of a larger `chi2_teff` if the star is constant."""
        return p_value(self.chi2_teff, self.dof_teff)

    @property
    def p_value(self) -> float:
        """Probability that a constant star seems to vary more, in either of the two.

        1 - (1 - p)^2 of the smaller p: the two chi2 are independent. If one is unknown, the other.
        """
        known = [p for p in (self.brightness.p_value, self.p_teff) if np.isfinite(p)]
        if not known:
            return np.nan
        smaller = min(known)
        return float(-np.expm1(len(known) * np.log1p(-smaller))) if smaller < 1.0 else 1.0


def variability(
    comparison: Comparison, model: XPModel | None = None, theta: np.ndarray | None = None
) -> Variability:
    """Test whether a star changes its brightness or its temperature.

    Parameters
    ----------
    comparison : Comparison
    model : XPModel, optional
        Without it, and without `theta`, brightness alone is tested.
    theta : ndarray, shape (n_parameter,), optional
        Of a fit to the mean spectrum.

    Returns
    -------
    Variability
    """
    grey = comparison.flux[None]
    brightness = project(comparison, grey)
    if model is None or theta is None:
        return Variability(brightness)
    by_teff = derivatives(model, theta[None], ("teff",))[0]
    return Variability(brightness, project(comparison, np.concatenate([by_teff, grey])))


def columns_of(model: XPModel, names: tuple[str, ...]) -> list[int]:
    """Columns of theta of some parameters.

    Parameters
    ----------
    model : XPModel
    names : tuple of str
        Labels, ``extinction``, ``amplitude`` or ``xi``.

    Raises
    ------
    InputError
        If the model has no such parameter.
    """
    known = tuple(AMPLITUDE if n == "parallax" else n for n in model.parameter_names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: no parameter of this model; choose among {', '.join(known)}"
        )
    return [known.index(name) for name in names]


def derivatives(model: XPModel, theta: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Derivatives of the data vector by ln amplitude, E in mag, and labels.

    Parameters
    ----------
    model : XPModel
    theta : ndarray, shape (n_star, n_parameter)
    names : tuple of str
        As for `columns_of`.

    Returns
    -------
    ndarray, shape (n_star, n_name, n_obs)
        Zero in channels that the model was not trained on.
    """
    columns = columns_of(model, names)
    _, jacobian = model.forward.flux_and_jacobian(theta)
    factor = natural_units(model, theta)[:, columns, None]
    return np.where(model.trained_channels, jacobian[:, columns] / factor, 0.0)


def natural_units(model: XPModel, theta: np.ndarray) -> np.ndarray:
    """d (labels, E, ln amplitude[, xi]) / d theta, which is diagonal: (n_star, n_parameter)."""
    layout = model.forward.layout
    units = layout.jacobian(theta)
    units[:, layout.parallax] = 2.0
    return units
