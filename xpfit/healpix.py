"""Source ids and positions: Gaia's ids say in which HEALPix cell a source was first seen."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix

ID_ORDER = 12
"""HEALPix order of the cells in Gaia's source ids."""

ID_SHIFT = 35
"""Lower bits of an id, which number the sources of a cell."""

_CELLS = HEALPix(nside=2**ID_ORDER, order="nested")
_FINEST = HEALPix(nside=2**29, order="nested")


def first_source_id(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Lowest source id that a source at a position can have.

    Parameters
    ----------
    ra, dec : ndarray, shape (n_star,)
        Degrees (ICRS).

    Returns
    -------
    ndarray of int64, shape (n_star,)
    """
    cell = _CELLS.lonlat_to_healpix(ra * u.deg, dec * u.deg)
    return cell.astype(np.int64) << ID_SHIFT


def position_of_id(source_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the HEALPix cell in a source id, within an arcminute of the source.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
        Those that are not positive, or beyond the last cell, have no position.

    Returns
    -------
    ra, dec : ndarray, shape (n_star,)
        Degrees (ICRS), NaN where unknown.
    """
    cell = np.asarray(source_id) >> ID_SHIFT
    known = (np.asarray(source_id) > 0) & (cell < _CELLS.npix)
    ra, dec = np.full(len(cell), np.nan), np.full(len(cell), np.nan)
    if known.any():
        lon, lat = _CELLS.healpix_to_lonlat(cell[known])
        ra[known], dec[known] = lon.to_value(u.deg), lat.to_value(u.deg)
    return ra, dec


def healpix_29(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """HEALPix cells of order 29 (nested, ICRS), the finest there are in 64 bits.

    Parameters
    ----------
    ra, dec : ndarray, shape (n_star,)
        Degrees.

    Returns
    -------
    ndarray of int64, shape (n_star,)
        Zero where the position is unknown.
    """
    known = np.isfinite(ra) & np.isfinite(dec)
    cells = np.zeros(len(ra), dtype=np.int64)
    if known.any():
        cells[known] = _FINEST.lonlat_to_healpix(ra[known] * u.deg, dec[known] * u.deg)
    return cells
