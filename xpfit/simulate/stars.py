"""Simple physics of stars: the main sequence, the giant branch, luminosities and companions."""

from __future__ import annotations

import numpy as np
from astropy.constants import GM_sun, kpc
from scipy.constants import c, h, k

from ..constants import AMPLITUDE_WINDOW, FLUX_UNIT_SI

DWARF_LOGG = 3.8
"""log g above which a star is on the main sequence: there it may have a companion."""


def main_sequence_logg(teff: np.ndarray) -> np.ndarray:
    """log g along the main sequence (ZGR23, eq. 28).

    Parameters
    ----------
    teff : array_like
        kK.

    Returns
    -------
    ndarray
    """
    teff = np.asarray(teff, dtype=float)
    return np.where(teff < 5.0, 4.6, np.where(teff < 6.3, 4.6 - 0.5 * (teff - 5.0), 3.95))


def giant_branch_teff(logg: np.ndarray) -> np.ndarray:
    """Teff along the giant branch (ZGR23, eq. 29).

    Parameters
    ----------
    logg : array_like

    Returns
    -------
    ndarray
        kK.
    """
    logg = np.asarray(logg, dtype=float)
    return np.where(logg < 3.65, 5.2 - 0.44186 * (3.65 - logg), 5.9 - 1.4 * (4.15 - logg))


def ln_luminosity(labels: np.ndarray, label_names: tuple[str, ...]) -> np.ndarray:
    """ln of the flux at 592-782 nm of a star at 1 kpc, as it follows from Teff and log g.

    Parameters
    ----------
    labels : ndarray, shape (n_star, n_label)
    label_names : tuple of str

    Returns
    -------
    ndarray, shape (n_star,)
        ln of 1e-18 W m-2 nm-1.

    Notes
    -----
    A black body of radius R^2 = G M / g; M is 1.1 solar masses for giants and (Teff / 5.77 kK)^1.5
    on the main sequence, with a smooth transition at log g = 3.8.
    """
    teff, logg = (labels[:, label_names.index(name)] for name in ("teff", "logg"))
    on_sequence = 1.0 / (1.0 + np.exp(-(logg - DWARF_LOGG) / 0.15))
    ln_mass = (1.0 - on_sequence) * np.log(1.1) + on_sequence * 1.5 * np.log(teff / 5.77)
    # (R / 1 kpc)^2, with g in cm s-2.
    ln_dilution = np.log(100.0 * GM_sun.si.value / kpc.si.value**2) + ln_mass - logg * np.log(10.0)
    wavelength = np.mean(AMPLITUDE_WINDOW) * 1e-9
    # Planck's law, W m-2 sr-1 per m of wavelength.
    exponent = h * c / (wavelength * k * 1e3 * teff)
    radiance = 2.0 * h * c**2 / wavelength**5 / np.expm1(exponent)
    return ln_dilution + np.log(np.pi * radiance * 1e-9 / FLUX_UNIT_SI)


def companion_types(
    labels: np.ndarray, mass_ratio: np.ndarray, label_names: tuple[str, ...]
) -> np.ndarray:
    """Labels of companions on the main sequence, where Teff ~ M^0.6 and g ~ M^-0.6.

    Parameters
    ----------
    labels : ndarray, shape (n_star, n_label)
        Of the primaries.
    mass_ratio : ndarray, shape (n_star,)
        Between 0 and 1.
    label_names : tuple of str

    Returns
    -------
    ndarray, shape (n_star, n_label)
    """
    types = labels.copy()
    types[:, label_names.index("teff")] *= mass_ratio**0.6
    types[:, label_names.index("logg")] -= 0.6 * np.log10(mass_ratio)
    return types
