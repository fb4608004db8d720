"""Coverage of the 68 and 95 % regions by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..quantities import quantity
from .style import BLUE, GREEN, ORANGE, PURPLE, VERMILION, subplots

LEVEL_BANDS = {"cover68": (0.64, 0.72), "cover95": (0.92, 0.98)}
"""Fractions that count as well calibrated."""

MARKERS = {
    "teff": ("o", BLUE),
    "feh": ("s", VERMILION),
    "logg": ("^", GREEN),
    "extinction": ("D", PURPLE),
    "parallax": ("v", ORANGE),
    "joint": ("*", "0.1"),
}
"""Marker and colour of each parameter."""


def coverage_figure(numbers: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Coverage of the 68 and 95 % regions by group, with the bands that count as well calibrated.

    Parameters
    ----------
    numbers
        From `coverage`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = subplots(size=(7.2, 4.8))
    position = np.arange(len(numbers))
    for key, (low, high) in LEVEL_BANDS.items():
        ax.axhspan(low, high, color="0.9")
        for k, (name, (marker, colour)) in enumerate(MARKERS.items()):
            fractions = [group.get(name, {}).get(key, np.nan) for group in numbers.values()]
            text = "jointly" if name == "joint" else quantity(name).symbol
            label = text if key == "cover68" else None
            ax.plot(position + 0.1 * (k - 2.5), fractions, marker, color=colour, ms=5, label=label)
    ticks = [f"{name}\n{group['joint']['n']}" for name, group in numbers.items()]
    ax.set_xticks(position, ticks, fontsize=8)
    ax.set(ylim=(0.5, 1.01), xlabel="stars", ylabel="fraction of stars with the truth inside")
    ax.legend(ncols=6, fontsize=8, loc="lower center")
    ax.set_title("Regions of 68 and 95 % probability; grey: well calibrated", fontsize=10)
    return figure
