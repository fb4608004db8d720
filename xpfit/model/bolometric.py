"""Bolometric fluxes: spectra of XP and the near infrared integrated over all wavelengths."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.constants import c, h, k

from ..arrays import Array
from ..constants import FLUX_UNIT_SI, PARSEC, REFERENCE_PARALLAX, SOLAR_LUMINOSITY
from ..errors import InputError

END_VALUES = 5
"""Values at the blue end that scale the Planck shape below them, so that no single one does."""

BLUEST, REDDEST = 90.0, 100_000.0
"""Wavelengths (nm) between which there is flux: from the Lyman limit to 100 um."""

STEP = 0.05
"""Largest step of the integral in ln wavelength."""


def bolometric_flux(wavelength: np.ndarray, flux: np.ndarray, teff: np.ndarray) -> Array:
    """Flux integrated over all wavelengths.

    Parameters
    ----------
    wavelength : ndarray, shape (n,)
        nm, ascending; XP and, for cool stars, J, H and Ks.
    flux : ndarray, shape (n_star, n)
        1e-18 W m-2 nm-1, without dust.
    teff : ndarray, shape (n_star,)
        kK.

    Returns
    -------
    ndarray, shape (n_star,)
        W m-2; NaN where a value is unknown or not positive.

    Raises
    ------
    InputError
        If shapes disagree, or the wavelengths do not ascend.

    Notes
    -----
    The spectrum is a Planck function of the star's Teff times a factor: a power law between
    neighbouring values, and constant beyond the last and below the first `END_VALUES`. Where values
    are close, this is a power law between them. Plain power laws between J, H and Ks, and a
    Rayleigh-Jeans tail, would miss 3 % of the flux of a black body of 5000 K, and 5 % at 4000 K.

    Below 392 nm lies 11 % of the flux of a black body of 5772 K; line blanketing makes a star's
    less than its Planck shape there.
    """
    wavelength, flux, teff = (np.asarray(x, dtype=float) for x in (wavelength, flux, teff))
    if flux.shape != (len(teff), len(wavelength)):
        raise InputError(
            f"flux has shape {flux.shape}; expected ({len(teff)}, {len(wavelength)}) for "
            f"{len(teff)} temperatures and {len(wavelength)} wavelengths"
        )
    if np.any(np.diff(wavelength) <= 0):
        raise InputError("wavelengths must ascend")
    good = np.isfinite(flux).all(axis=1) & (flux > 0).all(axis=1) & (teff > 0)
    total = np.full(len(teff), np.nan)
    total[good] = FLUX_UNIT_SI * _integral(wavelength, flux[good], teff[good])
    return total


def _integral(wavelength: np.ndarray, flux: np.ndarray, teff: np.ndarray) -> Array:
    """Integral over all wavelengths of positive flux, shape (n_star,)."""
    ratio = flux / planck(wavelength, teff)
    ends = min(BLUEST, 0.5 * wavelength[0]), max(REDDEST, 2.0 * wavelength[-1])
    knots = np.log([ends[0], *wavelength, ends[1]])
    blue = ratio[:, :END_VALUES].mean(axis=1, keepdims=True)
    # A second knot at the first value: the factor below it is another.
    knots = np.insert(knots, 1, knots[1] - 1e-9)
    ln_ratio = np.log(np.hstack([blue, blue, ratio, ratio[:, -1:]]))
    parts = [
        np.linspace(low, high, int(np.ceil((high - low) / STEP)) + 1)[:-1]
        for low, high in pairwise(knots)
    ]
    grid = np.concatenate([*parts, knots[-1:]])
    upper = np.clip(np.searchsorted(knots, grid, side="right"), 1, len(knots) - 1)
    weight = (grid - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
    factor = ln_ratio[:, upper - 1] * (1.0 - weight) + ln_ratio[:, upper] * weight
    spectrum = planck(np.exp(grid), teff) * np.exp(factor)
    integral: Array = power_law_integrals(np.exp(grid), spectrum).sum(axis=1)
    return integral


def ln_luminosity(flux: np.ndarray, parallax: np.ndarray | float = REFERENCE_PARALLAX) -> Array:
    """Ln of the luminosity of stars of given bolometric flux, in solar luminosities.

    Parameters
    ----------
    flux : ndarray, shape (n_star,)
        W m-2, without dust.
    parallax : ndarray, shape (n_star,), or float
        mas. At the reference parallax, fluxes are those at 1 kpc.

    Returns
    -------
    ndarray, shape (n_star,)
    """
    distance = 1e3 * PARSEC / np.asarray(parallax, dtype=float)
    result: Array = np.log(4.0 * np.pi * distance**2 * flux / SOLAR_LUMINOSITY)
    return result


def power_law_integrals(wavelength: np.ndarray, flux: np.ndarray) -> Array:
    """Integrals between neighbouring wavelengths of the power laws through the values there.

    Parameters
    ----------
    wavelength : ndarray, shape (n,)
        Ascending.
    flux : ndarray, shape (n_star, n)
        Positive.

    Returns
    -------
    ndarray, shape (n_star, n - 1)
        In the unit of flux times that of wavelength.
    """
    step = np.diff(np.log(wavelength))
    # f w is a power law too, and the integral of f dw is that of f w over ln w.
    product = flux * wavelength
    change = np.diff(np.log(product), axis=1)
    flat = np.abs(change) < 1e-6
    mean = np.where(flat, 1.0 + 0.5 * change, np.expm1(change) / np.where(flat, 1.0, change))
    return product[:, :-1] * step * mean


def planck(wavelength: np.ndarray, teff: np.ndarray) -> Array:
    """Flux that leaves a black body's surface, pi B.

    Parameters
    ----------
    wavelength : ndarray, shape (n,)
        nm.
    teff : ndarray, shape (n_star,)
        kK.

    Returns
    -------
    ndarray, shape (n_star, n)
        W m-2 nm-1.
    """
    metres = 1e-9 * np.asarray(wavelength, dtype=float)
    exponent = h * c / (k * metres * 1e3 * np.asarray(teff, dtype=float)[:, None])
    surface: Array = 2e-9 * np.pi * h * c**2 / metres**5 / np.expm1(exponent)
    return surface
