"""Figures of flux residuals by label, and over the sky (ZGR23, figs. 9, 25 and 26)."""

from __future__ import annotations

from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.flux_residuals import FluxResiduals, flux_residual_maps
from .residuals import draw_residuals
from .sky import sky_figure
from .style import subplots

RESIDUAL = r"$(f_{\rm pred} - f_{\rm obs}) / \sigma$"

PULL_RANGE = 5.0
"""Half height of the panels."""


def flux_residual_figure(residuals: FluxResiduals) -> Figure:
    """Normalised flux residuals against each label (ZGR23, fig. 9).

    Parameters
    ----------
    residuals : FluxResiduals

    Returns
    -------
    matplotlib.figure.Figure
    """
    labels = residuals.labels
    n_row, n_column = len(residuals.names), len(labels)
    options = {"sharex": "col", "sharey": True, "squeeze": False}
    size = 2.5 * n_column, 1.5 * n_row + 0.5
    figure, axes = subplots(n_row, n_column, size=size, **options)
    for row, name, pulls in zip(axes, residuals.names, residuals.pulls.T, strict=True):
        for ax, values in zip(row, labels.values(), strict=True):
            draw_residuals(ax, values, pulls)
        row[0].set_ylabel(name, fontsize=8)
    for ax, name in zip(axes[-1], labels, strict=True):
        ax.set_xlabel(quantity(name).axis_label, fontsize=8)
    axes[0, 0].set_ylim(-PULL_RANGE, PULL_RANGE)
    title = f"{RESIDUAL}, {len(residuals.pulls)} stars; lines: 16, 50, 84 %"
    figure.suptitle(title, fontsize=10)
    return figure


def flux_residual_map_figure(residuals: FluxResiduals) -> Figure:
    """Maps of mean normalised flux residuals (ZGR23, figs. 25 and 26).

    Parameters
    ----------
    residuals : FluxResiduals

    Returns
    -------
    matplotlib.figure.Figure
    """
    means, maps = flux_residual_maps(residuals)
    label = f"mean {RESIDUAL}"
    return sky_figure(means.healpix, maps, limits=(-1.0, 1.0), colours="RdBu_r", label=label)
