"""Figures of the sky: extinction in slices of distance, from above, and flux residuals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..validate.sky import ExtinctionMaps, birdseye
from .style import SEQUENTIAL, colour_limit, subplots

N_ACROSS = 720
"""Pixels of a map of the whole sky, from left to right."""

UNKNOWN_COLOUR = "0.85"


def extinction_map_figure(maps: ExtinctionMaps) -> Figure:
    """Differential extinction in each slice of distance (ZGR23, figs. 22 and 23).

    Parameters
    ----------
    maps : ExtinctionMaps

    Returns
    -------
    matplotlib.figure.Figure
        Mollweide projections in Galactic coordinates, the Galactic centre in the middle, longitude
        rising to the left. Grey: too few stars.
    """
    slices, differential = pairwise(maps.edges), maps.differential
    values = {
        f"{low:g}-{high:g} kpc ({n} stars)": row
        for (low, high), n, row in zip(slices, maps.n_star, differential, strict=True)
    }
    limits = 0.0, colour_limit(differential, 0.99, 0.01)
    label = r"$\Delta$E [mag]"
    return sky_figure(maps.healpix, values, limits=limits, colours=SEQUENTIAL, label=label)


def sky_figure(
    healpix: HEALPix,
    maps: Mapping[str, np.ndarray],
    *,
    limits: tuple[float, float],
    colours: str,
    label: str,
) -> Figure:
    """Maps of the whole sky beside each other, with one scale of colours.

    Parameters
    ----------
    healpix : astropy_healpix.HEALPix
        Galactic.
    maps : mapping of str to ndarray, shape (n_cell,)
        By title.
    limits : tuple of float
    colours : str
        Name of a colour map.
    label : str
        Of the colours.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_row, n_column = (len(maps) + 1) // 2, min(len(maps), 2)
    size, projection = (4.6 * n_column, 2.3 * n_row + 0.3), {"projection": "mollweide"}
    figure, axes = subplots(n_row, n_column, squeeze=False, size=size, subplot_kw=projection)
    for ax, (title, values) in zip(axes.flat, maps.items(), strict=False):
        image = _draw_sky(ax, healpix, values, limits, colours)
        ax.set_title(title, fontsize=9)
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    figure.colorbar(image, ax=figure.axes, label=label, shrink=0.6, extend="both")
    return figure


def _draw_sky(ax: Axes, healpix, values, limits, colours):
    """Draw one map of the whole sky."""
    longitude = np.linspace(np.pi, -np.pi, N_ACROSS + 1)
    latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, N_ACROSS // 2 + 1)
    centre = [0.5 * (x[1:] + x[:-1]) for x in (longitude, latitude)]
    lon, lat = np.meshgrid(*centre)
    cells = healpix.lonlat_to_healpix((lon % (2.0 * np.pi)) * u.rad, lat * u.rad)
    ax.set_facecolor(UNKNOWN_COLOUR)
    norm = Normalize(*limits)
    image = ax.pcolormesh(
        -longitude, latitude, values[cells], norm=norm, cmap=colours, rasterized=True
    )
    at, names = np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"]
    ax.set_xticks(at, names, fontsize=6)
    ax.set_yticks(0.5 * at, ["-60°", "-30°", "b = 0°", "30°", "60°"], fontsize=6)
    ax.grid(lw=0.3, color="0.5", alpha=0.5)
    return image


def birdseye_figure(maps: ExtinctionMaps, half_width: float = 2.5) -> Figure:
    """Density of the dust from above the Galactic plane (ZGR23, eq. 30 and fig. 24).

    Parameters
    ----------
    maps : ExtinctionMaps
        With fine slices.
    half_width : float
        kpc; half the side of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        The Sun in the middle, the Galactic centre to the right. Grey: unknown.
    """
    density, edges = birdseye(maps, half_width=half_width)
    figure, ax = subplots(size=(6.2, 5.2))
    ax.set_facecolor(UNKNOWN_COLOUR)
    per_kpc = 1e3 * density
    norm = Normalize(0.0, colour_limit(per_kpc, 0.99, 1e-3))
    image = ax.pcolormesh(edges, edges, per_kpc.T, norm=norm, cmap=SEQUENTIAL, rasterized=True)
    ax.plot(0.0, 0.0, "o", mfc="none", mec="w", ms=6)
    ax.set(xlabel="x [kpc], to the Galactic centre", ylabel="y [kpc], along its rotation")
    ax.set_aspect("equal")
    ax.set_title("mean over |z| < 400 pc", fontsize=10)
    figure.colorbar(image, ax=ax, label="dE/dr [mag / kpc]", extend="both")
    return figure
