"""Extinction against dust maps (ZGR23, section 5.3 and fig. 20)."""

from __future__ import annotations

import importlib
from functools import partial
from types import SimpleNamespace
from typing import Protocol

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..catalogue import REFERENCE_PREFIX
from ..errors import InputError
from ..quality import is_reliable
from ..read.tables import float_column
from ..statistics import robust_width
from .metrics import require_columns

MIN_LATITUDE = 10.0
"""deg; nearer to the plane, dust behind the stars is in the map (ZGR23, fig. 20)."""

MIN_HEIGHT = 400.0
"""pc above or below the plane, beyond the dust (ZGR23, fig. 20); where the distance is known."""

CLOUDS = {"LMC": (80.9, -69.8, 10.0), "SMC": (13.2, -72.8, 6.0)}
"""Right ascension, declination and radius (deg) of regions left out, as in ZGR23's fig. 20."""

DUST_MAPS = {
    "sfd": ("SFDQuery", {}),
    "csfd": ("CSFDQuery", {}),
    "planck": ("PlanckQuery", {}),
    "lenz2017": ("Lenz2017Query", {}),
    "bh": ("BHQuery", {}),
    "bayestar": ("BayestarQuery", {"mode": "median"}),
}
"""Modules of the dustmaps package with maps of E(B-V): their class, and options of a query."""


class DustMap(Protocol):
    """Interface of a map of the `dustmaps` package."""

    def query(self, coords: SkyCoord) -> np.ndarray:
        """Reddening E(B-V) in mag at each of the coordinates, shape (n_star,)."""


def load_dust_map(name: str) -> DustMap:
    """A map of the `dustmaps` package by the name of its module.

    Parameters
    ----------
    name : str
        Such as ``sfd``, ``csfd``, ``planck``, ``bayestar``.

    Returns
    -------
    DustMap

    Raises
    ------
    InputError
        If the package is not installed, there is no such map, or its data are not installed.
    """
    if name not in DUST_MAPS:
        raise InputError(f"no dust map {name!r}; choose from {', '.join(DUST_MAPS)}")
    class_name, options = DUST_MAPS[name]
    try:
        module = importlib.import_module(f"dustmaps.{name}")
    except ImportError as error:
        raise InputError(
            f'dust maps need the dustmaps package: pip install "xpfit[maps]" ({error})'
        ) from error
    try:
        dust_map = getattr(module, class_name)()
    except OSError as error:
        raise InputError(
            f"the data of the dust map {name!r} are not installed; fetch them once with "
            f"'python -c \"import dustmaps.{name} as m; m.fetch()\"' ({error})"
        ) from error
    return SimpleNamespace(query=partial(dust_map.query, **options))


def attach_dust_map(fitted: Table, dust_map: DustMap) -> Table:
    """Add the reddening of a dust map to a catalogue, as reference of the extinction.

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with positions.
    dust_map : DustMap
        Queried at the position of each star, and at its distance where that is known.

    Returns
    -------
    astropy.table.Table
        A copy whose `ref_extinction` is that of the map; NaN where it has none.

    Raises
    ------
    InputError
        If columns are missing.
    """
    values = np.asarray(dust_map.query(_coordinates(fitted)), dtype=float)
    if values.shape != (len(fitted),):
        raise InputError(
            f"the dust map gave an array of shape {values.shape} for {len(fitted)} stars; it must "
            "give one value per star (of Bayestar, the median)"
        )
    joined = fitted.copy()
    name = f"{REFERENCE_PREFIX}extinction"
    joined.remove_columns({name, f"{name}_err"}.intersection(joined.colnames))
    joined[name] = values * u.mag
    return joined


def _coordinates(table: Table) -> SkyCoord:
    """Positions of the stars, with distances if any are known."""
    require_columns(table, ("ra", "dec", "parallax"))
    position = {name: float_column(table[name]) * u.deg for name in ("ra", "dec")}
    distance = distance_pc(table)
    if np.isfinite(distance).any():
        position["distance"] = np.where(np.isfinite(distance), distance, 1e5) * u.pc
    return SkyCoord(**position, frame="icrs")


def distance_pc(table: Table) -> np.ndarray:
    """1000 / parallax (pc) of each star, NaN where no parallax was fitted."""
    parallax = float_column(table["parallax"])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parallax > 0, 1000.0 / parallax, np.nan)


def beyond_the_dust(table: Table) -> np.ndarray:
    """Stars behind all dust, whose extinction a map of the whole line of sight should give.

    Parameters
    ----------
    table : astropy.table.Table

    Returns
    -------
    ndarray of bool, shape (n_star,)
        Reliable, more than 10 deg from the Galactic plane, more than 400 pc above or below it
        where the distance is known, and outside the Magellanic Clouds (ZGR23, fig. 20).
    """
    coordinates = _coordinates(table)
    latitude = coordinates.galactic.b.deg
    keep = is_reliable(table["quality_flags"], table["fit_flags"])
    keep = keep & (np.abs(latitude) > MIN_LATITUDE)
    height = np.abs(distance_pc(table) * np.sin(np.radians(latitude)))
    keep &= ~(height < MIN_HEIGHT)
    for ra, dec, radius in CLOUDS.values():
        centre = SkyCoord(ra * u.deg, dec * u.deg)
        keep &= SkyCoord(coordinates.ra, coordinates.dec).separation(centre).deg > radius
    return keep


def dust_numbers(table: Table, rows: np.ndarray) -> dict[str, float | int | None]:
    """Compare the extinction of stars with the reference.

    Parameters
    ----------
    table : astropy.table.Table
        With `ref_extinction`, such as from `attach_dust_map`.
    rows : ndarray of bool, shape (n_star,)

    Returns
    -------
    dict
        `n`; `bias` and `scatter` (mag) of fitted minus reference; `slope` of the straight line
        through the residuals against the reference, by Theil and Sen.
    """
    from scipy.stats import theilslopes

    reference, residual = dust_residuals(table, rows)
    if not len(residual):
        return {"n": 0, "bias": None, "scatter": None, "slope": None}
    sample = np.linspace(0, len(residual) - 1, min(len(residual), 2000)).astype(int)
    slope = theilslopes(residual[sample], reference[sample])[0] if len(sample) > 1 else np.nan
    return {
        "n": len(residual),
        "bias": float(np.median(residual)),
        "scatter": robust_width(residual),
        "slope": float(slope),
    }


def dust_residuals(table: Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Extinction of the reference, and fitted minus reference, where both are known.

    Parameters
    ----------
    table, rows
        As for `dust_numbers`.

    Returns
    -------
    reference, residual : ndarray, shape (n,)
        mag.
    """
    reference = float_column(table[f"{REFERENCE_PREFIX}extinction"])
    residual = float_column(table["extinction"]) - reference
    keep = rows & np.isfinite(residual)
    return reference[keep], residual[keep]
