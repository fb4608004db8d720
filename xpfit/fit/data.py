"""The data as a fit compares them with a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import take, with_arrays
from ..data import Spectra, Whitener
from ..model import XPModel
from ..model.covariance import ModelCovariance


@dataclass(frozen=True)
class FitData:
    """Flux and parallaxes of N stars, arrays of one namespace and device.

    Parameters
    ----------
    flux : ndarray, shape (n_star, n_obs)
    whitener : Whitener
        Of flux and model errors together.
    parallax, parallax_err : ndarray, shape (n_star,)
        mas; an infinite error means that none was observed.
    """

    flux: Any
    whitener: Whitener
    parallax: Any
    parallax_err: Any

    def __len__(self) -> int:
        return int(self.flux.shape[0])

    @property
    def n_obs(self) -> int:
        """Length of the data vectors."""
        return int(self.flux.shape[1])

    def __getitem__(self, rows: Any) -> FitData:
        """Some of the stars: a slice or an array of indices."""
        parts = (take(x, rows) for x in (self.flux, self.parallax, self.parallax_err))
        flux, parallax, parallax_err = parts
        return FitData(flux, self.whitener[rows], parallax, parallax_err)


def fit_data(
    model: XPModel,
    spectra: Spectra,
    covariance: ModelCovariance | None = None,
    *,
    asarray: Callable[[np.ndarray], Any] = np.asarray,
    inflate: Callable[[Whitener, Any, Any], Whitener] | None = None,
) -> FitData:
    """The data as a fit compares them with a model.

    Channels that the model was not trained on have no weight, and the error of the emulator is
    added to that of every star.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    covariance : ModelCovariance, optional
        Usually the model's own; None takes the emulator to be exact.
    asarray : callable
        Makes NumPy arrays into those of another namespace or device.
    inflate : callable, optional
        A faster `xpfit.data.Whitener.inflate`.

    Returns
    -------
    FitData
    """
    spectra = spectra.keep_channels(model.trained_channels)
    whitener = with_arrays(spectra.whitener, asarray)
    if covariance is not None:
        scale, root = asarray(spectra.space.scale(spectra.flux)), asarray(covariance.root())
        whitener = inflate(whitener, scale, root) if inflate else whitener.inflate(scale, root)
    flux, parallax, parallax_err = (
        asarray(x) for x in (spectra.flux, spectra.parallax, spectra.parallax_err)
    )
    return FitData(flux, whitener, parallax, parallax_err)
