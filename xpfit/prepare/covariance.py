"""Covariances of data vectors: Gaia's errors and the calibration terms of ZGR23's eq. 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.preparation import XPSettings
from .corrections import Factors


@dataclass
class DataVectors:
    """Data vectors of N sources in one observation space, without photometric bands.

    Attributes
    ----------
    flux : ndarray, shape (n_star, n_obs)
        1e-18 W m-2 nm-1; coefficients in photo-electrons per second.
    gaia_covariance : ndarray, shape (n_star, n_obs, n_obs)
        From the archive's errors and correlations alone (and the correction, if any).
    covariance : ndarray, shape (n_star, n_obs, n_obs)
        With the terms of `XPSettings`.
    mask : ndarray of bool, shape (n_star, n_obs)
        Values that cannot be used: a band is absent, or the whole source is bad.
    problem : ndarray of str, shape (n_star,)
        Why a source is bad; empty if it is not.
    correction : Factors, optional
        What the flux was multiplied with, if it was corrected.
    """

    flux: np.ndarray
    gaia_covariance: np.ndarray
    covariance: np.ndarray
    mask: np.ndarray
    problem: np.ndarray
    correction: Factors | None = None


def calibration_correlation(wavelength: np.ndarray, length: float) -> np.ndarray:
    """Correlation of the calibration error between wavelengths.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    length : float
        nm; zero for errors that are independent at every wavelength.

    Returns
    -------
    ndarray, shape (n_obs, n_obs)
        ``max(0, 1 - |difference| / length)``, positive semi-definite on any wavelengths: the
        correlation of white noise averaged over `length`.
    """
    if not length:
        return np.eye(len(wavelength))
    return np.maximum(0.0, 1.0 - np.abs(wavelength[:, None] - wavelength) / length)


def calibration_covariance(
    flux: np.ndarray, wavelength: np.ndarray, settings: XPSettings
) -> np.ndarray:
    """Covariance of flux whose calibration is off by `XPSettings.independent_error`.

    Parameters
    ----------
    flux : ndarray, shape (n_star, n_obs)
    wavelength : ndarray, shape (n_obs,)
        nm.
    settings : XPSettings

    Returns
    -------
    ndarray, shape (n_star, n_obs, n_obs)
        At wavelengths 10 nm or more apart, the diagonal term of ZGR23's eq. 2.
    """
    error = settings.independent_error * flux
    correlation = calibration_correlation(wavelength, settings.correlation_length)
    return error[:, :, None] * error[:, None, :] * correlation


def add_calibration(
    covariance: np.ndarray, calibration: np.ndarray, parts: list[np.ndarray], settings: XPSettings
) -> np.ndarray:
    """Covariances with the calibration terms of ZGR23's eq. 2.

    Parameters
    ----------
    covariance : ndarray, shape (n_star, n_obs, n_obs)
    calibration : ndarray, shape (n_star, n_obs, n_obs)
        Term that is independent at distant wavelengths.
    parts : list of ndarray, shape (n_star, n_obs)
        What each of BP and RP contributes to the data vector.
    settings : XPSettings

    Returns
    -------
    ndarray, shape (n_star, n_obs, n_obs)
    """
    total = sum(parts)
    inflated = covariance + settings.zero_point_error**2 * total[:, :, None] * total[:, None, :]
    for part in parts:
        inflated += settings.band_error**2 * part[:, :, None] * part[:, None, :]
    return inflated + calibration
