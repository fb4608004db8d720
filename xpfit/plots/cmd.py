"""Colour-absolute-magnitude diagrams: measured parallaxes beside fitted ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.cmd import ColourMagnitude
from .style import SEQUENTIAL, subplots

MAX_POINTS = 20_000
"""Stars up to which each is drawn; of more, their density is."""

BIN_SIZES = (0.02, 0.05)
"""mag, of the cells of a density."""

SHOWN = (0.002, 0.998)
"""Quantiles of the stars, and how much more (mag) is shown."""

MARGIN = 0.3

FEH_LIMITS = (-2.0, 0.5)
"""Colours do not change beyond."""


def cmd_figure(stars: ColourMagnitude) -> Figure:
    """Draw the colour-absolute-magnitude diagram, by measured and by fitted parallaxes.

    Parameters
    ----------
    stars : ColourMagnitude
        From `xpfit.validate.cmd.colour_magnitude`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, absolute magnitudes from the measured parallaxes alone; right, those of the fit, on
        the same axes. Without measured parallaxes there is one panel, which says so.
    """
    panels = [("parallax from spectrum and astrometry", stars.magnitude)]
    if stars.has_measured:
        panels.insert(0, ("measured parallax alone", stars.magnitude_measured))
    else:
        panels = [("parallax from the spectrum (none was measured)", stars.magnitude)]
    figure, axes = subplots(
        1, len(panels), size=(1.4 + 4.2 * len(panels), 5.4), sharex=True, sharey=True, squeeze=False
    )
    limits = [np.quantile(x, SHOWN) + [-MARGIN, MARGIN] for x in (stars.colour, stars.magnitude)]
    dense = len(stars.colour) > MAX_POINTS
    draw = _density if dense else _points
    for ax, (title, magnitude) in zip(axes[0], panels, strict=True):
        known = np.isfinite(magnitude)
        image = draw(ax, stars, magnitude, known, limits)
        ax.set_title(f"{title}\n{known.sum():,} stars", fontsize=10)
        ax.set(xlim=limits[0], ylim=limits[1][::-1])
        ax.set_xlabel(r"$(G_{\rm BP} - G_{\rm RP})_0$, without dust [mag]")
    axes[0, 0].set_ylabel(r"$M_G$, without dust [mag]")
    label = "stars in a cell" if dense else quantity("feh").axis_label
    figure.colorbar(image, ax=axes, label=label, extend="neither" if dense else "both")
    return figure


def _points(
    ax: Axes, stars: ColourMagnitude, magnitude: np.ndarray, known: np.ndarray, limits: list
) -> Collection:
    """Each star, coloured by [Fe/H]; metal-poor ones, the fewer, above the others."""
    order = np.flatnonzero(known)[np.argsort(-stars.feh[known])]
    low, high = FEH_LIMITS
    return ax.scatter(
        stars.colour[order], magnitude[order], c=stars.feh[order], s=3 if len(order) > 3000 else 6,
        vmin=low, vmax=high, cmap=SEQUENTIAL, lw=0, rasterized=True,
    )  # fmt: skip


def _density(
    ax: Axes, stars: ColourMagnitude, magnitude: np.ndarray, known: np.ndarray, limits: list
) -> Collection:
    """Numbers of stars by cell, on the same scale in all panels."""
    edges = [
        np.arange(low, high + size, size)
        for (low, high), size in zip(limits, BIN_SIZES, strict=True)
    ]
    count = np.histogram2d(stars.colour[known], magnitude[known], edges)[0]
    most = np.histogram2d(stars.colour, stars.magnitude, edges)[0].max()
    shown = np.where(count > 0, count, np.nan)
    norm = LogNorm(1, max(most, 10))
    return ax.pcolormesh(*edges, shown.T, norm=norm, cmap=SEQUENTIAL, rasterized=True)
