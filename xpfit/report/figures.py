"""Figures that only the report has."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..plots.sky import sky_figure
from ..plots.style import BLUE, MIN_FOR_QUANTILES, SEQUENTIAL, draw_quantiles, subplots
from ..quantities import quantity
from ..read.tables import float_column
from ..validate.sky import chi2_per_dof
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
    figure, ax = subplots(size=(6.0, 4.6))
    counts = gathered.kiel
    filled = np.argwhere(counts > 0)
    image = ax.pcolormesh(
        *KIEL_EDGES,
        np.where(counts > 0, counts, np.nan).T,
        cmap=SEQUENTIAL,
        norm=LogNorm(1, max(counts.max(), 2)),
        rasterized=True,
    )
    (i0, j0), (i1, j1) = filled.min(axis=0), filled.max(axis=0)
    teff, logg = KIEL_EDGES
    ax.set_xlim(teff[min(i1 + 4, len(teff) - 1)], teff[max(i0 - 3, 0)])
    ax.set_ylim(logg[min(j1 + 4, len(logg) - 1)], logg[max(j0 - 3, 0)])
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
    figure = Figure(figsize=(2.9 * (1 + len(names)), 3.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 1 + len(names)))
    bins = np.linspace(0.0, CHI2_SHOWN, 61)
    chi2 = chi2_per_dof(table)
    for rows, style, label in ((good, "-", "reliable"), (~good, "--", "others")):
        values = np.clip(chi2[rows & np.isfinite(chi2)], 0.0, CHI2_SHOWN)
        if len(values):
            axes[0].hist(values, bins, histtype="step", ls=style, color=BLUE, label=label)
    if axes[0].patches:
        axes[0].legend(fontsize=7)
    axes[0].set(xlabel=r"$\chi^2$ / dof", ylabel="stars", yscale="log")
    known = "phot_g_mean_mag" in table.colnames
    g = float_column(table["phot_g_mean_mag"]) if known else np.full(len(table), np.nan)
    for ax, name in zip(axes[1:], names, strict=True):
        _draw_errors(ax, g[good], float_column(table[f"{name}_err"])[good], name)
    return figure


def error_names(gathered: Gathered) -> list[str]:
    """Parameters with errors."""
    return [
        name for name in ("teff", "feh", "logg", "extinction") if f"{name}_err" in gathered.columns
    ]


def _draw_errors(ax, g, error, name) -> None:
    """Errors of one parameter against magnitude, or their histogram where none is known."""
    keep = np.isfinite(error) & (error > 0)
    label = rf"$\sigma$({quantity(name).symbol}) [{quantity(name).unit}]"
    both = keep & np.isfinite(g)
    if both.sum() < MIN_FOR_QUANTILES:
        if keep.any():
            ax.hist(np.log10(error[keep]), 40, histtype="step", color=BLUE)
        ax.set(xlabel=f"log10 {label}", ylabel="stars")
        return
    ax.plot(g[both], error[both], ".", ms=1, alpha=0.15, color="0.4", rasterized=True)
    draw_quantiles(ax, g[both], error[both], BLUE, 1.3)
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
    finite = values[np.isfinite(values)]
    top = float(np.quantile(finite, 0.98)) if len(finite) else 1.0
    return sky_figure(
        gathered.sky.healpix,
        {f"mean E of {gathered.n_mapped} stars": values},
        limits=(0.0, max(top, 0.05)),
        colours=SEQUENTIAL,
        label="E [mag]",
    )
