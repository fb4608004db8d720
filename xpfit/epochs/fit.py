"""Fits of each epoch of a star, with some of the star's own parameters held.

What is fitted are the differences of the epochs from the mean: where the model misses the mean
spectrum, it misses all epochs alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, take
from ..data import Diagonal, Spectra
from ..errors import InputError
from ..fit import FitResult, Fitter
from ..fit.data import FitData
from ..fit.descent import Descents, iterate
from ..fit.lm_settings import LMSettings
from ..fit.objective import Posterior
from ..fit.settings import FitSettings
from ..model import ForwardModel, XPModel
from ..model.terms import Penalty
from ..prepare import whiten_covariances
from .comparison import Comparison
from .data import EpochSpectra
from .directions import AMPLITUDE, columns_of, derivatives, project

FREE = ("teff", AMPLITUDE)
"""Parameters that differ from epoch to epoch by default; the others are held."""


class HeldObjective(Posterior):
    """chi2 of the epochs of one star as a function of a few of its parameters.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_parameter,)
        Of the star; gives the parameters that are held.
    columns : list of int
        Columns of theta that are free.
    matrices : ndarray, shape (n_epoch, n_value, n_obs)
        That whiten data vectors.
    values : ndarray, shape (n_epoch, n_value)
        The data, whitened.

    Notes
    -----
    Held parameters have no prior, nor have the free ones: an epoch is compared with the others.
    """

    def __init__(self, forward: ForwardModel, theta, columns, matrices, values):
        self.forward, self.columns = forward, columns
        self._theta, self._matrices = theta, matrices
        unknown = np.full(len(values), np.nan)
        self.data = FitData(
            values, Diagonal(np.ones_like(values)), unknown, unknown + np.inf, np.zeros(len(values))
        )

    def __getitem__(self, rows: Any) -> HeldObjective:
        """Some of the epochs."""
        matrices, values = take(self._matrices, rows), take(self.data.flux, rows)
        return HeldObjective(self.forward, self._theta, self.columns, matrices, values)

    def full(self, free: Array) -> Array:
        """theta of values of the free parameters, (n_epoch, n_parameter)."""
        theta = np.repeat(self._theta[None], len(free), axis=0)
        theta[:, self.columns] = free
        return theta

    def predict(self, theta: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
        """See `Posterior.predict`; all are whitened."""
        whole, transposed = self.full(theta), np.swapaxes(self._matrices, 1, 2)
        flux, jacobian = self.forward.flux_and_jacobian(whole)

        def curvature(weights: Array) -> Array:
            on_flux = (transposed @ weights[:, :, None])[:, :, 0]
            curved = self.forward.curvature(whole, on_flux)
            return curved[:, self.columns][:, :, self.columns]

        whitened = (self._matrices @ flux[:, :, None])[:, :, 0]
        return whitened, jacobian[:, self.columns] @ transposed, curvature

    def ln_priors(self, theta: Array) -> Iterator[tuple[Any, Array, Array, Array, Array]]:
        """None."""
        return iter(())

    def penalties(self, theta: Array) -> Iterator[Penalty]:
        """None."""
        return iter(())


@dataclass(frozen=True)
class EpochFits:
    """Parameters of each epoch of one star.

    Attributes
    ----------
    names : tuple of str
        Free parameters: labels, ``extinction`` or ``amplitude``.
    values : ndarray, shape (n_epoch, n_name)
        Teff in kK; the amplitude relative to that of the mean. NaN where an epoch does not
        determine them.
    covariance : ndarray, shape (n_epoch, n_name, n_name)
        Of the differences from the star's mean, by the noise of the epochs alone.
    chi2 : ndarray, shape (n_epoch,)
        Of the best fit.
    converged : ndarray of bool, shape (n_epoch,)
        Whether the fit did, with free labels in the range that the model was trained on.
    """

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    converged: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """Values of one parameter, shape (n_epoch,)."""
        return self.values[:, self.names.index(name)]

    def error(self, name: str) -> np.ndarray:
        """Standard errors of one parameter, shape (n_epoch,)."""
        index = self.names.index(name)
        return np.sqrt(np.maximum(self.covariance[:, index, index], 0.0))

    def scatter(self, name: str) -> float:
        """Standard deviation of a parameter over the epochs beyond that of its errors.

        Zero if the errors alone explain it; NaN with less than two epochs.
        """
        value, variance = self[name], self.error(name) ** 2
        good = self.converged & (variance > 0)
        if good.sum() < 2:
            return np.nan
        weight = 1.0 / variance[good]
        mean = np.average(value[good], weights=weight)
        excess = np.average((value[good] - mean) ** 2 - variance[good], weights=weight)
        return float(np.sqrt(max(excess, 0.0)))


def mean_spectra(stars: Sequence[EpochSpectra], comparisons: Sequence[Comparison]) -> Spectra:
    """Mean spectra of stars, to be fitted.

    Parameters
    ----------
    stars : sequence of EpochSpectra
    comparisons : sequence of Comparison
        Of the same stars.

    Returns
    -------
    Spectra
        One row per star; the errors of the calibration are included.
    """
    used = np.stack([c.used for c in comparisons])
    covariance = np.stack(
        [c.covariance + s.calibration for c, s in zip(comparisons, stars, strict=True)]
    )
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    first = stars[0].spectra
    return Spectra(
        source_id=np.array([star.source_id for star in stars], dtype=np.int64),
        space=first.space,
        flux=np.stack([c.flux for c in comparisons]),
        flux_err=np.sqrt(np.where(used & (variance > 0), variance, np.inf)),
        whitener=whiten_covariances(covariance, ~(used & (variance > 0))).whitener,
        preparation=first.preparation,
    )


def fit_means(model: XPModel, spectra: Spectra, **options: Any) -> FitResult:
    """Fit mean spectra by their shapes: the amplitude is free, so that epochs can change it.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        From `mean_spectra`.
    **options
        Those of `xpfit.fit.Fitter`.

    Returns
    -------
    FitResult
        By ``model.shapes_only()``.
    """
    return Fitter(model.shapes_only(), **options).fit(spectra, progress=False)


def fit_epochs(
    model: XPModel,
    comparison: Comparison,
    theta: np.ndarray,
    free: tuple[str, ...] = FREE,
) -> EpochFits:
    """Fit each epoch of a star; parameters that are not free are held at those of its mean.

    Parameters
    ----------
    model : XPModel
        Without luminosities (`XPModel.shapes_only`): brightness is free of temperature.
    comparison : Comparison
    theta : ndarray, shape (n_parameter,)
        Of the fit to the mean (`FitResult.theta`).
    free : tuple of str
        Labels, ``extinction``, ``amplitude``.

    Returns
    -------
    EpochFits

    Raises
    ------
    InputError
        If the model has no such parameter, or none is free.

    Notes
    -----
    To fit each epoch with all of its labels free, and their prior, fit `EpochSpectra.spectra` like
    any others.
    """
    columns, forward, whitened = columns_of(model, free), model.forward, comparison.whitened
    if not columns:
        raise InputError("no parameter is free: name those that may differ between epochs")
    origin = forward.flux(theta[None])[0] + whitened.origin - comparison.flux
    values = whitened.values + whitened.matrices @ np.where(comparison.used, origin, 0.0)
    objective = HeldObjective(forward, theta, columns, whitened.matrices, values)
    settings = LMSettings(forward.scale[columns])
    start = np.repeat(theta[None, columns], len(comparison), axis=0)
    there = Descents.empty(np.arange(len(comparison)), start, settings)
    with np.errstate(over="ignore", invalid="ignore"):  # a step too far is rejected
        there.set_evaluation(objective.evaluate(there.theta))
        for done, state in iterate(objective, settings, there, FitSettings.max_iterations):
            there.put(done, state)
    best = objective.full(there.theta)
    covariance = project(comparison, derivatives(model, best, free)).covariance
    determined = np.isfinite(covariance).all(axis=(1, 2))
    linear, amplitude = forward.layout.to_linear(best), forward.layout.parallax
    linear[:, amplitude] = np.exp(2.0 * (best - theta)[:, amplitude])
    if AMPLITUDE in free:  # of ln amplitude
        index = free.index(AMPLITUDE)
        covariance[:, index] *= linear[:, [amplitude]]
        covariance[:, :, index] *= linear[:, [amplitude]]
    labels = [column for column in columns if column < model.forward.n_label]
    inside = model.in_range(best[:, forward.layout.labels])[:, labels].all(axis=1)
    return EpochFits(
        names=tuple(free),
        values=np.where(determined[:, None], linear[:, columns], np.nan),
        covariance=covariance,
        chi2=there.chi2,
        converged=there.finished & inside & determined,
    )
