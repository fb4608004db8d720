"""Figures of reliability: calibration of the confidences, and where fits are reliable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.reliability import reliable_fraction
from .style import BLUE, SEQUENTIAL, filled_limits, subplots


def reliability_figure(report: Mapping[str, Mapping]) -> Figure:
    """Reliability diagrams: the fraction of good estimates against confidence.

    Parameters
    ----------
    report : mapping of str to mapping
        From `xpfit.quality.calibration_report`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = subplots(1, len(report), squeeze=False, size=(3.4 * len(report), 3.6))
    for ax, (label, entry) in zip(axes[0], report.items(), strict=True):
        n = np.array(entry["n"])
        fraction, mean = np.array(entry["share_good"]), np.array(entry["mean_confidence"])
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(np.clip(fraction * (1 - fraction), 0.25 / np.maximum(n, 1), None) / n)
        ax.plot([0, 1], [0, 1], color="0.6", lw=1.0, label="well calibrated")
        ax.errorbar(mean, fraction, error, fmt="o", ms=4, color=BLUE, label="held-out stars")
        for x, y, count in zip(mean, fraction, n, strict=True):
            if count:
                ax.annotate(str(count), (x, y), (4, -9), textcoords="offset points", fontsize=6)
        title = f"{quantity(label).symbol}: Brier {entry['brier']:.3f}"
        ax.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="confidence", title=title)
        ax.set_ylabel("fraction of good estimates")
        ax.legend(loc="upper left", fontsize=7)
    return figure


def reliability_diagram(tables: Iterable[Table]) -> Figure:
    """Fraction of reliable sources over the colour-absolute-magnitude diagram (ZGR23, fig. 18).

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        As for `reliable_fraction`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        As `reliable_fraction`.
    """
    fraction, count, colour_edges, magnitude_edges = reliable_fraction(tables)
    figure, ax = subplots(size=(5.2, 5.6))
    edges = colour_edges, magnitude_edges
    image = ax.pcolormesh(*edges, fraction.T, vmin=0.0, vmax=1.0, cmap=SEQUENTIAL)
    ax.set_xlim(filled_limits(colour_edges, count.any(axis=1), 2))
    ax.set_ylim(filled_limits(magnitude_edges, count.any(axis=0), 2)[::-1])
    ax.set(xlabel=r"$G_{\rm BP} - G_{\rm RP}$ [mag]", ylabel=r"$M_G$ [mag]")
    ax.set_title(f"{count.sum()} sources", fontsize=10)
    figure.colorbar(image, label="fraction that passes the basic cut")
    return figure
