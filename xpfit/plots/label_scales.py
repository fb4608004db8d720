"""Figure of the labels of several surveys before and after they were tied together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..prepare.label_scales import LabelScales
from ..prepare.label_scales.residuals import Residuals, common_star_residuals
from ..quantities import quantity
from ..statistics import robust_width
from .style import VERMILION, draw_quantiles, subplots

MAX_POINTS = 5000
"""Stars that are drawn of each survey."""

HALF_HEIGHT = 5.0
"""Half height of a panel, in robust widths of the differences before."""

COLOURS = {"before": "0.55", "after": VERMILION}


def label_scales_figure(tables: Mapping[str, Table], scales: LabelScales) -> Figure:
    """Draw the labels of each survey less those of the others, for stars in common.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
        Labels of each survey, with `source_id`.
    scales : LabelScales
        How they were tied together.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each survey but the reference, a column for each label: points and running
        quantiles before (grey) and after (red), and the relation that was fitted.
    """
    labels = list(scales.scales)
    rows = [name for name in scales.surveys if name != scales.reference]
    size = (3.4 * len(labels), 2.6 * len(rows) + 0.4)
    figure, axes = subplots(len(rows), len(labels), size=size, squeeze=False)
    for ax, (survey, label) in zip(axes.flat, product(rows, labels), strict=True):
        if survey not in scales.scales[label]:
            ax.axis("off")
            continue
        _draw(ax, common_star_residuals(tables, scales, label, survey), label)
        scale, x = scales.scales[label][survey], np.array(ax.get_xlim())
        fitted = scale.offset + scale.slope * (x - scale.pivot)
        ax.plot(x, fitted, color="k", lw=1.2, label="fitted")
        ax.set_xlim(*x)
        ax.text(0.03, 0.95, survey, transform=ax.transAxes, va="top", fontsize=9)
    drawn = next(ax for ax in axes.flat if ax.has_data())
    figure.legend(
        *drawn.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8,
        markerscale=3,
    )  # fmt: skip
    return figure


def _draw(ax: Axes, residuals: Residuals, label: str) -> None:
    """One survey and label."""
    step = slice(None, None, max(len(residuals.others) // MAX_POINTS, 1))
    for name, colour in COLOURS.items():
        y = getattr(residuals, name)
        text = f"survey less the others, {name}"
        points = {"s": 3, "lw": 0, "alpha": 0.5, "color": colour}
        ax.scatter(residuals.others[step], y[step], label=text, rasterized=True, **points)
        draw_quantiles(ax, residuals.others, y, colour, 1.5)
    ax.axhline(0.0, color="0.4", lw=0.8, zorder=0)
    middle = np.median(residuals.before)
    height = HALF_HEIGHT * robust_width(residuals.before)
    ax.set_ylim(min(middle, 0.0) - height, max(middle, 0.0) + height)
    ax.set_xlim(*np.quantile(residuals.others, (0.003, 0.997)))
    ax.set_xlabel(quantity(label).axis_label)
    ax.set_ylabel(rf"$\Delta$ {quantity(label).axis_label}")
