"""Joins by position on the sky, with proper motions."""

from __future__ import annotations

import warnings

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import Table

from ..errors import InputError
from ..releases import DR3
from .tables import float_column

POSITION_COLUMNS = ("ra", "dec", "pmra", "pmdec")
"""Columns of gaia_source: degrees, and mas / yr (pmra times cos dec)."""

GAIA_EPOCH = DR3.epoch
"""Epoch (Julian year) of the positions in Gaia DR3, where a table has no `ref_epoch`."""

MATCH_RADIUS = 0.25
"""Arc seconds within which ZGR23 (section 2.2) join LAMOST to Gaia."""


def match_positions(
    gaia: Table, other: Table, epoch: float, radius: float = MATCH_RADIUS
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of another table at the positions of Gaia's sources at its epoch.

    Parameters
    ----------
    gaia : astropy.table.Table
        With `POSITION_COLUMNS` and, if there is one, `ref_epoch`. Sources without proper motion
        are taken to have none.
    other : astropy.table.Table
        With `ra` and `dec` in degrees.
    epoch : float
        Julian year of the other table's positions.
    radius : float
        Largest separation in arc seconds.

    Returns
    -------
    rows : ndarray of int, shape (n_gaia,)
        Row in the other table; meaningless where not matched.
    matched : ndarray of bool, shape (n_gaia,)

    Raises
    ------
    InputError
        If a column is missing.

    Warns
    -----
    UserWarning
        If a source has several rows within the radius (the nearest is used), or a row several
        sources (it is matched to the nearest).
    """
    for table, columns in ((gaia, POSITION_COLUMNS), (other, ("ra", "dec"))):
        missing = [name for name in columns if name not in table.colnames]
        if missing:
            raise InputError(
                f"columns {', '.join(missing)} are needed to join by position; a table of Gaia "
                "sources needs ra, dec, pmra, pmdec, one of labels ra, dec"
            )
    rows, matched = np.zeros(len(gaia), dtype=int), np.zeros(len(gaia), dtype=bool)
    here, there = _at_epoch(gaia, epoch), _coordinates(other)
    if not (here.good.any() and there.good.any()):
        return rows, matched
    i, j, separation, _ = search_around_sky(here.sky, there.sky, radius * u.arcsec)
    i, j = np.flatnonzero(here.good)[i], np.flatnonzero(there.good)[j]
    order = np.argsort(separation, kind="stable")
    n_source, n_row = len(i) - len(np.unique(i)), len(j) - len(np.unique(j))
    if n_source or n_row:
        warnings.warn(
            f"{n_source} further rows lie within {radius:g} arcsec of a source that has a nearer "
            f"one, and {n_row} sources within that of a row that has a nearer one; the nearest "
            "pairs are used",
            stacklevel=3,
        )
    taken = np.zeros(len(other), dtype=bool)
    for source, row in zip(i[order], j[order], strict=True):
        if not matched[source] and not taken[row]:
            rows[source], matched[source], taken[row] = row, True, True
    return rows, matched


class _Sky:
    """Usable positions of a table: coordinates, and which rows they are."""

    def __init__(self, ra: np.ndarray, dec: np.ndarray):
        self.good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
        self.sky = SkyCoord(ra[self.good] * u.deg, dec[self.good] * u.deg)


def _coordinates(table: Table) -> _Sky:
    return _Sky(float_column(table["ra"]), float_column(table["dec"]))


def _at_epoch(gaia: Table, epoch: float) -> _Sky:
    """Positions of Gaia's sources at an epoch, by linear motion on the sky."""
    ra, dec, pmra, pmdec = (float_column(gaia[name]).copy() for name in POSITION_COLUMNS)
    reference = float_column(gaia["ref_epoch"]) if "ref_epoch" in gaia.colnames else GAIA_EPOCH
    years = epoch - reference
    start = _Sky(ra, dec)
    good = start.good
    moved = start.sky.spherical_offsets_by(
        (np.nan_to_num(pmra) * years)[good] * u.mas, (np.nan_to_num(pmdec) * years)[good] * u.mas
    )
    ra[good], dec[good] = moved.ra.deg, moved.dec.deg
    return _Sky(ra, dec)
