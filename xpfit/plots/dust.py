"""Fitted extinction against that of a map or survey (ZGR23, fig. 20)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..validate.dust import compare_dust, dust_numbers
from .residuals import draw_residuals
from .style import subplots


def dust_figure(table: Table, rows: np.ndarray, name: str, independent: str = "") -> Figure:
    """Residuals of extinction against that of a map or survey (ZGR23, fig. 20).

    Parameters
    ----------
    table : astropy.table.Table
        From `xpfit.validate.attach_dust_map`.
    rows : ndarray of bool, shape (n_star,)
        Stars shown.
    name : str
        What the reference is.
    independent : str
        What the second map is, against which residuals are shown, if there is one; else they are
        shown against the weighted mean of fit and reference (see `xpfit.validate.compare_dust`).

    Returns
    -------
    matplotlib.figure.Figure
    """
    compared = compare_dust(table, rows)
    numbers = dust_numbers(table, rows)
    figure, ax = subplots(size=(6.0, 4.0))
    draw_residuals(ax, compared.abscissa, compared.residual)
    abscissa = f"E({independent}) [mag]" if independent else f"weighted mean of E, E({name}) [mag]"
    ax.set(xlabel=abscissa, ylabel=f"E - E({name}) [mag]")
    title = f"{numbers['n']} stars"
    if numbers["n"]:
        half = 5.0 * (numbers["scatter"] or 0.1)
        ax.set_ylim(numbers["bias"] - half, numbers["bias"] + half)
        title += f": bias {numbers['bias']:.3f}, scatter {numbers['scatter']:.3f} mag"
    ax.set_title(title, fontsize=10)
    return figure
