"""How well binaries are told from single stars: completeness against false alarms."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FALSE_ALARM_RATE = 0.01
"""Share of single stars that are taken for binaries, at which completeness is quoted."""

MASS_RATIO_EDGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)

TARGET = (0.6, 0.85)
"""Mass ratios of the binaries that differ most from any single star."""

G_EDGES = (0.0, 12.0, 14.0, 16.0, 18.0)
"""Magnitudes that divide the sources."""

COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00")


def detection(
    statistic: np.ndarray,
    mass_ratio: np.ndarray,
    g: np.ndarray,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, dict]:
    """Completeness of a search for binaries at a rate of false alarms, by magnitude.

    Parameters
    ----------
    statistic : ndarray, shape (n_star,)
        Larger for binaries, such as `BinaryResult.delta_bic`. NaN counts as not found.
    mass_ratio : ndarray, shape (n_star,)
        True ones; zero for single stars.
    g : ndarray, shape (n_star,)
        Magnitudes.
    false_alarm_rate : float

    Returns
    -------
    dict
        By range of G: `n_single`, `n_binary`, `threshold` (that so many single stars exceed),
        `false_alarms` at a statistic of zero, `completeness` of the mass ratios 0.6-0.85, and lists
        `mass_ratio` (edges), `n` and `found` by mass ratio.

    Raises
    ------
    InputError
        If there are no single stars or no binaries.
    """
    if not (mass_ratio > 0).any() or not (mass_ratio == 0).any():
        raise InputError(
            "completeness needs binaries and single stars; simulate some with 'xpfit simulate "
            "--binaries 0.3'"
        )
    value = np.where(np.isfinite(statistic), statistic, -np.inf)
    curves = {}
    for low, high in pairwise(G_EDGES):
        inside = (g >= low) & (g < high)
        single, double = inside & (mass_ratio == 0), inside & (mass_ratio > 0)
        if not single.any() or not double.any():
            continue
        threshold = float(np.quantile(value[single], 1.0 - false_alarm_rate, method="higher"))
        found = value > threshold
        n, share = _by_mass_ratio(mass_ratio, double, found)
        target = double & (mass_ratio >= TARGET[0]) & (mass_ratio < TARGET[1])
        curves[f"G {low:g}-{high:g}"] = {
            "n_single": int(single.sum()),
            "n_binary": int(double.sum()),
            "threshold": threshold,
            "false_alarms": float(np.mean(value[single] > 0.0)),
            "completeness": float(found[target].mean()) if target.any() else None,
            "mass_ratio": list(MASS_RATIO_EDGES),
            "n": n,
            "found": share,
        }
    return curves


def _by_mass_ratio(mass_ratio, double, found) -> tuple[list[int], list[float | None]]:
    """Number of binaries, and share of those found, by mass ratio."""
    n, share = [], []
    for low, high in pairwise(MASS_RATIO_EDGES):
        rows = double & (mass_ratio >= low) & (mass_ratio < high)
        n.append(int(rows.sum()))
        share.append(float(found[rows].mean()) if rows.any() else None)
    return n, share


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
    from matplotlib.figure import Figure

    curves = detection(statistic, mass_ratio, g, false_alarm_rate=false_alarm_rate)
    value = np.where(np.isfinite(statistic), statistic, -np.inf)
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    centre = [0.5 * (low + high) for low, high in pairwise(MASS_RATIO_EDGES)]
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        found = np.array([np.nan if x is None else x for x in curve["found"]])
        error = np.sqrt(np.clip(found * (1 - found), 0.01, None) / np.maximum(curve["n"], 1))
        left.errorbar(centre, found, error, fmt="o-", ms=4, color=colour, label=name)
        low, high = (float(x) for x in name.removeprefix("G ").split("-"))
        inside = (g >= low) & (g < high)
        target = inside & (mass_ratio >= TARGET[0]) & (mass_ratio < TARGET[1])
        alarm, complete = _trade(value[inside & (mass_ratio == 0)], value[target])
        right.step(alarm, complete, where="post", color=colour, label=name)
    left.axvspan(*TARGET, color="0.93")
    left.set(xlabel="mass ratio", ylabel="share found", ylim=(0, 1.03))
    left.set_title(f"at {100 * false_alarm_rate:g} % false alarms", fontsize=10)
    left.legend(fontsize=8)
    right.axvline(false_alarm_rate, color="0.6", lw=0.8)
    right.set(xscale="log", xlabel="share of single stars taken for binaries", ylim=(0, 1.03))
    right.set_ylabel(f"share found, mass ratio {TARGET[0]:g}-{TARGET[1]:g}")
    return figure


def _trade(single: np.ndarray, double: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates of false alarms, and completeness at each."""
    thresholds = np.sort(single)[::-1]
    alarm = np.arange(1, len(single) + 1) / len(single)
    complete = 1.0 - np.searchsorted(np.sort(double), thresholds, side="right") / max(
        len(double), 1
    )
    return alarm, complete
