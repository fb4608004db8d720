"""Fitted extinction against that of a map or survey (ZGR23, fig. 20)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..validate.dust import dust_numbers, dust_residuals
from .residuals import draw_residuals
from .style import subplots


def dust_figure(table: Table, rows: np.ndarray, name: str) -> Figure:
    """Residuals of extinction against that of a map or survey (ZGR23, fig. 20).

    Parameters
    ----------
    table : astropy.table.Table
        With `ref_extinction`.
    rows : ndarray of bool, shape (n_star,)
        Stars shown.
    name : str
        What the reference is.

    Returns
    -------
    matplotlib.figure.Figure
    """
    reference, residual = dust_residuals(table, rows)
    numbers = dust_numbers(table, rows)
    figure, ax = subplots(size=(6.0, 4.0))
    draw_residuals(ax, reference, residual)
    ax.set(xlabel=f"E({name}) [mag]", ylabel=f"E - E({name}) [mag]")
    title = f"{numbers['n']} stars"
    if numbers["n"]:
        half = 5.0 * (numbers["scatter"] or 0.1)
        ax.set_ylim(numbers["bias"] - half, numbers["bias"] + half)
        title += f": bias {numbers['bias']:.3f}, scatter {numbers['scatter']:.3f} mag"
    ax.set_title(title, fontsize=10)
    return figure
