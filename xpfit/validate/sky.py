"""Maps over the sky: means in HEALPix cells that are as small as the stars allow (ZGR23, 5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy_healpix import HEALPix

from ..errors import InputError
from ..read.tables import float_column
from .metrics import require_columns
from .selection import chi2_per_dof

NSIDE = 256
"""Of the smallest cells, 14 arcmin (ZGR23, section 5.4)."""

COARSER = 4
"""Times that cells with too few stars are joined by four; ZGR23, with 220 million, do it twice."""

MIN_STARS = 10
"""Stars without which a cell has no mean (ZGR23, section 5.4)."""

DISTANCE_EDGES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0)
"""kpc, of the slices in distance."""

MAX_CHI2_PER_DOF, MAX_EXTINCTION, MAX_EXTINCTION_ERR = 5.0, 10.0, 0.04
MAX_PARALLAX_REL_ERR = 0.1
"""ZGR23's cuts for maps of extinction (fig. 22)."""

MAP_COLUMNS = (
    "ra", "dec", "chi2_opt", "extinction", "extinction_err", "parallax", "parallax_err", "n_obs",
    "teff", "feh", "logg", "alpha_m", "xi",
)  # fmt: skip
"""Columns that maps are made of, as far as a catalogue has them."""


class SkyMeans:
    """Weighted means in HEALPix cells, from any number of stars, in bounded memory.

    Parameters
    ----------
    nside : int
        Of the smallest cells, a power of two.

    Raises
    ------
    InputError
        If it is not.

    Notes
    -----
    Cells are nested and in Galactic coordinates: the four cells that make up a coarser one follow
    each other, so that coarser sums are sums of four.
    """

    def __init__(self, nside: int = NSIDE):
        if nside < 1 or nside & (nside - 1):
            raise InputError(f"nside must be a power of two, such as {NSIDE}, got {nside}")
        self.healpix = HEALPix(nside=nside, order="nested", frame="galactic")
        self._count, self._weight, self._sum = np.zeros((3, self.healpix.npix))

    def add(self, cells: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add stars.

        Parameters
        ----------
        cells : ndarray of int, shape (n_star,)
            From `cells_of`.
        values : ndarray, shape (n_star,)
        weights : ndarray, shape (n_star,), optional
            Inverse variances; by default all equal.
        """
        n = self.healpix.npix
        weights = np.ones(len(cells)) if weights is None else weights
        self._count += np.bincount(cells, minlength=n)
        self._weight += np.bincount(cells, weights, minlength=n)
        self._sum += np.bincount(cells, weights * values, minlength=n)

    def mean(self, min_stars: int = MIN_STARS, coarser: int = COARSER) -> np.ndarray:
        """Mean in each of the smallest cells, or in the smallest around it that has enough stars.

        Parameters
        ----------
        min_stars : int
        coarser : int
            Times that cells may be joined by four.

        Returns
        -------
        ndarray, shape (n_cell,)
            NaN where even the largest cells have too few stars.
        """
        count, weight, total = self._count, self._weight, self._sum
        result = np.full(len(count), np.nan)
        for level in range(coarser + 1):
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(count >= min_stars, total / weight, np.nan)
            spread = np.repeat(mean, 4**level)
            result = np.where(np.isfinite(result), result, spread)
            if len(count) < 48:
                break
            count, weight, total = (x.reshape(-1, 4).sum(axis=1) for x in (count, weight, total))
        return result


def cells_of(table: Table, healpix: HEALPix) -> np.ndarray:
    """Cell of each star (Galactic), -1 where its position is not known."""
    ra, dec = float_column(table["ra"]), float_column(table["dec"])
    known = np.isfinite(ra) & np.isfinite(dec)
    cells = np.full(len(table), -1, dtype=np.int64)
    if known.any():
        cells[known] = healpix.skycoord_to_healpix(SkyCoord(ra[known] * u.deg, dec[known] * u.deg))
    return cells


@dataclass
class ExtinctionMaps:
    """Mean extinction of the stars in slices of distance, over the sky.

    Attributes
    ----------
    edges : ndarray, shape (n_slice + 1,)
        kpc.
    healpix : astropy_healpix.HEALPix
        Galactic, nested.
    cumulative : ndarray, shape (n_slice, n_cell)
        Mean E (mag) of the stars in each slice; NaN where there are too few.
    n_star : ndarray of int, shape (n_slice,)
        Stars used.
    """

    edges: np.ndarray
    healpix: HEALPix
    cumulative: np.ndarray
    n_star: np.ndarray

    @property
    def differential(self) -> np.ndarray:
        """E of each slice less that of the last one before that is known, shape of `cumulative`.

        Before the first known one, E is zero, as at the Sun.
        """
        return self._since_known()[0]

    @property
    def density(self) -> np.ndarray:
        """dE/dr (mag / pc) of each slice, shape (n_slice, n_cell).

        Stars are taken to be in the middle of their slices, so that distances are those between
        the middles.
        """
        extinction, distance = self._since_known()
        return extinction / distance

    def _since_known(self) -> tuple[np.ndarray, np.ndarray]:
        """Differences in E (mag) and distance (pc) to the last slice before that is known."""
        distance = np.concatenate([[0.0], 500.0 * (self.edges[1:] + self.edges[:-1])])
        extinction = np.vstack([np.zeros(self.healpix.npix), self.cumulative])
        known = np.isfinite(extinction) * np.arange(len(distance))[:, None]
        last = np.maximum.accumulate(known)[:-1]
        difference = extinction[1:] - np.take_along_axis(extinction, last, axis=0)
        return difference, distance[1:, None] - distance[last]


def extinction_maps(
    tables: Iterable[Table],
    *,
    edges: Sequence[float] = DISTANCE_EDGES,
    nside: int = NSIDE,
    min_stars: int = MIN_STARS,
    coarser: int = COARSER,
    max_parallax_rel_err: float = MAX_PARALLAX_REL_ERR,
) -> ExtinctionMaps:
    """Maps of extinction in slices of distance (ZGR23, figs. 22 and 23).

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue with parallaxes, so of a model with luminosities.
    edges : sequence of float
        Of the slices, kpc, rising.
    nside, min_stars, coarser : int
        See `SkyMeans`.
    max_parallax_rel_err : float
        Largest error of the parallax, over the parallax.

    Returns
    -------
    ExtinctionMaps

    Raises
    ------
    InputError
        If columns are missing, the edges do not rise, or no star passes the cuts.

    Notes
    -----
    Means are weighted by the inverse variance of E. Left out are stars with chi2 / dof > 5, E > 10,
    an error of E > 0.04 mag, or of the parallax beyond the limit.
    """
    edges = np.asarray(edges, dtype=float)
    if len(edges) < 2 or not np.all(np.diff(edges) > 0) or edges[0] < 0:
        raise InputError(f"edges must be rising distances in kpc, got {edges.tolist()}")
    means = [SkyMeans(nside) for _ in edges[1:]]
    n_star = np.zeros(len(means), dtype=np.int64)
    for table in tables:
        part = table[good_for_maps(table, max_parallax_rel_err)]
        cells = cells_of(part, means[0].healpix)
        distance = 1.0 / float_column(part["parallax"])
        place = np.searchsorted(edges, distance, side="right") - 1
        value, error = (float_column(part[n]) for n in ("extinction", "extinction_err"))
        for i, mean in enumerate(means):
            rows = (place == i) & (cells >= 0)
            mean.add(cells[rows], value[rows], error[rows] ** -2.0)
            n_star[i] += rows.sum()
    if not n_star.any():
        raise InputError(
            "no star is good enough for maps: they need parallaxes (fits by a model with "
            "luminosities) to 10 % and E to 0.04 mag"
        )
    cumulative = np.array([mean.mean(min_stars, coarser) for mean in means])
    return ExtinctionMaps(edges, means[0].healpix, cumulative, n_star)


def good_for_maps(table: Table, max_parallax_rel_err: float = MAX_PARALLAX_REL_ERR) -> np.ndarray:
    """Stars that ZGR23 use for maps of extinction (fig. 22): ndarray of bool, shape (n_star,)."""
    require_columns(table, MAP_COLUMNS[:7])
    extinction, extinction_err, parallax, parallax_err = (
        float_column(table[name]) for name in MAP_COLUMNS[3:7]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        keep = (chi2_per_dof(table) <= MAX_CHI2_PER_DOF) & (parallax > 0)
        keep &= (extinction < MAX_EXTINCTION) & (extinction_err < MAX_EXTINCTION_ERR)
        return keep & (extinction_err > 0) & (parallax_err < max_parallax_rel_err * parallax)


BIRDSEYE_DISTANCE, BIRDSEYE_SLICES = 5.0, 40
"""kpc and slices of the bird's-eye view (ZGR23, section 5.4)."""

BIRDSEYE_PARALLAX_REL_ERR = 0.33

BIRDSEYE_NSIDE = 128
"""At most: forty maps take 24 bytes a cell."""

BIRDSEYE_HEIGHT = 400.0
"""pc above and below the plane, over which ZGR23's eq. 30 averages."""


def birdseye_edges(
    distance: float = BIRDSEYE_DISTANCE, n_slice: int = BIRDSEYE_SLICES
) -> np.ndarray:
    """Edges of slices (kpc) that widen outwards as parallaxes get worse: sinh(n asinh(5) / 40)."""
    return np.sinh(np.linspace(0.0, np.arcsinh(distance), n_slice + 1))


def birdseye(
    maps: ExtinctionMaps,
    *,
    half_width: float = 2.5,
    n_pixel: int = 250,
    height: float = BIRDSEYE_HEIGHT,
    n_height: int = 41,
) -> tuple[np.ndarray, np.ndarray]:
    """Density of extinction in a view from the north Galactic pole (ZGR23, eq. 30).

    Parameters
    ----------
    maps : ExtinctionMaps
        With fine slices (`birdseye_edges`).
    half_width : float
        kpc; half the side of the view.
    n_pixel : int
        Of a side.
    height : float
        pc above and below the plane.
    n_height : int
        Points between.

    Returns
    -------
    density : ndarray, shape (n_pixel, n_pixel)
        Mean dE/dr (mag / pc) over z, at [x, y]; NaN where less than half of the points are known.
    edges : ndarray, shape (n_pixel + 1,)
        kpc; of x (to the Galactic centre) and y (along its rotation).
    """
    edges = np.linspace(-half_width, half_width, n_pixel + 1)
    centre = 0.5 * (edges[1:] + edges[:-1])
    x, y = np.meshgrid(centre, centre, indexing="ij")
    total, known = np.zeros_like(x), np.zeros_like(x)
    density = _filled_inwards(maps.density)
    # dE/dr is that between the middles of slices.
    boundaries = np.concatenate([[0.0], 0.5 * (maps.edges[1:] + maps.edges[:-1])])
    for z in np.linspace(-height, height, n_height) / 1000.0:
        r = np.sqrt(x**2 + y**2 + z**2)
        longitude, latitude = np.arctan2(y, x) % (2.0 * np.pi), np.arcsin(z / r)
        cell = maps.healpix.lonlat_to_healpix(longitude * u.rad, latitude * u.rad)
        place = np.searchsorted(boundaries, r, side="right") - 1
        inside = place < len(density)
        value = np.where(inside, density[np.minimum(place, len(density) - 1), cell], np.nan)
        total += np.nan_to_num(value)
        known += np.isfinite(value)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known >= 0.5 * n_height, total / known, np.nan), edges


def _filled_inwards(density: np.ndarray) -> np.ndarray:
    """Densities where slices without stars have that of the next, the mean over both."""
    filled = density.copy()
    for i in range(len(filled) - 2, -1, -1):
        filled[i] = np.where(np.isfinite(filled[i]), filled[i], filled[i + 1])
    return filled
