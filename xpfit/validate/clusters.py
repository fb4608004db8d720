"""Globular clusters, whose stars are at one distance: a check on the parallaxes of faint stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import passes
from ..errors import InputError
from ..plots.labels import GROUP_COLOURS
from ..read.ids import ID_COLUMNS
from ..read.tables import float_column, integer_ids
from ..statistics import robust_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_REL_ERR = 0.2
"""Errors of Gaia's parallaxes, over the cluster's parallax, above which stars are compared: where
the spectrum has something to add (ZGR23, fig. 19)."""


@dataclass(frozen=True)
class Cluster:
    """A cluster and its stars.

    Attributes
    ----------
    name : str
    parallax : float
        mas, of the centre, such as Vasiliev & Baumgardt's (2021).
    members : ndarray of int64
        Source ids, such as by position and proper motion, outside the crowded middle.
    """

    name: str
    parallax: float
    members: np.ndarray


@dataclass
class ClusterParallaxes:
    """Parallaxes of the faint members of one cluster.

    Attributes
    ----------
    cluster : Cluster
    fitted, fitted_err, observed, observed_err : ndarray, shape (n_member,)
        mas: of spectrum and astrometry together, and Gaia's own.
    """

    cluster: Cluster
    fitted: np.ndarray
    fitted_err: np.ndarray
    observed: np.ndarray
    observed_err: np.ndarray

    def numbers(self) -> dict[str, dict[str, float | int | None]]:
        """Of the fitted and of Gaia's parallaxes: `n`, `bias`, `scatter` (mas), `pull` width."""
        return {
            name: self._numbers(values, errors)
            for name, values, errors in (
                ("fitted", self.fitted, self.fitted_err),
                ("gaia", self.observed, self.observed_err),
            )
        }

    def _numbers(self, values, errors) -> dict[str, float | int | None]:
        if not len(values):
            return {"n": 0, "bias": None, "scatter": None, "pull": None}
        residual = values - self.cluster.parallax
        return {
            "n": len(values),
            "bias": float(np.median(residual)),
            "scatter": robust_width(residual),
            "pull": robust_width(residual / errors),
        }


def cluster_parallaxes(table: Table, cluster: Cluster) -> ClusterParallaxes:
    """Parallaxes of a cluster's faint and well fitted members (ZGR23, section 5.2 and fig. 19).

    Parameters
    ----------
    table : astropy.table.Table
        Catalogue of a model that knows luminosities.
    cluster : Cluster

    Returns
    -------
    ClusterParallaxes
        Of members that pass the basic cut with confidence in all three labels, and for which
        Gaia's error is above a fifth of the cluster's parallax.

    Raises
    ------
    InputError
        If columns are missing, or no member is in the catalogue.
    """
    rows = np.isin(integer_ids(table, ID_COLUMNS, "the catalogue"), cluster.members)
    if not rows.any():
        raise InputError(f"{cluster.name}: none of its members is in the catalogue; check the ids")
    part = table[rows]
    columns = [
        float_column(part[name])
        for name in ("parallax", "parallax_err", "gaia_parallax", "gaia_parallax_error")
    ]
    keep = passes(part, ["confident"]) & np.isfinite(columns).all(axis=0)
    keep &= columns[3] > MIN_REL_ERR * cluster.parallax
    return ClusterParallaxes(cluster, *(values[keep] for values in columns))


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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 2.4 * len(clusters)), layout="constrained")
    for ax, cluster in zip(
        figure.subplots(len(clusters), squeeze=False)[:, 0], clusters, strict=True
    ):
        parallaxes = cluster_parallaxes(table, cluster)
        numbers = parallaxes.numbers()
        half = 4.0 * (numbers["gaia"]["scatter"] or 0.1)
        bins = np.linspace(cluster.parallax - half, cluster.parallax + half, 41)
        for name, values, colour in (
            ("gaia", parallaxes.observed, "0.5"),
            ("fitted", parallaxes.fitted, GROUP_COLOURS["dwarfs"]),
        ):
            number = numbers[name]
            if number["n"]:
                text = f"{name}: scatter {number['scatter']:.3f}, pull {number['pull']:.2f}"
                ax.hist(values, bins, histtype="step", color=colour, lw=1.3, label=text)
        ax.axvline(cluster.parallax, color=GROUP_COLOURS["giants"], ls=":")
        ax.set(xlabel=r"$\varpi$ [mas]", ylabel="stars")
        ax.set_title(f"{cluster.name}: {len(parallaxes.fitted)} stars", fontsize=9)
        if len(parallaxes.fitted):
            ax.legend(fontsize=7)
    return figure
