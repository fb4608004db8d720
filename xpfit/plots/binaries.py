"""Completeness of a search for binaries."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from ..validate.binaries import (
    FALSE_ALARM_RATE,
    MASS_RATIO_EDGES,
    TARGET,
    completeness_curve,
    detection,
)
from .style import BLUE, GREEN, ORANGE, VERMILION, subplots

COLOURS = (BLUE, GREEN, ORANGE, VERMILION)
"""Of the ranges of magnitude, from bright to faint."""


def detection_figure(
    statistic: np.ndarray,
    mass_ratio: np.ndarray,
    g: np.ndarray,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
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
    curves = detection(statistic, mass_ratio, g, false_alarm_rate=false_alarm_rate)
    value = np.where(np.isfinite(statistic), statistic, -np.inf)
    figure, (left, right) = subplots(1, 2, size=(9.0, 4.0))
    centre = [0.5 * (low + high) for low, high in pairwise(MASS_RATIO_EDGES)]
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        found = np.array([np.nan if x is None else x for x in curve["found"]])
        error = np.sqrt(np.clip(found * (1 - found), 0.01, None) / np.maximum(curve["n"], 1))
        left.errorbar(centre, found, error, fmt="o-", ms=4, color=colour, label=name)
        low, high = (float(x) for x in name.removeprefix("G ").split("-"))
        inside = (g >= low) & (g < high)
        target = inside & (mass_ratio >= TARGET[0]) & (mass_ratio < TARGET[1])
        alarm, complete = completeness_curve(value[inside & (mass_ratio == 0)], value[target])
        right.step(alarm, complete, where="post", color=colour, label=name)
    left.axvspan(*TARGET, color="0.93")
    left.set(xlabel="mass ratio", ylabel="fraction found", ylim=(0, 1.03))
    left.set_title(f"at {100 * false_alarm_rate:g} % false alarms", fontsize=10)
    left.legend(fontsize=8)
    right.axvline(false_alarm_rate, color="0.6", lw=0.8)
    right.set(xscale="log", xlabel="fraction of single stars taken for binaries", ylim=(0, 1.03))
    right.set_ylabel(f"fraction found, mass ratio {TARGET[0]:g}-{TARGET[1]:g}")
    return figure
