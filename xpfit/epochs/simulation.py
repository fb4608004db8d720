"""Simulated epoch spectra of constant and variable stars, with known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..constraints import AT_LEAST_1, BETWEEN_0_AND_1, POSITIVE, CheckedSettings, each
from ..data import Preparation, SampledSpace, Spectra, XPSettings
from ..errors import InputError
from ..model import XPModel
from ..prepare import whiten_covariances
from ..simulate.noise import XPNoise, g_magnitude
from .data import EpochSpectra

Variation = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From times (days) to changes in Teff (kK) and in ln flux."""

MEASUREMENT_ONLY = XPSettings(independent_error=0.0, zero_point_error=0.0, band_error=0.0)
"""No errors of the calibration, which epochs have in common."""


@dataclass(frozen=True)
class Constant:
    """A star that does not vary."""

    def __call__(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Zeros, twice."""
        return np.zeros_like(time), np.zeros_like(time)


@dataclass(frozen=True)
class TeffSwing(CheckedSettings):
    """Sinusoidal changes of the temperature, as of a Cepheid.

    Parameters
    ----------
    swing : float
        kK, from the coolest to the hottest.
    period : float
        Days.
    phase : float
        At time zero, in periods.
    brightness : float
        d ln flux at 592-782 nm / d ln Teff, 3.7 for a black body of constant radius at 5800 K.
        With zero (the default) only the shape of the spectrum changes, which is harder to find.
    teff : float
        kK; the mean, to which `brightness` refers.
    """

    swing: float
    period: float = 5.4
    phase: float = 0.0
    brightness: float = 0.0
    teff: float = 5.8

    constraints: ClassVar = each(POSITIVE, "swing", "period", "teff")

    def __call__(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Changes in Teff (kK) and in ln flux."""
        change = 0.5 * self.swing * np.sin(2.0 * np.pi * (time / self.period + self.phase))
        return change, self.brightness * np.log1p(change / self.teff)


@dataclass(frozen=True)
class Eclipses(CheckedSettings):
    """Dips of the flux, the same at all wavelengths.

    Parameters
    ----------
    depth : float
        Fraction of the flux that is lost.
    period : float
        Days.
    duration : float
        Of a dip, in periods.
    phase : float
        At time zero, in periods.
    """

    depth: float
    period: float = 2.9
    duration: float = 0.1
    phase: float = 0.0

    constraints: ClassVar = {
        **each(BETWEEN_0_AND_1, "depth", "duration"),
        "period": POSITIVE,
    }

    def __call__(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Changes in Teff (kK) and in ln flux."""
        eclipsed = (time / self.period + self.phase) % 1.0 < self.duration
        return np.zeros_like(time), np.where(eclipsed, np.log1p(-self.depth), 0.0)


@dataclass(frozen=True)
class EpochSettings(CheckedSettings):
    """How a star is observed.

    Parameters
    ----------
    n_epoch : int
        Transits, at random times.
    years : float
        Between the first and the last; 5.5 for Gaia DR4.
    mean_transits : float
        Transits in those mean spectra of Gaia DR3 that the noise model was made from: the variance
        of one epoch is as many times larger.
    """

    n_epoch: int = 30
    years: float = 5.5
    mean_transits: float = 30.0

    constraints: ClassVar = {
        "n_epoch": AT_LEAST_1,
        **each(POSITIVE, "years", "mean_transits"),
    }


class EpochSimulator:
    """Simulates the epochs of one star after another.

    Parameters
    ----------
    model : XPModel
        In sampled space; its luminosities are not used.
    settings : EpochSettings, optional

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """

    def __init__(self, model: XPModel, settings: EpochSettings | None = None):
        if not isinstance(model.space, SampledSpace):
            raise InputError("epochs are simulated in sampled space; this model has coefficients")
        self.model, self.settings = model.shapes_only(), settings or EpochSettings()
        self._xp = np.flatnonzero(~model.space.is_band & model.trained_channels)
        wavelength = model.wavelength[self._xp]
        self._noise = XPNoise(wavelength, MEASUREMENT_ONLY)
        self._total = XPNoise(wavelength, model.preparation.settings_of(XPSettings))

    def simulate(
        self,
        labels: np.ndarray,
        g: float,
        rng: np.random.Generator,
        variation: Variation | None = None,
        *,
        extinction: float = 0.05,
        source_id: int = 1,
    ) -> EpochSpectra:
        """Simulate one star.

        Parameters
        ----------
        labels : ndarray, shape (n_label,)
            Stellar type; `teff` in kK.
        g : float
            Magnitude without the variation.
        rng : numpy.random.Generator
        variation : callable, optional
            Such as `TeffSwing`; constant by default.
        extinction : float
            mag.
        source_id : int

        Returns
        -------
        EpochSpectra
            In order of time. The error of the calibration is the same fraction of all epochs.
        """
        n, settings, xp = self.settings.n_epoch, self.settings, self._xp
        time = np.sort(rng.uniform(0.0, 365.25 * settings.years, n))
        flux = self._flux(labels, extinction, g, *(variation or Constant())(time))
        true = flux[:, xp]
        single = settings.mean_transits * self._noise.covariance(true)
        noise = np.sqrt(settings.mean_transits) * self._noise.photon_noise(true, rng)
        common = (self._total.covariance(true[:1]) - self._noise.covariance(true[:1]))[0]
        flux[:, xp] = true * (1.0 + _draw(common, rng) / true[0]) + noise
        covariance, calibration = np.zeros((n, *self._shape)), np.zeros(self._shape)
        covariance[np.ix_(np.arange(n), xp, xp)] = single
        calibration[np.ix_(xp, xp)] = common
        total = covariance + calibration
        error = np.full(flux.shape, np.inf)
        error[:, xp] = np.sqrt(np.diagonal(total, axis1=1, axis2=2)[:, xp])
        spectra = Spectra(
            source_id=np.full(n, source_id, dtype=np.int64),
            space=self.model.space,
            flux=flux,
            flux_err=error,
            whitener=whiten_covariances(total, np.isinf(error)).whitener,
            gaia={"phot_g_mean_mag": np.full(n, g)},
            preparation=Preparation(self._total.settings),
        )
        transit_id = np.arange(1, n + 1, dtype=np.int64)
        return EpochSpectra(source_id, time, transit_id, spectra, covariance, calibration)

    @property
    def _shape(self) -> tuple[int, int]:
        """Of a covariance of all channels."""
        return self.model.space.n_obs, self.model.space.n_obs

    def _flux(self, labels, extinction, g, d_teff, d_ln_flux) -> np.ndarray:
        """Flux without noise, (n_epoch, n_obs)."""
        forward, layout = self.model.forward, self.model.forward.layout
        theta = np.zeros((len(d_teff) + 1, layout.size))
        theta[:, layout.labels] = labels
        theta[1:, self.model.label_names.index("teff")] += d_teff
        theta[:, layout.extinction] = np.log(extinction)
        theta[1:, layout.parallax] = 0.5 * d_ln_flux
        flux = forward.flux(theta)
        fainter = g - g_magnitude(self.model.wavelength, flux[:1])
        return flux[1:] * 10.0 ** (-0.4 * fainter)


def _draw(covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One draw from a normal distribution whose covariance may be singular, shape (n,)."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(values)))
