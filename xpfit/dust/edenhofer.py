"""Errors of the map of Edenhofer et al. where it is given as means and standard deviations."""

from __future__ import annotations

import os

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

MEAN, STD = "MEAN", "STD."
INNER_STD = "STD. OF INTEGRATED INNER"
"""Names of the HDUs."""


class DensityError:
    """Standard deviation of the extinction up to a distance, from those of the densities.

    Parameters
    ----------
    path : path-like
        A FITS file of the form of ``mean_and_std_healpix.fits``.

    Notes
    -----
    Errors at different distances are taken as fully correlated: the sum of those of the shells is
    the largest that they allow. Samples, where there are some, give the real one.
    """

    def __init__(self, path: str | os.PathLike):
        with fits.open(path) as file:
            std = next(hdu for hdu in file if hdu.name.upper() == STD)
            inner = [hdu for hdu in file if hdu.name.upper().startswith(INNER_STD)]
            bounds = _column(file, "radial pixel boundaries")
            nest = std.header["ORDERING"].lower().startswith("nest")
            self._cells = HEALPix(std.header["NSIDE"], order="nested" if nest else "ring")
            error = np.cumsum(np.diff(bounds)[:, None] * std.data, axis=0, dtype=np.float32)
            self._error = error + (inner[0].data if inner else np.float32(0.0))
        self._outer = bounds[1:]

    @staticmethod
    def is_in(path: str | os.PathLike) -> bool:
        """Whether a file has standard deviations."""
        with fits.open(path) as file:
            return any(hdu.name.upper() == STD for hdu in file)

    def at(self, place: SkyCoord) -> np.ndarray:
        """Standard deviation of E (mag) from the Sun to places, shape (n_place,).

        That of the shell and cell in which the place is.
        """
        galactic = place.galactic
        cell = self._cells.lonlat_to_healpix(galactic.l, galactic.b)
        shell = np.searchsorted(self._outer, galactic.distance.to_value(u.pc))
        return self._error[np.minimum(shell, len(self._outer) - 1), cell].astype(float)


def _column(file: fits.HDUList, name: str) -> np.ndarray:
    """The table with a column of this name."""
    tables = (hdu.data for hdu in file if isinstance(hdu, fits.BinTableHDU))
    return next(np.asarray(t[name], float) for t in tables if t.names == [name])
