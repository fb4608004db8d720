"""Magnitudes -> flux density."""

from __future__ import annotations

import numpy as np

from ..constants import AB_ZERO_POINT_SI, FLUX_UNIT_SI, LN_PER_MAG, SPEED_OF_LIGHT, Band


def band_flux(
    magnitude: np.ndarray, magnitude_err: np.ndarray | float, band: Band
) -> tuple[np.ndarray, np.ndarray]:
    """Flux density of Vega magnitudes.

    Parameters
    ----------
    magnitude : ndarray, shape (n_star,)
        Vega magnitudes; NaN where missing.
    magnitude_err : ndarray or float
        Their standard errors, mag.
    band : Band

    Returns
    -------
    flux, flux_err : ndarray, shape (n_star,)
        1e-18 W m-2 nm-1. A missing or non-finite magnitude gives flux 0 with infinite error.

    Notes
    -----
    ZGR23, eq. 5: f = 3631 Jy * c / lambda0^2 * 10^(-0.4 (m + dm)).
    """
    magnitude = np.asarray(magnitude, dtype=float)
    flux = vega_zero_point(band) * np.exp(-LN_PER_MAG * magnitude)
    flux_err = flux * LN_PER_MAG * magnitude_err
    good = np.isfinite(flux) & np.isfinite(flux_err) & (flux_err > 0)
    return np.where(good, flux, 0.0), np.where(good, flux_err, np.inf)


def vega_zero_point(band: Band) -> float:
    """Flux density of Vega magnitude zero.

    Parameters
    ----------
    band : Band

    Returns
    -------
    float
        1e-18 W m-2 nm-1 (ZGR23, eq. 5).
    """
    wavelength = band.wavelength * 1e-9
    per_metre = AB_ZERO_POINT_SI * SPEED_OF_LIGHT / wavelength**2
    return per_metre * 1e-9 / FLUX_UNIT_SI * np.exp(-LN_PER_MAG * band.ab_offset)
