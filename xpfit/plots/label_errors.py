"""The parts of a companion's errors by label and magnitude (Fallows & Sanders 2024, figs. 5, 6)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..companion import LabelPrediction
from ..errors import InputError
from ..quantities import quantity
from .style import BLUE, GREEN, MIN_FOR_QUANTILES, VERMILION, running_quantiles, subplots

PARTS = {
    "model_err": ("of the network", VERMILION),
    "input_err": ("of the spectrum", BLUE),
    "excess_err": ("excess", GREEN),
}


def label_error_figure(prediction: LabelPrediction, g: np.ndarray) -> Figure:
    """Running medians of the total error and its parts, by predicted label and by G.

    Parameters
    ----------
    prediction : LabelPrediction
    g : ndarray, shape (n_star,)
        Magnitudes; NaN where unknown.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each label: against the label, over the distribution of stars, and against G.

    Raises
    ------
    InputError
        If there are too few stars.
    """
    n_label = len(prediction.label_names)
    if np.isfinite(prediction.values).all(axis=1).sum() < MIN_FOR_QUANTILES:
        raise InputError(f"fewer than {MIN_FOR_QUANTILES} stars are too few for running medians")
    figure, grid = subplots(n_label, 2, squeeze=False, size=(8.0, 2.3 * n_label))
    for i, (name, panels) in enumerate(zip(prediction.label_names, grid, strict=True)):
        known = quantity(name)
        parts = {part: known.factor * err[:, i] for part, err in prediction.errors.items()}
        total = known.factor * prediction.total_err[:, i]
        values = known.factor * prediction.values[:, i]
        for axes, x in zip(panels, (values, g), strict=True):
            _draw(axes, x, total, parts)
        panels[0].set(xlabel=known.axis_label, ylabel=f"error of {known.axis_label}")
        panels[1].set_xlabel("G [mag]")
    grid[0, 0].legend(fontsize=7)
    return figure


def _draw(axes: Axes, x: np.ndarray, total: np.ndarray, parts: dict[str, np.ndarray]) -> None:
    """Running medians over one quantity, and its histogram."""
    used = np.isfinite(x) & np.isfinite(total)
    if used.sum() < MIN_FOR_QUANTILES:
        axes.text(0.5, 0.5, "unknown", transform=axes.transAxes, ha="center")
        return
    twin = axes.twinx()
    twin.hist(x[used], 40, range=np.quantile(x[used], [0.002, 0.998]), color="0.88")
    twin.set(yticks=[])
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)
    lines = {"total": (total, "total", "k")}
    lines |= {part: (values, *PARTS[part]) for part, values in parts.items()}
    for values, text, colour in lines.values():
        centre, quantiles = running_quantiles(x[used], values[used])
        axes.plot(centre, quantiles[1], color=colour, lw=1.4, label=text)
    axes.set_ylim(bottom=0.0)
