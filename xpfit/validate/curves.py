"""Curves that figures of a model show: spectra over their continuum, published extinction."""

from __future__ import annotations

from importlib import metadata

import numpy as np
from astropy.table import Table

CONTINUUM_DEGREE = 5
"""ZGR23 take a polynomial of this degree for each spectrum's continuum."""


def over_continuum(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """A spectrum over its continuum, a polynomial of degree 5 (ZGR23, figs. 12-14).

    Parameters
    ----------
    wavelength, flux : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
    """
    # Fractional residuals are fitted: cool stars have hardly any flux in the blue.
    continuum = np.polynomial.Polynomial.fit(wavelength, flux, CONTINUUM_DEGREE, w=1.0 / flux)
    return flux / continuum(wavelength)


def xp_extinction_curve() -> tuple[np.ndarray, np.ndarray] | None:
    """The extinction curve that Zhang & Yuan measured on XP spectra, if their package is installed.

    Returns
    -------
    wavelength, curve : ndarray
        nm, and A(lambda) / A(550 nm); None without the package ``XP-Extinction-Toolkit``.
    """
    try:
        files = metadata.files("XP-Extinction-Toolkit") or []
    except metadata.PackageNotFoundError:
        return None
    path = next((file for file in files if file.name == "XP_extinction_curve.csv"), None)
    if path is None:
        return None
    table = Table.read(path.locate(), format="ascii.csv")
    table.sort("wave")
    wavelength, excess = np.array(table["wave"]), np.array(table["ext"])
    # The file holds E(lambda - 55) / E(44 - 55), up to 100 um, where there is no extinction.
    return wavelength, 1.0 - excess / excess[-1]
