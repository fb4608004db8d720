"""Figures that only the report has."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..plots import style
from ..plots.sky import sky_figure
from ..quantities import BASIC_LABELS, quantity
from ..read.tables import float_column
from ..validate.selection import chi2_per_dof
from .gather import KIEL_EDGES, Gathered, reliable

CHI2_SHOWN = 5.0


def kiel_figure(gathered: Gathered) -> Figure:
    """Reliable stars over Teff and log g.

    Parameters
    ----------
    gathered : Gathered

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = style.subplots(size=(6.0, 4.6))
    counts = gathered.kiel
    norm = LogNorm(1, max(counts.max(), 2))
    values = np.where(counts > 0, counts, np.nan).T
    image = ax.pcolormesh(*KIEL_EDGES, values, norm=norm, cmap=style.SEQUENTIAL, rasterized=True)
    ax.set_xlim(style.filled_limits(KIEL_EDGES[0], counts.any(axis=1), 3)[::-1])
    ax.set_ylim(style.filled_limits(KIEL_EDGES[1], counts.any(axis=0), 3)[::-1])
    ax.set(xlabel=quantity("teff").axis_label, ylabel=quantity("logg").axis_label)
    figure.colorbar(image, label="stars per cell (50 K, 0.05 dex)")
    return figure


def quality_figure(gathered: Gathered) -> Figure:
    """chi2 per degree of freedom, and errors against magnitude.

    Parameters
    ----------
    gathered : Gathered

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = gathered.sample
    good = reliable(table)
    names = error_names(gathered)
    n_panel = 1 + len(names)
    figure, axes = style.subplots(1, n_panel, squeeze=False, size=(2.9 * n_panel, 3.0))
    axes = axes[0]
    bins = np.linspace(0.0, CHI2_SHOWN, 61)
    chi2 = chi2_per_dof(table)
    for rows, line, label in ((good, "-", "reliable"), (~good, "--", "others")):
        values = np.clip(chi2[rows & np.isfinite(chi2)], 0.0, CHI2_SHOWN)
        if len(values):
            axes[0].hist(values, bins, histtype="step", ls=line, color=style.BLUE, label=label)
    if axes[0].patches:
        axes[0].legend(fontsize=7)
    axes[0].set(xlabel=r"$\chi^2$ / dof", ylabel="stars", yscale="log")
    g = magnitudes(table)
    for ax, name in zip(axes[1:], names, strict=True):
        _draw_errors(ax, g[good], float_column(table[f"{name}_err"])[good], name)
    return figure


def magnitudes(table: Table) -> np.ndarray:
    """G of each star, NaN where it is not known, shape (n_star,)."""
    known = "phot_g_mean_mag" in table.colnames
    return float_column(table["phot_g_mean_mag"]) if known else np.full(len(table), np.nan)


def error_names(gathered: Gathered) -> list[str]:
    """Parameters with errors."""
    names = (*BASIC_LABELS, "extinction")
    return [name for name in names if f"{name}_err" in gathered.columns]


def _draw_errors(ax, g, error, name) -> None:
    """Errors of one parameter against magnitude, or their histogram where none is known."""
    keep = np.isfinite(error) & (error > 0)
    label = rf"$\sigma$({quantity(name).symbol}) [{quantity(name).unit}]"
    both = keep & np.isfinite(g)
    if both.sum() < style.MIN_FOR_QUANTILES:
        if keep.any():
            ax.hist(np.log10(error[keep]), 40, histtype="step", color=style.BLUE)
        ax.set(xlabel=f"log10 {label}", ylabel="stars")
        return
    ax.plot(g[both], error[both], ".", ms=1, alpha=0.15, color="0.4", rasterized=True)
    style.draw_quantiles(ax, g[both], error[both], style.BLUE, 1.3)
    ax.set(xlabel="G [mag]", ylabel=label, yscale="log")


def map_figure(gathered: Gathered) -> Figure:
    """Mean extinction over the sky.

    Parameters
    ----------
    gathered : Gathered

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = gathered.sky.mean(min_stars=3)
    maps = {f"mean E of {gathered.n_mapped} stars": values}
    limits = 0.0, style.colour_limit(values, 0.98, 0.05)
    healpix = gathered.sky.healpix
    return sky_figure(healpix, maps, limits=limits, colours=style.SEQUENTIAL, label="E [mag]")
