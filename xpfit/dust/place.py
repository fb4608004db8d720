"""Where stars are, and which of them are behind all dust."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..data import Spectra
from ..healpix import position_of_id

MIN_LATITUDE = 10.0
"""deg; nearer to the plane, dust behind the stars is in a map of the column (ZGR23, fig. 20)."""

MIN_HEIGHT = 400.0
"""pc above or below the plane, beyond the dust (ZGR23, fig. 20)."""

CLOUDS = {"LMC": (80.9, -69.8, 8.0), "SMC": (13.2, -72.8, 6.0)}
"""Right ascension, declination and radius (deg) of regions left out, as in ZGR23's fig. 20."""


def star_positions(
    spectra: Spectra, others: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Position of each star: of Gaia's tables, else of others, else of the source id's cell.

    Parameters
    ----------
    spectra : Spectra
    others : tuple of ndarray of shape (n_star,), optional
        Right ascension and declination of another table; NaN where unknown.

    Returns
    -------
    ra, dec : ndarray, shape (n_star,)
        Degrees (ICRS), NaN where unknown.
    """
    ra, dec = position_of_id(spectra.source_id)
    better = [others] if others is not None else []
    if {"ra", "dec"} <= spectra.gaia.keys():
        better.append((spectra.gaia["ra"], spectra.gaia["dec"]))
    for new_ra, new_dec in better:
        measured = np.isfinite(new_ra) & np.isfinite(new_dec)
        ra, dec = np.where(measured, new_ra, ra), np.where(measured, new_dec, dec)
    return ra, dec


def nearest_behind_dust(position: SkyCoord) -> np.ndarray:
    """Distance beyond which a line of sight holds no more dust.

    Parameters
    ----------
    position : SkyCoord, shape (n_star,)

    Returns
    -------
    ndarray, shape (n_star,)
        pc, where the line of sight is `MIN_HEIGHT` from the Galactic plane; infinite within
        `MIN_LATITUDE` of the plane and in the Magellanic Clouds (ZGR23, section 5.3).
    """
    latitude = np.abs(position.galactic.b.rad)
    clear = latitude > np.radians(MIN_LATITUDE)
    direction = SkyCoord(position.icrs.ra, position.icrs.dec)
    for ra, dec, radius in CLOUDS.values():
        clear &= direction.separation(SkyCoord(ra * u.deg, dec * u.deg)).deg > radius
    return np.where(clear, MIN_HEIGHT / np.sin(np.where(clear, latitude, 1.0)), np.inf)


def behind_all_dust(position: SkyCoord, distance: np.ndarray) -> np.ndarray:
    """Stars whose extinction is that of the whole line of sight.

    Parameters
    ----------
    position : SkyCoord, shape (n_star,)
    distance : ndarray, shape (n_star,)
        pc; NaN where unknown: then latitude and the clouds alone decide.

    Returns
    -------
    ndarray of bool, shape (n_star,)
    """
    nearest = nearest_behind_dust(position)
    return np.isfinite(nearest) & ~(distance <= nearest)
