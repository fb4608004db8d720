"""Residuals as functions of the labels (ZGR23, figs. 7, 8, 10, 11, 16, 17)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..quality import CONFIDENCE_LABELS
from ..quality.flags import MIN_CONFIDENCE
from ..quantities import quantity
from ..statistics import robust_width
from ..validate.metrics import Comparison, compare, metrics
from ..validate.selection import SELECTIONS, Selection
from .style import GROUP_COLOURS, MIN_FOR_QUANTILES, ORANGE, draw_quantiles, subplots

MAX_POINTS = 5000
"""Stars up to which each is a point; more are drawn as a density."""

N_BINS = (60, 60)
"""Of the density, in label and residual."""

HALF_HEIGHT = 4.0
"""Half height of a panel, in robust widths of the residuals."""

MOST = (0.003, 0.997)
"""Quantiles between which the labels of a panel lie; a few outliers would squeeze the rest."""

RESIDUAL_RANGE = 5.0
"""Half height of a panel of the overview, in units of the scatter of all stars."""

PULL_RANGE = 6.0
"""Pulls beyond are not shown in histograms."""


def residual_figure(comparison: Comparison) -> Figure:
    """Residuals of every label against its reference, and their pulls, for giants and dwarfs.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    matplotlib.figure.Figure
    """
    labels = comparison.labels
    figure, axes = subplots(2, len(labels), squeeze=False, size=(3.4 * len(labels), 6.0))
    numbers = metrics(comparison)
    for column, name in enumerate(labels):
        _plot_residuals(axes[0, column], comparison, name, numbers)
        _plot_pulls(axes[1, column], comparison, name, numbers)
    for ax in axes.flat:
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper left", fontsize=7)
    figure.suptitle(f"xpfit - reference, {len(comparison)} stars", fontsize=10)
    return figure


def _plot_residuals(ax, comparison, name, numbers) -> None:
    """Residuals against the reference label, with 16, 50 and 84 % lines."""
    reference = comparison.reference[name]
    residual = comparison.residual(name)
    for group, colour in GROUP_COLOURS.items():
        mask, number = comparison.groups[group], numbers[group][name]
        text = group if number["n"] == 0 else f"{group}: scatter {number['scatter']:.3g}"
        ax.plot(reference[mask], residual[mask], ".", ms=2.5, alpha=0.5, color=colour, label=text)
    ax.axhline(0.0, color="0.3", lw=0.8)
    known = np.isfinite(residual)
    draw_quantiles(ax, reference[known], residual[known], "k", 1.2)
    half = RESIDUAL_RANGE * (numbers["all"][name]["scatter"] or 1.0)
    label = quantity(name).axis_label
    ax.set(xlabel=f"reference {label}", ylabel=f"residual {label}", ylim=(-half, half))


def _plot_pulls(ax, comparison, name, numbers) -> None:
    """Histogram of residuals over errors, with the unit Gaussian that correct errors give."""
    pull = comparison.pull(name)
    pull = np.where(np.abs(pull) <= PULL_RANGE, pull, np.nan)
    bins = np.linspace(-PULL_RANGE, PULL_RANGE, 49)
    for group, colour in GROUP_COLOURS.items():
        values = pull[comparison.groups[group]]
        if np.isfinite(values).any():
            text = f"{group}: width {numbers[group][name]['pull']:.2f}"
            options = {"density": True, "histtype": "step", "lw": 1.3}
            ax.hist(values, bins, color=colour, label=text, **options)
    ax.plot(bins, np.exp(-0.5 * bins**2) / np.sqrt(2.0 * np.pi), color="0.4", lw=1, ls=":")
    ax.set(xlabel=f"pull in {quantity(name).symbol}", ylabel="density")
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])  # room for the legend


def residual_grid_figure(
    comparison: Comparison, *, normalised: bool = False, survey_errors: bool = False
) -> Figure:
    """Residuals of every quantity against every label of the reference.

    Parameters
    ----------
    comparison : Comparison
    normalised : bool
        Show residuals in units of the combined errors: with correct errors the lines at 16 and
        84 % are at -1 and 1.
    survey_errors : bool
        In units of the reference's errors alone, as in ZGR23's fig. 8.

    Returns
    -------
    matplotlib.figure.Figure
        A row per quantity, a column per label, with lines at 16, 50 and 84 %. Of many stars the
        density is shown, scaled to its maximum in each column.
    """
    names = comparison.labels
    across = [name for name in names if name != "parallax"]
    options = {"sharex": "col", "sharey": "row", "squeeze": False}
    size = 2.6 * len(across), 2.1 * len(names)
    figure, axes = subplots(len(names), len(across), size=size, **options)
    for row, name in zip(axes, names, strict=True):
        values = comparison.pull(name) if normalised else comparison.residual(name)
        values = comparison.survey_pull(name) if survey_errors else values
        for ax, label in zip(row, across, strict=True):
            draw_residuals(ax, comparison.reference[label], values)
            if normalised or survey_errors:
                for sign in (-1.0, 1.0):
                    ax.axhline(sign, color="0.6", lw=0.8, ls=":")
        row[0].set_ylabel(_residual_label(name, normalised or survey_errors), fontsize=8)
        row[0].set_ylim(*_limits(values))
    for ax, label in zip(axes[-1], across, strict=True):
        ax.set_xlabel(f"reference {quantity(label).axis_label}", fontsize=8)
    kind = "residuals over combined errors" if normalised else "residuals"
    kind = "residuals over the reference's errors" if survey_errors else kind
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
    selection = replace(selection or SELECTIONS["default"], include_flagged=True)
    comparison = compare(fitted, selection)
    names = [name for name in CONFIDENCE_LABELS if name in comparison.labels]
    size = (7.0, 2.3 * len(names))
    figure, axes = subplots(len(names), 2, squeeze=False, sharex="row", sharey="row", size=size)
    for row, name in zip(axes, names, strict=True):
        confidence = np.asarray(fitted[f"{name}_confidence"], float)[comparison.rows]
        reference, residual = comparison.reference[name], comparison.residual(name)
        good = confidence > MIN_CONFIDENCE
        for ax, rows, title in ((row[0], good, "confident"), (row[1], ~good, "not confident")):
            draw_residuals(ax, reference[rows], residual[rows])
            scatter = f"scatter {robust_width(residual[rows]):.3g}" if rows.any() else "none"
            ax.set_title(f"{title}: {rows.sum()} stars, {scatter}", fontsize=8)
            ax.set_xlabel(f"reference {quantity(name).axis_label}", fontsize=8)
        row[0].set_ylabel(_residual_label(name, False), fontsize=8)
        if good.any():
            row[0].set_ylim(*_limits(residual[good], 2.0 * HALF_HEIGHT))
    return figure


def draw_residuals(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw residuals against x with running 16, 50 and 84 % lines; as points, or as a density.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : ndarray, shape (n_star,)
        Stars with a NaN are left out.
    """
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
    draw_quantiles(ax, x, y, ORANGE, 1.3)


def _draw_density(ax, x, y) -> None:
    """Density of residuals, scaled to one in each column."""
    limits = [np.quantile(x, MOST), _limits(y)]
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=N_BINS, range=limits)
    counts = counts / np.maximum(counts.max(axis=1, keepdims=True), 1)
    ax.pcolormesh(x_edges, y_edges, counts.T, cmap="Greys", rasterized=True)


def _limits(values: np.ndarray, half_height: float = HALF_HEIGHT) -> tuple[float, float]:
    """Range of a panel: the median, and a few robust widths on either side."""
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    middle, half = np.median(values), half_height * (robust_width(values) or 1.0)
    return float(middle - half), float(middle + half)


def _residual_label(name: str, normalised: bool) -> str:
    """Text beside an axis of residuals."""
    delta = rf"$\Delta$ {quantity(name).symbol}"
    return rf"{delta} / $\sigma$" if normalised else f"{delta} [{quantity(name).unit}]"
