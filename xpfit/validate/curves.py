"""Curves that figures of a model show: spectra over their continuum, published extinction."""

from __future__ import annotations

import os
from importlib import metadata

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..read import read_table
from ..read.columns import find_column
from ..read.tables import float_column
from ..read.units import converted, require_median, stated_unit

WAVELENGTH_NAMES = ("wavelength", "wave", "wl", "lambda", "wavelength_nm")
CURVE_NAMES = ("extinction_curve", "extinction", "curve", "r", "ext", "r_lambda")
TYPICAL_WAVELENGTH = (300.0, 5000.0)
"""nm, between which the median of a curve's wavelengths is."""

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


def read_extinction_curve(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """A published extinction curve from a file, such as that of ZGR23's model.

    Parameters
    ----------
    path : path-like
        Table with the wavelength (nm where it states no other unit; `wavelength`, `wave`, `wl` or
        `lambda`) and the extinction there in any normalisation (`extinction_curve`, `extinction`,
        `curve`, `r` or `ext`).

    Returns
    -------
    wavelength, curve : ndarray
        nm, rising, and the values as they are.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, a column is missing or in a wrong unit, or values are not
        positive.
    """
    table, what = read_table(path), str(path)
    found = {
        key: find_column(table, names, what)
        for key, names in (("wavelength", WAVELENGTH_NAMES), ("curve", CURVE_NAMES))
    }
    for key, names in (("wavelength", WAVELENGTH_NAMES), ("curve", CURVE_NAMES)):
        if found[key] is None:
            raise InputError(f"{what}: an extinction curve needs a column {' or '.join(names)}")
    wavelength, curve = (float_column(table[name]) for name in found.values())
    column = table[found["wavelength"]]
    where = f"{what}: column {found['wavelength']}"
    wavelength = converted(wavelength, stated_unit(column), "nm", where)
    known = np.isfinite(wavelength) & np.isfinite(curve)
    wavelength, curve = wavelength[known], curve[known]
    require_median(wavelength, "nm", TYPICAL_WAVELENGTH, where, stated_unit(column))
    if len(curve) < 2 or not (curve > 0).any():
        raise InputError(f"{what}: column {found['curve']} holds no extinction curve")
    order = np.argsort(wavelength)
    return wavelength[order], curve[order]


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
