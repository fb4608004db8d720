"""How Gaia's noise depends on brightness: XP covariances, parallax errors, magnitudes.

The correlations between XP coefficients, and how their errors grow with the flux, are means over
real stars (`scripts/make_noise_model.py`); data (C) ESA/Gaia/DPAC.
"""

from __future__ import annotations

from importlib import resources

import h5py
import numpy as np

from ..constants import AMPLITUDE_WINDOW, LN_PER_MAG
from ..data import XPSettings
from ..prepare.bases import sampled_design
from ..prepare.covariance import add_calibration, calibration_covariance
from ..read import XP_BANDS
from ..releases import DR3

G_ZERO_POINT = 2.75e7
"""Mean flux at 592-782 nm (1e-18 W m-2 nm-1) of a star of G = 0; for the library to 0.12 mag."""


def g_magnitude(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Roughly Gaia's G, from the flux at 592-782 nm.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    flux : ndarray, shape (n_star, n_obs)
        1e-18 W m-2 nm-1.

    Returns
    -------
    ndarray, shape (n_star,)
    """
    return _magnitude(wavelength, flux, AMPLITUDE_WINDOW, G_ZERO_POINT)


BP_RP_WINDOWS = {"bp": ((392.0, 640.0), 4.08e7), "rp": ((640.0, 992.0), 1.27e7)}
"""Wavelengths (nm) that approximate BP and RP, and the flux there at magnitude 0 (Vega)."""


def bp_rp_magnitudes(wavelength: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roughly Gaia's BP and RP, from the mean flux over their ranges.

    Parameters
    ----------
    wavelength, flux
        As for `g_magnitude`.

    Returns
    -------
    bp, rp : ndarray, shape (n_star,)
    """
    return tuple(_magnitude(wavelength, flux, *band) for band in BP_RP_WINDOWS.values())


def _magnitude(wavelength, flux, window: tuple[float, float], zero_point: float) -> np.ndarray:
    """Magnitudes (n_star,) from the mean flux within a window of wavelengths (nm)."""
    inside = (wavelength >= window[0]) & (wavelength <= window[1])
    return -2.5 * np.log10(flux[:, inside].mean(axis=1) / zero_point)


def gaia_parallax_err(g: np.ndarray) -> np.ndarray:
    """Typical parallax errors (mas) of Gaia DR3 at given G.

    Parameters
    ----------
    g : ndarray

    Returns
    -------
    ndarray

    Notes
    -----
    ESA's performance formula, sqrt(40 + 800 z + 30 z^2) micro-arcsec with
    z = 10^(0.4 (max(G, 13) - 15)).
    """
    z = 10.0 ** (0.4 * (np.maximum(g, 13.0) - 15.0))
    return 1e-3 * np.sqrt(40.0 + 800.0 * z + 30.0 * z**2)


class XPNoise:
    """Covariances of sampled XP spectra of any brightness.

    Parameters
    ----------
    wavelength : ndarray, shape (n_xp,)
        nm.
    settings : XPSettings, optional
        Calibration terms to add.

    Notes
    -----
    C = D^T C_c D with the covariance of each band's coefficients that of real stars per unit of the
    band's photon rate, for photon noise, plus the terms of ZGR23's eq. 2.
    """

    def __init__(self, wavelength: np.ndarray, settings: XPSettings | None = None):
        self.settings = settings or XPSettings()
        self._wavelength = np.asarray(wavelength, dtype=float)
        design = sampled_design(self._wavelength, *DR3.n_coefficients)
        self._unit = []
        with (
            resources.as_file(resources.files("xpfit.simulate") / "noise.h5") as path,
            h5py.File(path) as file,
        ):
            for band in XP_BANDS:
                matrix = getattr(design, band)
                self._unit.append(matrix.T @ file[f"{band}/covariance_per_rate"][()] @ matrix)
        self._used = [np.diagonal(unit) > 0 for unit in self._unit]

    def covariance(self, flux: np.ndarray) -> np.ndarray:
        """Covariances for noise-free spectra.

        Parameters
        ----------
        flux : ndarray, shape (n_star, n_xp)
            1e-18 W m-2 nm-1.

        Returns
        -------
        ndarray, shape (n_star, n_xp, n_xp)
        """
        total, parts = np.zeros((*flux.shape, flux.shape[1])), []
        for unit, used in zip(self._unit, self._used, strict=True):
            rate = photon_rate(self._wavelength, flux, used)
            total += rate[:, None, None] * unit
            parts.append(flux * used)
        both = self._used[0] & self._used[1]
        # The exact weights of the merge matter little to terms of half a per cent.
        parts = [np.where(both, 0.5 * part, part) for part in parts]
        calibration = calibration_covariance(flux, self._wavelength, self.settings)
        return add_calibration(total, calibration, parts, self.settings)

    def photon_noise(self, flux: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noise of the photons alone, without the errors of the calibration.

        Parameters
        ----------
        flux : ndarray, shape (n_star, n_xp)
            1e-18 W m-2 nm-1.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, shape (n_star, n_xp)
            With the covariance of `covariance` less the terms of the settings.
        """
        noise = np.zeros(flux.shape)
        for unit, used in zip(self._unit, self._used, strict=True):
            values, vectors = np.linalg.eigh(unit)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            rate = photon_rate(self._wavelength, flux, used)
            noise += np.sqrt(rate)[:, None] * (rng.standard_normal(flux.shape) @ root.T)
        return noise

    def covariance_with_bands(self, flux: np.ndarray, magnitude_err: float) -> np.ndarray:
        """Covariances for noise-free spectra that are followed by photometric bands.

        Parameters
        ----------
        flux : ndarray, shape (n_star, n_obs)
            1e-18 W m-2 nm-1.
        magnitude_err : float
            mag; of each band.

        Returns
        -------
        ndarray, shape (n_star, n_obs, n_obs)
        """
        n_xp, bands = len(self._wavelength), np.arange(len(self._wavelength), flux.shape[1])
        total = np.zeros((*flux.shape, flux.shape[1]))
        total[:, :n_xp, :n_xp] = self.covariance(flux[:, :n_xp])
        total[:, bands, bands] = (LN_PER_MAG * magnitude_err * flux[:, bands]) ** 2
        return total


def photon_rate(wavelength: np.ndarray, flux: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Photons that a band receives, in arbitrary units: the mean of flux times wavelength.

    Parameters
    ----------
    wavelength : ndarray, shape (n_xp,)
        nm.
    flux : ndarray, shape (n_star, n_xp)
    used : ndarray of bool, shape (n_xp,)
        Samples that the band contributes to.

    Returns
    -------
    ndarray, shape (n_star,)
        At least that of a star of G = 21: the sky background adds noise to every spectrum.
    """
    mean = np.mean(np.maximum(flux[:, used], 0.0) * wavelength[used], axis=1)
    return np.maximum(mean, G_ZERO_POINT * 10.0**-8.4 * wavelength[used].mean())
