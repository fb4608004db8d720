"""Errors to be expected over the Kiel diagram (ZGR23, fig. 6)."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..model import XPModel
from ..quantities import quantity
from ..validate.forecast import fisher_forecast
from .style import SEQUENTIAL, subplots


def forecast_figure(model: XPModel, *, g: float = 15.0, extinction: float = 0.1) -> Figure:
    """Expected errors of the labels over the Kiel diagram, without and with parallax.

    Parameters
    ----------
    model : XPModel
    g, extinction : float
        As for `fisher_forecast`.

    Returns
    -------
    matplotlib.figure.Figure
        One row for models without luminosities, two for others; and the correlation of Teff and E
        (ZGR23, fig. 6).
    """
    cases = {"without parallax": False} | ({"with parallax": True} if model.absolute else {})
    names = (*model.label_names, "extinction")
    n_row, n_column = len(cases), len(names) + 1
    size = 2.9 * n_column, 2.9 * n_row + 0.4
    figure, axes = subplots(n_row, n_column, squeeze=False, size=size)
    options = {"g": g, "extinction": extinction}
    forecasts = [fisher_forecast(model, parallax=known, **options) for known in cases.values()]
    limits = {
        name: np.nanquantile([forecast.error(name) for forecast in forecasts], [0.02, 0.98])
        for name in names
    }
    teff, logg = quantity("teff"), quantity("logg")
    for row, title, forecast in zip(axes, cases, forecasts, strict=True):
        edges = teff.factor * forecast.teff_edges, forecast.logg_edges
        for ax, kind in zip(row, map(quantity, names), strict=False):
            norm = LogNorm(*(kind.factor * limits[kind.name]))
            error = kind.factor * forecast.error(kind.name)
            image = ax.pcolormesh(*edges, error.T, norm=norm, cmap=SEQUENTIAL)
            figure.colorbar(image, ax=ax, label=f"error of {kind.axis_label}")
        correlation = forecast.correlation("teff", "extinction")
        image = row[-1].pcolormesh(*edges, correlation.T, vmin=-1, vmax=1, cmap="PuOr")
        figure.colorbar(image, ax=row[-1], label=f"correlation of {teff.symbol} and E")
        for ax in row:
            ax.set(xlabel=teff.axis_label, ylabel=logg.axis_label)
            ax.invert_xaxis()
            ax.invert_yaxis()
        row[0].set_title(title, fontsize=10)
    figure.suptitle(f"Fisher forecast, G = {g:g}, E = {extinction:g} mag", fontsize=11)
    return figure
