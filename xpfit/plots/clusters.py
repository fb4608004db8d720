"""Members of clusters on the sky and in proper motion, and their parallaxes (ZGR23, fig. 19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ..quantities import quantity
from ..read.joins import integer_ids
from ..read.tables import float_column
from ..validate.clusters import Cluster, cluster_parallaxes
from ..validate.membership import separation
from .style import BLUE, ORANGE, VERMILION, subplots

FIELD = 1.6
"""Half width of the panels of sky and proper motion, in radii of the selection."""


def cluster_figure(table: Table, clusters: Sequence[Cluster]) -> Figure:
    """Histograms of the parallaxes of clusters' faint members (ZGR23, fig. 19).

    Parameters
    ----------
    table : astropy.table.Table
    clusters : sequence of Cluster

    Returns
    -------
    matplotlib.figure.Figure
        A row per cluster. Where members were found by position and proper motion, panels with both
        come first, with the circles of the selection.

    Raises
    ------
    InputError
        As `cluster_parallaxes`.
    """
    with_field = any(cluster.facts is not None for cluster in clusters)
    shape, width = (len(clusters), 3 if with_field else 1), 9.0 if with_field else 5.6
    figure, axes = subplots(*shape, squeeze=False, size=(width, 2.5 * len(clusters)))
    for row, cluster in zip(axes, clusters, strict=True):
        _draw_parallaxes(row[-1], table, cluster)
        if cluster.facts is not None:
            _draw_field(row[0], row[1], table, cluster)
        for ax in row[:-1] if cluster.facts is None else ():
            ax.axis("off")
    return figure


def _draw_parallaxes(ax: Axes, table: Table, cluster: Cluster) -> None:
    """Histograms of Gaia's and of fitted parallaxes."""
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
        ax.set_ylim(top=1.45 * ax.get_ylim()[1])  # room for the legend
        ax.legend(fontsize=6, loc="upper left")


def _draw_field(sky: Axes, motion: Axes, table: Table, cluster: Cluster) -> None:
    """Stars around a cluster on the sky, and in proper motion, its members in colour."""
    facts = cluster.facts
    members = np.isin(integer_ids(table, "the catalogue"), cluster.members)
    near = separation(table, facts) < FIELD * facts.r_out
    ra, dec, pmra, pmdec = (float_column(table[n]) for n in ("ra", "dec", "pmra", "pmdec"))
    x = 60.0 * ((ra - facts.ra + 180.0) % 360.0 - 180.0) * np.cos(np.deg2rad(facts.dec))
    y = 60.0 * (dec - facts.dec)
    half = 3.0 * np.hypot(0.3, facts.motion_dispersion)
    for ax, across, up, centre in (
        (sky, x, y, (0.0, 0.0)), (motion, pmra, pmdec, (facts.pmra, facts.pmdec)),
    ):  # fmt: skip
        ax.plot(across[near & ~members], up[near & ~members], ",", color="0.5")
        ax.plot(across[members], up[members], ".", ms=2, color=BLUE, alpha=0.5)
        size = FIELD * (facts.r_out if ax is sky else half)
        ax.set(xlim=(centre[0] + size, centre[0] - size), ylim=(centre[1] - size, centre[1] + size))
        ax.set_aspect("equal")
    for radius, style, colour in ((facts.r_out, "-", VERMILION), (facts.r_in, ":", ORANGE)):
        sky.add_patch(Circle((0, 0), radius, fill=False, ec=colour, ls=style))
    sky.set(xlabel="east [arcmin]", ylabel="north [arcmin]")
    motion.plot(facts.pmra, facts.pmdec, "+", color=VERMILION)
    motion.set(xlabel="pmra [mas/yr]", ylabel="pmdec [mas/yr]")
    sky.set_title(f"{cluster.name}: {members.sum()} members", fontsize=9)
