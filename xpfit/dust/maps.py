"""Dust maps of the `dustmaps` package in one form: E in our unit, its error, where it is reliable.

Our E is ZGR23's: the unit of Bayestar19, which they take as it is (section 3.1). Other maps are
converted to that by what each is in E(B-V) (`docs/dust.md`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..errors import InputError
from .place import nearest_behind_dust

EBV_PER_UNIT = 0.884
"""E(B-V) of one unit of our E and of Bayestar19, by E(g - r); by E(r - z) it is 0.996.

Green et al. (2019, ApJ 887, 93), as explained at argonaut.skymaps.info/usage."""

EBV_PER_SFD = 0.86
"""E(B-V) of one unit of Schlegel et al. (1998): Schlafly & Finkbeiner (2011, ApJ 737, 103)."""

MIN_ERROR = 0.01
"""mag; smallest error of an estimate: structure of the dust that no map resolves."""

SFD_ERROR = 0.16
"""Relative error of maps of the column (Schlegel et al. 1998, ApJ 500, 525: 16 %)."""

FAR = 1e5
"""pc; a distance beyond the Galaxy."""


class DustMap(ABC):
    """A map of extinction.

    Attributes
    ----------
    name : str
    relative_err : float
        Systematic error of the map, relative to E.
    """

    name = "map"
    relative_err = 0.0

    @abstractmethod
    def reliable(self, position: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
        """Distances between which the map is reliable.

        Parameters
        ----------
        position : SkyCoord, shape (n_star,)
            Without distances.

        Returns
        -------
        nearest, furthest : ndarray, shape (n_star,)
            pc; NaN where the map has nothing.
        """

    @abstractmethod
    def at(self, place: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
        """Extinction from the Sun to places.

        Parameters
        ----------
        place : SkyCoord, shape (n_place,)
            With distances.

        Returns
        -------
        extinction, error : ndarray, shape (n_place,)
            Our E (mag), and what the map states as its error.
        """

    def column(self, position: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
        """Extinction of the whole line of sight, as far as the map reaches.

        Parameters
        ----------
        position : SkyCoord, shape (n_star,)
            Without distances.

        Returns
        -------
        extinction, error : ndarray, shape (n_star,)
        """
        _, furthest = self.reliable(position)
        return self.at(at_distance(position, np.where(np.isfinite(furthest), furthest, FAR)))


def at_distance(position: SkyCoord, distance: np.ndarray) -> SkyCoord:
    """Places in given directions at given distances (pc)."""
    icrs = position.icrs
    return SkyCoord(icrs.ra, icrs.dec, distance=distance * u.pc)


class Column(DustMap):
    """A map of the dust on the whole line of sight: for stars behind all of it.

    Parameters
    ----------
    query : object
        Of `dustmaps`, such as ``SFDQuery``.
    name : str
    factor : float
        Our E of one unit of the map.
    """

    relative_err = SFD_ERROR

    def __init__(self, query, name: str, factor: float):
        self._query, self.name, self._factor = query, name, factor

    def reliable(self, position):
        """From where the line of sight is behind all dust (`nearest_behind_dust`)."""
        known = np.isfinite(self.at(position)[0])
        return np.where(known, nearest_behind_dust(position), np.nan), np.where(
            known, np.inf, np.nan
        )

    def at(self, place):
        """As `DustMap.at`: the same at any distance."""
        icrs = place.icrs
        values = np.asarray(self._query.query(SkyCoord(icrs.ra, icrs.dec)), dtype=float)
        _require_one_each(values, icrs, self.name)
        return self._factor * values, np.zeros(len(values))


class Bayestar(DustMap):
    """Bayestar15, 17 or 19 (Green et al. 2015, 2018, 2019), all in units like SFD's.

    Parameters
    ----------
    query : dustmaps.bayestar.BayestarQuery
    """

    name = "bayestar"

    def __init__(self, query):
        self._query = query

    def reliable(self, position):
        """As `DustMap.reliable`; nothing where the fit of a line of sight has not converged."""
        _, flags = self._query.query(position, mode="best", return_flags=True)
        modulus = np.array([flags["min_reliable_distmod"], flags["max_reliable_distmod"]], float)
        distance = np.where(np.isfinite(modulus), 10.0 ** (0.2 * modulus + 1.0), np.nan)
        distance[:, ~np.asarray(flags["converged"], dtype=bool)] = np.nan
        return distance[0], distance[1]

    def at(self, place):
        """Mean and standard deviation of the map's samples."""
        samples = np.asarray(self._query.query(place, mode="samples"), dtype=float)
        return samples.mean(axis=-1), samples.std(axis=-1, ddof=min(1, samples.shape[-1] - 1))


class Edenhofer(DustMap):
    """Edenhofer et al. (2024, A&A 685, A82): from 69 to 1250 pc, in ZGR23's unit of E.

    Parameters
    ----------
    query : dustmaps.edenhofer2023.Edenhofer2023Query
        Integrated, from samples or from means.
    density_err : DensityError, optional
        Errors of the densities, where there are no samples.
    """

    name = "edenhofer"

    def __init__(self, query, density_err=None):
        if not query.integrated:
            raise InputError(
                "this map of Edenhofer et al. is of densities; make it with integrated=True"
            )
        self._query, self._density_err = query, density_err
        if query.n_samples is None and density_err is None:
            self.relative_err = WITHOUT_SAMPLES

    def reliable(self, position):
        """The range of the map's distances, in every direction."""
        distance = self._query.distances.to_value(u.pc)
        return np.full(len(position), distance[0]), np.full(len(position), distance[-1])

    def at(self, place):
        """Mean and standard deviation of the samples; without these, of `density_err`."""
        mean = np.asarray(self._query.query(place), dtype=float)
        if self._query.n_samples is not None:
            return mean, np.asarray(self._query.query(place, mode="std"), dtype=float)
        if self._density_err is not None:
            return mean, self._density_err.at(place)
        return mean, np.zeros(len(mean))


WITHOUT_SAMPLES = 0.15
"""Relative error of a map of Edenhofer et al. that was opened without its errors."""


def _require_one_each(values: np.ndarray, places: SkyCoord, name: str) -> None:
    """Refuse what is not one value per star."""
    if values.shape != places.shape:
        raise InputError(
            f"the dust map {name} gave an array of shape {values.shape} for {len(places)} stars; "
            "it must give one value per star"
        )
