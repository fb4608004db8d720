"""Data of stars in the form in which a fit compares them with a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import Array, take, with_arrays
from ..data import Spectra, Whitener
from ..model import XPModel
from ..model.covariance import ModelCovariance

MIN_PARALLAX_ERR = 1e-6
"""Smallest error of an observed parallax, in mas and in units of the parallax.

Gaia's smallest is 0.006 mas. Of smaller ones rounding would hide what the spectrum says beside
them, and below 1e-8 whether the fit has converged.
"""


@dataclass(frozen=True)
class FitData:
    """Flux and parallaxes of N stars, arrays of one namespace and device.

    Parameters
    ----------
    flux : ndarray, shape (n_star, n_obs)
    whitener : Whitener
        Of the covariance of flux and model errors.
    parallax, parallax_err : ndarray, shape (n_star,)
        mas; an infinite error means that none was observed.
    luminosity_err : ndarray, shape (n_star,)
        Standard error of the emulator's ln luminosity for the type of each star; zero treats it as
        exact.
    """

    flux: Any
    whitener: Whitener
    parallax: Any
    parallax_err: Any
    luminosity_err: Any

    def __len__(self) -> int:
        return int(self.flux.shape[0])

    @property
    def n_obs(self) -> int:
        """Length of the data vectors."""
        return int(self.flux.shape[1])

    def __getitem__(self, rows: Any) -> FitData:
        """Some of the stars: a slice or an array of indices."""
        others = self.parallax, self.parallax_err, self.luminosity_err
        flux, *rest = (take(x, rows) for x in (self.flux, *others))
        return FitData(flux, self.whitener[rows], *rest)

    def without_parallax(self) -> FitData:
        """The same stars as if no parallax had been measured."""
        xp = array_namespace(self.flux)
        nothing = xp.full_like(self.parallax, xp.nan)
        return replace(self, parallax=nothing, parallax_err=xp.full_like(self.parallax, xp.inf))


def with_usable_parallaxes(model: XPModel, spectra: Spectra) -> Spectra:
    """The spectra, without their parallaxes if the model knows no luminosities.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra

    Returns
    -------
    Spectra
        Errors of parallaxes are at least `MIN_PARALLAX_ERR`.
    """
    error = spectra.parallax_err
    if not np.isfinite(error).any():
        return spectra
    if not model.absolute:
        return spectra.replace(parallax=None, parallax_err=None)
    attainable = attainable_parallax_err(spectra)
    if np.array_equal(error, attainable):
        return spectra
    return spectra.replace(parallax_err=attainable)


def attainable_parallax_err(spectra: Spectra) -> Array:
    """Errors of the observed parallaxes in mas, at least `MIN_PARALLAX_ERR`, shape (n_star,).

    Those above 1e100, whose square may overflow, are infinite: there is no parallax.
    """
    size = np.maximum(np.abs(np.nan_to_num(spectra.parallax)), 1.0)
    error = np.maximum(spectra.parallax_err, MIN_PARALLAX_ERR * size)
    return np.where(error > 1e100, np.inf, error)


def fit_data(
    model: XPModel,
    spectra: Spectra,
    covariance: ModelCovariance | None = None,
    luminosity_err: np.ndarray | None = None,
    *,
    asarray: Callable[[np.ndarray], Any] = np.asarray,
    inflate: Callable[[Whitener, Any, Any], Whitener] | None = None,
) -> FitData:
    """Data and errors in the form in which a fit compares them with a model.

    Channels that the model was not trained on have no weight, and the error of the emulator is
    added to that of every star. Parallaxes are unknown to a model without luminosities.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    covariance : ModelCovariance, optional
        Usually the model's own; None treats the emulator as exact.
    luminosity_err : ndarray, shape (n_star,), optional
        Standard error of the emulator's ln luminosity for each star, which depends on its type
        (`xpfit.fit.FitResult` has it).
    asarray : callable
        Converts NumPy arrays to those of another namespace or device.
    inflate : callable, optional
        A faster `xpfit.data.Whitener.inflate`.

    Returns
    -------
    FitData
    """
    spectra = with_usable_parallaxes(model, spectra).keep_channels(model.trained_channels)
    whitener = with_arrays(spectra.whitener, asarray)
    if covariance is not None:
        scale, root = asarray(spectra.space.scale(spectra.flux)), asarray(covariance.root())
        whitener = inflate(whitener, scale, root) if inflate else whitener.inflate(scale, root)
    parallax, parallax_err = asarray(spectra.parallax), asarray(spectra.parallax_err)
    if luminosity_err is None:
        luminosity_err = np.zeros(len(spectra))
    return FitData(asarray(spectra.flux), whitener, parallax, parallax_err, asarray(luminosity_err))
