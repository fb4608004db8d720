"""What all figures share: colours, axes, densities, running quantiles, ellipses, files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import OutputError
from ..files import atomic_output

BLUE, VERMILION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
"""Of the palette by Okabe and Ito, whose colours colour-blind readers can distinguish."""

GROUP_COLOURS = {"giants": VERMILION, "dwarfs": BLUE}

SEQUENTIAL = "cividis"
"""Colour map of quantities that have no middle."""

DPI = 200

CONTOURS = (0.68, 0.95, 0.99)
"""Fractions of all stars that the contours of a density enclose."""

MIN_FOR_QUANTILES = 50
"""Stars without which no running quantiles are drawn."""

QUANTILE_STYLES = ("--", "-", "--")
"""Lines at 16, 50 and 84 %."""

WAVELENGTH_TICKS = (400, 500, 600, 800, 1000, 1500, 2000)

FLUX_LABEL = r"[$10^{-18}$ W m$^{-2}$ nm$^{-1}$]"


def subplots(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], **options
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure and its axes, as `matplotlib.pyplot.subplots`, but without a global list of figures.

    Parameters
    ----------
    rows, columns : int
    size : tuple of float
        Width and height in inches.
    **options
        Of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : matplotlib.axes.Axes or ndarray of them
    """
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def save(figure: Figure, path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
        Its ending says the format.
    overwrite : bool

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    with atomic_output(path, overwrite=overwrite) as part:
        draw(figure, part)


def draw(figure: Figure, path: str | os.PathLike) -> None:
    """Draw a figure into a new file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
        Its ending says the format.
    """
    figure.savefig(path, dpi=DPI)


def figure_format(path: str | os.PathLike) -> str:
    """Format of a figure's file, by its ending.

    Raises
    ------
    OutputError
        If no figures are written with this ending.
    """
    known = Figure().canvas.get_supported_filetypes()
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in known:
        raise OutputError(f"{path}: unknown format of figures; use .png, .pdf or .svg")
    return known[suffix]


def wavelength_axis(axes: Axes, ticks: tuple[int, ...] = WAVELENGTH_TICKS) -> None:
    """Make the x axis one of logarithmic wavelengths in nm, with readable ticks."""
    axes.set(xscale="log", xlabel="wavelength [nm]")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def filled_limits(edges: np.ndarray, filled: np.ndarray, margin: int) -> tuple[float, float]:
    """Range of the cells that are filled, and of some more.

    Parameters
    ----------
    edges : ndarray, shape (n_cell + 1,)
    filled : ndarray of bool, shape (n_cell,)
    margin : int
        Number of cells that are added on either side.

    Returns
    -------
    low, high : float
    """
    places = np.flatnonzero(filled)
    high = edges[min(places[-1] + 1 + margin, len(filled))]
    return edges[max(places[0] - margin, 0)], high


def colour_limit(values: np.ndarray, fraction: float, lowest: float) -> float:
    """Quantile of the values that are known, above which colours do not change; 1 without any."""
    finite = values[np.isfinite(values)]
    return max(float(np.quantile(finite, fraction)), lowest) if len(finite) else 1.0


def running_quantiles(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """16, 50 and 84 % of y in 12 bins of x with equal numbers of stars.

    Parameters
    ----------
    x, y : ndarray, shape (n_star,)
        At least 12, all finite.

    Returns
    -------
    centre : ndarray, shape (12,)
        Median x of each bin.
    quantiles : ndarray, shape (3, 12)
    """
    parts = np.array_split(np.argsort(x), 12)
    centre = np.array([np.median(x[part]) for part in parts])
    return centre, np.array([np.quantile(y[part], [0.16, 0.5, 0.84]) for part in parts]).T


def draw_quantiles(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, width: float) -> None:
    """Draw running 16, 50 and 84 % lines, where there are enough stars for them."""
    if len(x) < MIN_FOR_QUANTILES:
        return
    centre, quantiles = running_quantiles(x, y)
    for values, style in zip(quantiles, QUANTILE_STYLES, strict=True):
        axes.plot(centre, values, style, color=colour, lw=width)


def draw_density(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw a two-dimensional histogram with contours of enclosed mass.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x, y : ndarray, shape (n,)
    """
    from scipy.ndimage import gaussian_filter

    counts, x_edges, y_edges = np.histogram2d(
        x, y, bins=80, range=[np.quantile(v, [0.0005, 0.9995]) for v in (x, y)]
    )
    counts = gaussian_filter(counts, 1.2)
    ordered = np.sort(counts.ravel())[::-1]
    enclosed = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(enclosed, mass)]) for mass in CONTOURS})
    axes.pcolormesh(x_edges, y_edges, np.log10(np.maximum(counts, 0.5)).T, cmap="Greys")
    centres = [0.5 * (edges[1:] + edges[:-1]) for edges in (x_edges, y_edges)]
    axes.contour(*centres, counts.T, levels=levels, colors=GROUP_COLOURS["giants"], linewidths=1)


def draw_ellipse(
    axes: Axes, centre: np.ndarray, covariance: np.ndarray, colour: str = VERMILION
) -> None:
    """Draw ellipses of 1 and 2 sigma; the limits of the axes remain as they are.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    centre : ndarray, shape (2,)
    covariance : ndarray, shape (2, 2)
    colour : str
    """
    limits = axes.get_xlim(), axes.get_ylim()
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    for n_sigma in (1.0, 2.0):
        x, y = centre[:, None] + n_sigma * (vectors * np.sqrt(np.maximum(values, 0.0))) @ circle
        axes.plot(x, y, color=colour, lw=1.2)
    axes.plot(*centre, "+", color=colour, ms=6)
    axes.set(xlim=limits[0], ylim=limits[1])
