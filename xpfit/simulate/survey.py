"""Simulated surveys with known truth, including binaries and wrong labels.

Types are those of real stars, spectra those of a trained model, and luminosities follow from log g;
magnitudes, parallaxes, dust and all errors are like those of Gaia and LAMOST.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..constants import LN_PER_MAG
from ..constraints import FRACTION, POSITIVE, CheckedSettings, each
from ..data import Preparation, SampledSpace, Spectra, XPSettings
from ..errors import InputError
from ..healpix import first_source_id
from ..model import XPModel
from ..prepare import whiten_covariances
from .galaxy import DustField
from .noise import XPNoise, bp_rp_magnitudes, g_magnitude, gaia_parallax_err
from .stars import DWARF_LOGG, companion_types, ln_luminosity

CHUNK = 1000
"""Stars simulated at a time, which bounds memory; a survey's numbers depend on it."""

TWIN_MASS_RATIO = 0.95
"""Mass ratio above which a binary is of nearly equal masses."""

MIN_EXTINCTION = 0.005
"""Smallest E (mag)."""

N_DISTANCES = 8
"""Times that distance and E are determined from each other: each time they change less."""

LABEL_JITTER = {"teff": 0.02, "feh": 0.02, "logg": 0.03, "alpha_m": 0.01}
"""Spread (kK, dex) about the types of real stars, so that none is simulated twice."""


@dataclass(frozen=True)
class SurveySettings(CheckedSettings):
    """Properties of a simulated survey.

    Parameters
    ----------
    binary_fraction : float
        Fraction of the dwarfs with a companion; giants outshine theirs, and are single here.
    twin_fraction : float
        Fraction of the binaries with mass ratios above 0.95; the others' are uniform from 0.3.
    wrong_label_fraction : float
        Fraction of the stars with the labels of another star.
    g_limits : tuple of float
        Range of G; numbers rise linearly from the bright limit, about as the library's do.
    mean_extinction : float
        Mean E (mag) of nine tenths of the stars; of the rest it is three times as large.
    label_err : float
        Factor on LAMOST-like label errors: at G = 13, 30 K, 0.03 dex in [Fe/H], 0.04 in log g and
        0.02 in [alpha/M], rising as 10^(0.1 G), 0.5 to 3 times as large.
    magnitude_err : float
        mag; of J, H, Ks.
    """

    binary_fraction: float = 0.05
    twin_fraction: float = 0.4
    wrong_label_fraction: float = 0.02
    g_limits: tuple[float, float] = (8.0, 15.0)
    mean_extinction: float = 0.15
    label_err: float = 1.0
    magnitude_err: float = 0.025

    constraints: ClassVar = {
        **each(FRACTION, "binary_fraction", "twin_fraction", "wrong_label_fraction"),
        **each(POSITIVE, "mean_extinction", "label_err", "magnitude_err"),
        "g_limits": (lambda limits: limits[0] < limits[1], "two rising magnitudes"),
    }


TYPICAL_LABEL_ERR = {"teff": 0.03, "feh": 0.03, "logg": 0.04, "alpha_m": 0.02}
"""LAMOST-like label errors (kK, dex) at G = 13."""


@dataclass
class Survey:
    """Simulated stars, as they are observed, and as they are.

    Attributes
    ----------
    spectra : Spectra
        With labels, parallaxes, estimates of E and full whiteners.
    truth : dict of str to ndarray
        `labels` (n_star, n_label), `extinction`, `parallax`, `xi`; `mass_ratio` (zero for single
        stars); `wrong_label` (bool); `ln_absolute_flux` (n_star, n_obs), NaN in channels that the
        model was not trained on.
    """

    spectra: Spectra
    truth: dict[str, np.ndarray]

    @staticmethod
    def concatenate(parts: list[Survey]) -> Survey:
        """Join surveys of the same model."""
        return Survey(
            Spectra.concatenate([part.spectra for part in parts]),
            {name: np.concatenate([p.truth[name] for p in parts]) for name in parts[0].truth},
        )


def simulate_survey(
    model: XPModel,
    n_star: int,
    rng: np.random.Generator,
    settings: SurveySettings | None = None,
    types: np.ndarray | None = None,
    dust: DustField | None = None,
) -> Survey:
    """Simulate a survey.

    Parameters
    ----------
    model : XPModel
        In sampled space. One without luminosities is given those that follow from log g.
    n_star : int
    rng : numpy.random.Generator
    settings : SurveySettings, optional
    types : ndarray, shape (n_type, n_label), optional
        Labels of real stars to draw from; by default draws from the model's prior, which was
        learned from such.
    dust : DustField, optional
        Where the dust is: E is then that between the Sun and the star. By default it is independent
        of the position.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If the model is in coefficient space, or no type lies in its range.
    """
    return Survey.concatenate(list(iterate_survey(model, n_star, rng, settings, types, dust)))


def iterate_survey(
    model: XPModel,
    n_star: int,
    rng: np.random.Generator,
    settings: SurveySettings | None = None,
    types: np.ndarray | None = None,
    dust: DustField | None = None,
) -> Iterator[Survey]:
    """`simulate_survey` part by part, in bounded memory.

    Parameters
    ----------
    model, n_star, rng, settings, types, dust
        As for `simulate_survey`.

    Yields
    ------
    Survey
    """
    if not isinstance(model.space, SampledSpace):
        raise InputError("surveys are simulated in sampled space; this model works on coefficients")
    if n_star < 1:
        raise InputError(f"a survey needs at least one star, got {n_star}")
    simulator = _Simulator(model, rng, settings or SurveySettings(), types, dust)
    for start in range(0, n_star, CHUNK):
        yield simulator.draw(start, min(CHUNK, n_star - start))


class _Simulator:
    """Draws the stars of one survey."""

    def __init__(self, model, rng, settings, types, dust):
        self.model, self.rng, self.settings, self.dust = model, rng, settings, dust
        self.names = model.label_names
        self.types = types if types is None else types[model.in_range(types).all(axis=1)]
        if types is not None and not len(self.types):
            raise InputError("none of the given types lies in the range of the model")
        # A separate stream: positions do not change the other random numbers.
        (self.sky,) = rng.spawn(1)
        # As the model's training data were, so that it can be compared with the survey.
        xp_settings = model.preparation.settings_of(XPSettings)
        self.noise = XPNoise(model.space.wavelength[~model.space.is_band], xp_settings)

    def draw(self, first: int, n: int) -> Survey:
        """Simulate stars number `first`, `first` + 1, ..."""
        labels = self._draw_types(n)
        extinction = self._draw_extinction(n)
        xi = self.rng.standard_normal(n) if self.model.forward.curve_varies else np.zeros(n)
        mass_ratio = self._draw_mass_ratios(labels)
        place, g = self._draw_places(n), self._draw_magnitudes(n)
        stars = labels, mass_ratio, xi
        if self.dust is not None:
            extinction = self._extinction_there(stars, place, g)
        flux = self._system_flux(stars, extinction)
        parallax = self._parallax(flux, g)
        flux *= parallax[:, None] ** 2
        truth = {
            "labels": labels, "extinction": extinction, "parallax": parallax, "xi": xi,
            "mass_ratio": mass_ratio, "ln_absolute_flux": self._ln_absolute_flux(labels),
        }  # fmt: skip
        observed, truth["wrong_label"] = self._observe(first, truth, flux, place)
        return Survey(observed, truth)

    def _draw_types(self, n: int) -> np.ndarray:
        """Stellar types within the training range and above the prior-density threshold."""
        types = np.empty((0, len(self.names)))
        jitter = np.array([LABEL_JITTER[name] for name in self.names])
        while len(types) < n:
            if self.types is None:
                drawn = self.model.prior.sample(n, self.rng)
            else:
                drawn = self.types[self.rng.integers(0, len(self.types), n)]
                drawn = drawn + jitter * self.rng.standard_normal(drawn.shape)
            keep = self.model.in_range(drawn).all(axis=1)
            keep &= self.model.prior.ln_p(drawn) > self.model.ln_prior_threshold
            types = np.concatenate([types, drawn[keep]])
        return types[:n]

    def _draw_extinction(self, n: int) -> np.ndarray:
        """E of each star: exponential, with a tail."""
        mean = np.where(self.rng.random(n) < 0.9, 1.0, 3.0) * self.settings.mean_extinction
        return MIN_EXTINCTION + mean * self.rng.standard_exponential(n)

    def _draw_mass_ratios(self, labels: np.ndarray) -> np.ndarray:
        """Mass ratios of binaries, zero for single stars."""
        n, settings = len(labels), self.settings
        dwarf = labels[:, self.names.index("logg")] > DWARF_LOGG
        rows = np.flatnonzero(dwarf & (self.rng.random(n) < settings.binary_fraction))
        twin = self.rng.random(len(rows)) < settings.twin_fraction
        lowest = np.where(twin, TWIN_MASS_RATIO, 0.3)
        highest = np.where(twin, 1.0, TWIN_MASS_RATIO)
        ratio = np.zeros(n)
        ratio[rows] = self.rng.uniform(lowest, highest)
        return ratio

    def _ln_absolute_flux(self, labels: np.ndarray) -> np.ndarray:
        """ln flux at 1 kpc without dust; NaN in channels that were not trained."""
        ln_flux = self.model.forward.ln_absolute_flux(labels)
        if not self.model.absolute:
            ln_flux = ln_flux + ln_luminosity(labels, self.names)[:, None]
        return np.where(self.model.trained_channels, ln_flux, np.nan)

    def _flux(self, labels, extinction, xi) -> np.ndarray:
        """Flux at 1 kpc, attenuated by dust."""
        forward = self.model.forward
        ln_curve = forward.ln_curve
        if forward.curve_varies:
            ln_curve = ln_curve + xi[:, None] * forward.variation
        return np.exp(self._ln_absolute_flux(labels) - extinction[:, None] * np.exp(ln_curve))

    def _system_flux(self, stars, extinction) -> np.ndarray:
        """Flux at 1 kpc of stars (labels, mass ratios, xi) with their companions, attenuated."""
        labels, mass_ratio, xi = stars
        flux = self._flux(labels, extinction, xi)
        binary = np.flatnonzero(mass_ratio > 0)
        types = companion_types(labels[binary], mass_ratio[binary], self.names)
        types = np.clip(types, *self.model.label_ranges.T)
        flux[binary] += self._flux(types, extinction[binary], xi[binary])
        return flux

    def _draw_magnitudes(self, n: int) -> np.ndarray:
        """G magnitudes as they are observed."""
        bright, faint = self.settings.g_limits
        return bright + (faint - bright) * np.sqrt(self.rng.random(n))

    def _parallax(self, flux: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Parallaxes (mas) that put stars of given flux at 1 kpc at their magnitudes."""
        return np.exp(0.5 * LN_PER_MAG * (g_magnitude(self.model.wavelength, flux) - g))

    def _extinction_there(self, stars, place, g) -> np.ndarray:
        """E of the dust between the Sun and the stars, whose distances depend on it."""
        galactic = SkyCoord(*(x * u.deg for x in place)).galactic.cartesian.xyz.value.T
        extinction = np.zeros(len(g))
        for _ in range(N_DISTANCES):
            parallax = self._parallax(self._system_flux(stars, extinction), g)
            extinction = MIN_EXTINCTION + self.dust.extinction(
                1000.0 / parallax[:, None] * galactic
            )
        return extinction

    def _observe(self, first, truth, flux, place) -> tuple[Spectra, np.ndarray]:
        """Add noise to everything; returns also which stars have the labels of another."""
        n, rng = len(flux), self.rng
        source_id, gaia = self._identify(first, flux, place)
        g = gaia["phot_g_mean_mag"]
        noisy, flux_err, whitener = self._observe_flux(flux)
        parallax_err = gaia_parallax_err(g)
        extinction_err = np.hypot(0.02, 0.1 * truth["extinction"])
        worse = self.settings.label_err * np.clip(10.0 ** (0.1 * (g - 13.0)), 0.5, 3.0)
        label_err = worse[:, None] * [TYPICAL_LABEL_ERR[name] for name in self.names]
        wrong = rng.random(n) < self.settings.wrong_label_fraction
        labels = np.where(wrong[:, None], self._draw_types(n), truth["labels"])
        labels = labels + label_err * rng.standard_normal(labels.shape)
        spectra = Spectra(
            source_id=source_id,
            space=self.model.space,
            flux=noisy,
            flux_err=flux_err,
            whitener=whitener,
            parallax=truth["parallax"] + parallax_err * rng.standard_normal(n),
            parallax_err=parallax_err,
            extinction=truth["extinction"] + extinction_err * rng.standard_normal(n),
            extinction_err=extinction_err,
            labels=dict(zip(self.names, labels.T, strict=True)),
            label_err=dict(zip(self.names, label_err.T, strict=True)),
            gaia=gaia,
            preparation=Preparation(self.noise.settings),
        )
        return spectra, wrong

    def _draw_places(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Right ascensions and declinations (deg) all over the sky."""
        ra = self.sky.uniform(0.0, 360.0, n)
        return ra, np.degrees(np.arcsin(self.sky.uniform(-1.0, 1.0, n)))

    def _identify(self, first: int, flux: np.ndarray, place) -> tuple[np.ndarray, dict]:
        """Source ids, and columns of gaia_source: positions and magnitudes.

        As in Gaia's ids, the bits above the 35th are the HEALPix cell.
        """
        n, (ra, dec) = len(flux), place
        wavelength = self.model.wavelength
        g, (bp, rp) = g_magnitude(wavelength, flux), bp_rp_magnitudes(wavelength, flux)
        gaia = {"ra": ra, "dec": dec, "phot_g_mean_mag": g, "phot_bp_mean_mag": bp,
                "phot_rp_mean_mag": rp}  # fmt: skip
        return first_source_id(ra, dec) + 1 + first + np.arange(n), gaia

    def _observe_flux(self, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noisy flux, its errors, and whiteners."""
        known = self.model.trained_channels
        flux = np.where(known, flux, 0.0)
        covariance = self.noise.covariance_with_bands(flux, self.settings.magnitude_err)
        mask = np.broadcast_to(~known, flux.shape)
        whitener = whiten_covariances(covariance, mask).whitener
        used = np.flatnonzero(known)
        spread = np.linalg.cholesky(covariance[np.ix_(np.arange(len(flux)), used, used)])
        noisy = flux.copy()
        noisy[:, used] += (spread @ self.rng.standard_normal((len(flux), len(used), 1)))[:, :, 0]
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        return noisy, np.where(mask, np.inf, np.sqrt(np.where(mask, 1.0, variance))), whitener
