"""Parallaxes of clusters' faint members (ZGR23, fig. 19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.clusters import Cluster, cluster_parallaxes
from .style import BLUE, VERMILION, subplots


def cluster_figure(table: Table, clusters: Sequence[Cluster]) -> Figure:
    """Histograms of the parallaxes of clusters' faint members (ZGR23, fig. 19).

    Parameters
    ----------
    table : astropy.table.Table
    clusters : sequence of Cluster

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        As `cluster_parallaxes`.
    """
    figure, axes = subplots(len(clusters), squeeze=False, size=(5.6, 2.4 * len(clusters)))
    for ax, cluster in zip(axes[:, 0], clusters, strict=True):
        parallaxes = cluster_parallaxes(table, cluster)
        numbers = parallaxes.numbers()
        half = 4.0 * (numbers["gaia"]["scatter"] or 0.1)
        bins = np.linspace(cluster.parallax - half, cluster.parallax + half, 41)
        drawn = {"gaia": (parallaxes.observed, "0.5"), "fitted": (parallaxes.fitted, BLUE)}
        for name, (values, colour) in drawn.items():
            number = numbers[name]
            if number["n"]:
                text = f"{name}: scatter {number['scatter']:.3f}, pull {number['pull']:.2f}"
                ax.hist(values, bins, histtype="step", color=colour, lw=1.3, label=text)
        ax.axvline(cluster.parallax, color=VERMILION, ls=":")
        ax.set(xlabel=quantity("parallax").axis_label, ylabel="stars")
        ax.set_title(f"{cluster.name}: {len(parallaxes.fitted)} stars", fontsize=9)
        if len(parallaxes.fitted):
            ax.legend(fontsize=7)
    return figure
