"""Residuals as functions of the labels (ZGR23, figs. 7, 8, 10, 11, 16, 17)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..quality import CONFIDENCE_LABELS
from ..quality.flags import MIN_CONFIDENCE
from ..statistics import robust_width
from ..validate.metrics import Comparison, Selection, compare
from .labels import AXIS_LABELS, MIN_FOR_QUANTILES, running_quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 5000
"""Stars up to which each is a point; more are drawn as a density."""

N_BINS = (60, 60)
"""Of the density, in label and residual."""

HALF_HEIGHT = 4.0
"""Half height of a panel, in robust widths of the residuals."""

MOST = (0.003, 0.997)
"""Quantiles between which the labels of a panel lie; a few strange stars would squeeze the rest."""

QUANTILE_COLOUR = "#E69F00"
"""Orange of the Okabe-Ito palette."""


def residual_grid_figure(comparison: Comparison, *, normalised: bool = False) -> Figure:
    """Residuals of every quantity against every label of the reference.

    Parameters
    ----------
    comparison : Comparison
    normalised : bool
        Show residuals in units of the combined errors: with honest errors the lines at 16 and
        84 % lie at -1 and 1.

    Returns
    -------
    matplotlib.figure.Figure
        A row per quantity, a column per label, with lines at 16, 50 and 84 %. Of many stars the
        density is shown, scaled to its maximum in each column.
    """
    from matplotlib.figure import Figure

    names = comparison.labels
    across = [name for name in names if name != "parallax"]
    figure = Figure(figsize=(2.6 * len(across), 2.1 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(across), sharex="col", sharey="row", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        values = comparison.pull(name) if normalised else comparison.residual(name)
        for ax, label in zip(row, across, strict=True):
            draw_residuals(ax, comparison.reference[label], values)
            if normalised:
                _draw_unit_lines(ax)
        row[0].set_ylabel(_residual_label(name, normalised), fontsize=8)
        row[0].set_ylim(*_limits(values))
    for ax, label in zip(axes[-1], across, strict=True):
        ax.set_xlabel(f"reference {AXIS_LABELS[label]}", fontsize=8)
    kind = "residuals over combined errors" if normalised else "residuals"
    figure.suptitle(f"{kind}, {len(comparison)} stars; lines: 16, 50, 84 %", fontsize=10)
    return figure


def confidence_residual_figure(fitted: Table, selection: Selection | None = None) -> Figure:
    """Residuals of stars with and without confidence in the label (ZGR23, fig. 10).

    Parameters
    ----------
    fitted : astropy.table.Table
        Catalogue with reference columns, as for `compare`.
    selection : Selection, optional
        Flagged fits are always shown.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If columns are missing.
    """
    from matplotlib.figure import Figure

    comparison = compare(fitted, replace(selection or Selection(), include_flagged=True))
    names = CONFIDENCE_LABELS
    figure = Figure(figsize=(7.0, 2.3 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, sharex="row", sharey="row")
    for row, name in zip(axes, names, strict=True):
        sure = np.asarray(fitted[f"{name}_confidence"], float)[comparison.rows]
        reference, residual = comparison.reference[name], comparison.residual(name)
        good = sure > MIN_CONFIDENCE
        for ax, rows, title in ((row[0], good, "confident"), (row[1], ~good, "not confident")):
            draw_residuals(ax, reference[rows], residual[rows])
            ax.set_title(f"{title}: {rows.sum()} stars, {_width_text(residual[rows])}", fontsize=8)
            ax.set_xlabel(f"reference {AXIS_LABELS[name]}", fontsize=8)
        row[0].set_ylabel(_residual_label(name, False), fontsize=8)
        if good.any():
            row[0].set_ylim(*_limits(residual[good], 2.0 * HALF_HEIGHT))
    return figure


def draw_residuals(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Residuals against something, with running 16, 50 and 84 % lines; points, or a density."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    ax.axhline(0.0, color="0.6", lw=0.8)
    if not len(x):
        return
    if len(x) > MAX_POINTS:
        _draw_density(ax, x, y)
    else:
        ax.plot(x, y, ".", ms=2, alpha=0.4, color="0.35", rasterized=True)
    if len(x) >= MIN_FOR_QUANTILES:
        low, high = np.quantile(x, MOST)
        margin = 0.03 * (high - low) or 1.0
        ax.set_xlim(low - margin, high + margin)
        centre, quantiles = running_quantiles(x, y)
        for values, style in zip(quantiles, ("--", "-", "--"), strict=True):
            ax.plot(centre, values, style, color=QUANTILE_COLOUR, lw=1.3)


def _draw_density(ax, x, y) -> None:
    """Density of residuals, scaled to one in each column."""
    low, high = _limits(y)
    counts, x_edges, y_edges = np.histogram2d(
        x, y, bins=N_BINS, range=[np.quantile(x, MOST), (low, high)]
    )
    counts = counts / np.maximum(counts.max(axis=1, keepdims=True), 1)
    ax.pcolormesh(x_edges, y_edges, counts.T, cmap="Greys", rasterized=True)


def _draw_unit_lines(ax) -> None:
    """Where the 16 and 84 % lines of honest errors lie."""
    for sign in (-1.0, 1.0):
        ax.axhline(sign, color="0.6", lw=0.8, ls=":")


def _limits(values: np.ndarray, half_height: float = HALF_HEIGHT) -> tuple[float, float]:
    """Range of a panel: the middle, and some robust widths on either side."""
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    middle, half = np.median(values), half_height * (robust_width(values) or 1.0)
    return float(middle - half), float(middle + half)


def _residual_label(name: str, normalised: bool) -> str:
    """Text beside an axis of residuals."""
    title, _, unit = AXIS_LABELS[name].rpartition(" [")
    return rf"$\Delta$ {title} / $\sigma$" if normalised else rf"$\Delta$ {title} [{unit}"


def _width_text(residual: np.ndarray) -> str:
    """Robust width, as text."""
    return f"scatter {robust_width(residual):.3g}" if len(residual) else "none"
