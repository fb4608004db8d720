"""Pictures of reliability: whether confidences are honest, and where fits can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import passes
from ..errors import InputError
from ..read.tables import float_column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL_TITLES = {"teff": r"$T_{\rm eff}$", "feh": "[Fe/H]", "logg": r"$\log g$"}

COLOUR_LIMITS, MAGNITUDE_LIMITS = (-1.0, 6.0), (-6.0, 17.0)
"""BP - RP and absolute G that the diagram shows, as ZGR23's fig. 18."""

BIN_SIZES = (0.1, 0.25)
"""mag, of the cells in colour and magnitude."""

MIN_IN_CELL = 3
"""Sources without which a cell's fraction is not shown."""


def reliability_figure(report: Mapping[str, Mapping]) -> Figure:
    """Reliability diagrams: the share of good estimates against confidence.

    Parameters
    ----------
    report : mapping of str to mapping
        From `xpfit.quality.judge`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(report), 3.6), layout="constrained")
    for ax, (label, entry) in zip(
        figure.subplots(1, len(report), squeeze=False)[0], report.items(), strict=True
    ):
        n = np.array(entry["n"])
        share, mean = np.array(entry["share_good"]), np.array(entry["mean_confidence"])
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(np.clip(share * (1 - share), 0.25 / np.maximum(n, 1), None) / n)
        ax.plot([0, 1], [0, 1], color="0.6", lw=1.0, label="honest")
        ax.errorbar(mean, share, error, fmt="o", ms=4, color="#0072B2", label="held-out stars")
        for x, y, count in zip(mean, share, n, strict=True):
            if count:
                ax.annotate(str(count), (x, y), (4, -9), textcoords="offset points", fontsize=6)
        title = f"{LABEL_TITLES.get(label, label)}: Brier {entry['brier']:.3f}"
        ax.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="confidence", title=title)
        ax.set_ylabel("share of good estimates")
        ax.legend(loc="upper left", fontsize=7)
    return figure


def reliable_fraction(
    tables: Iterable[Table],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fraction of sources that pass the basic cut, over the colour-absolute-magnitude diagram.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue, with Gaia's magnitudes. The absolute magnitude is that at the fitted
        parallax, or at the observed one if the model knows no luminosities; sources without colour
        or parallax are left out.

    Returns
    -------
    fraction : ndarray, shape (n_colour, n_magnitude)
        NaN in cells with fewer than three sources.
    count : ndarray of int, shape (n_colour, n_magnitude)
    colour_edges, magnitude_edges : ndarray

    Raises
    ------
    InputError
        If columns are missing, or no source has colour and parallax.
    """
    edges = [
        np.arange(low, high + 0.5 * size, size)
        for (low, high), size in zip((COLOUR_LIMITS, MAGNITUDE_LIMITS), BIN_SIZES, strict=True)
    ]
    count = passed = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1))
    for table in tables:
        colour, magnitude = _place(table)
        known = np.isfinite(colour) & np.isfinite(magnitude)
        good = known & passes(table, ["basic"])
        count = count + np.histogram2d(colour[known], magnitude[known], edges)[0]
        passed = passed + np.histogram2d(colour[good], magnitude[good], edges)[0]
    if not count.any():
        raise InputError(
            "no source of this catalogue has a colour and a parallax: give 'xpfit run' or 'fit' "
            "the rows of gaia_source with --astrometry"
        )
    fraction = np.where(count >= MIN_IN_CELL, passed / np.maximum(count, 1), np.nan)
    return fraction, count.astype(int), *edges


def _place(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """BP - RP and absolute G of every row."""
    names = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "parallax", "gaia_parallax")
    missing = [name for name in names if name not in table.colnames]
    if missing:
        raise InputError(f"the catalogue lacks {', '.join(missing)}; give one written by xpfit")
    g, bp, rp, fitted, observed = (float_column(table[name]) for name in names)
    parallax = np.where(np.isfinite(fitted), fitted, observed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return bp - rp, g + 5.0 * np.log10(np.where(parallax > 0, parallax, np.nan) / 100.0)


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
    from matplotlib.figure import Figure

    fraction, count, colour_edges, magnitude_edges = reliable_fraction(tables)
    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    ax = figure.subplots()
    image = ax.pcolormesh(
        colour_edges, magnitude_edges, fraction.T, vmin=0.0, vmax=1.0, cmap="cividis"
    )
    (i0, j0), (i1, j1) = np.argwhere(count).min(axis=0), np.argwhere(count).max(axis=0)
    ax.set_xlim(colour_edges[max(i0 - 2, 0)], colour_edges[min(i1 + 3, len(fraction))])
    ax.set_ylim(magnitude_edges[min(j1 + 3, fraction.shape[1])], magnitude_edges[max(j0 - 2, 0)])
    ax.set(xlabel=r"$G_{\rm BP} - G_{\rm RP}$ [mag]", ylabel=r"$M_G$ [mag]")
    ax.set_title(f"{count.sum()} sources", fontsize=10)
    figure.colorbar(image, label="fraction that passes the basic cut")
    return figure
