"""Completeness of a search for binaries."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..validate import binaries
from ..validate.metrics import magnitude_groups
from .style import BLUE, GREEN, ORANGE, VERMILION, subplots

COLOURS = (BLUE, GREEN, ORANGE, VERMILION)
"""Of the ranges of magnitude, from bright to faint."""


def detection_figure(
    statistic: np.ndarray,
    mass_ratio: np.ndarray,
    g: np.ndarray,
    *,
    false_alarm_rate: float = binaries.FALSE_ALARM_RATE,
) -> Figure:
    """Completeness by mass ratio, and against the rate of false alarms.

    Parameters
    ----------
    statistic, mass_ratio, g, false_alarm_rate
        As for `detection`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        As `detection`.
    """
    groups = magnitude_groups(g, binaries.G_EDGES)
    curves = binaries.detection(statistic, mass_ratio, g, false_alarm_rate=false_alarm_rate)
    value = np.where(np.isfinite(statistic), statistic, -np.inf)
    figure, (left, right) = subplots(1, 2, size=(9.0, 4.0))
    edges = np.array(binaries.MASS_RATIO_EDGES)
    centre = 0.5 * (edges[1:] + edges[:-1])
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        found = np.array(curve["found"], dtype=float)
        error = np.sqrt(np.clip(found * (1 - found), 0.01, None) / np.maximum(curve["n"], 1))
        left.errorbar(centre, found, error, fmt="o-", ms=4, color=colour, label=name)
        inside = groups[name]
        target = inside & (mass_ratio >= binaries.TARGET[0]) & (mass_ratio < binaries.TARGET[1])
        alarm, complete = binaries.completeness_curve(
            value[inside & (mass_ratio == 0)], value[target]
        )
        right.step(alarm, complete, where="post", color=colour, label=name)
    left.axvspan(*binaries.TARGET, color="0.93")
    left.set(xlabel="mass ratio", ylabel="fraction found", ylim=(0, 1.03))
    left.set_title(f"at {100 * false_alarm_rate:g} % false alarms", fontsize=10)
    left.legend(fontsize=8)
    right.axvline(false_alarm_rate, color="0.6", lw=0.8)
    right.set(xscale="log", xlabel="fraction of single stars taken for binaries", ylim=(0, 1.03))
    right.set_ylabel(f"fraction found, mass ratio {binaries.TARGET[0]:g}-{binaries.TARGET[1]:g}")
    return figure
