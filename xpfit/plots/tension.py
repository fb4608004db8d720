"""Figure of unresolved binaries among solar-type stars (ZGR23, fig. 4)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..validate.tension import LIMIT, Tensions
from .style import SEQUENTIAL, VERMILION, colour_limit, subplots

SHOWN = 10.0
"""Sigma; stars beyond are drawn at the edge."""


def tension_figure(stars: Tensions) -> Figure:
    """Draw offsets in parallax and log g of solar-type stars, and their absolute magnitudes.

    Parameters
    ----------
    stars : Tensions
        From `xpfit.validate.tension.tensions`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, offsets with the limit of ZGR23; right, how bright the stars inside and outside it
        are, for their reference labels. A pair of equal stars is 0.75 mag brighter than one.
    """
    figure, (left, right) = subplots(1, 2, size=(9.0, 4.0))
    x, y = (np.clip(values, -SHOWN, SHOWN) for values in (stars.tension, stars.logg_pull))
    bound = colour_limit(np.abs(stars.excess), 0.9, 0.3)
    points = left.scatter(x, y, c=stars.excess, s=8, cmap=SEQUENTIAL, vmin=-bound, vmax=bound)
    figure.colorbar(points, ax=left, label=r"$\Delta M_G$ [mag]", extend="both")
    angle = np.linspace(-0.75 * np.pi, 0.25 * np.pi, 100)
    left.plot(LIMIT * np.cos(angle), LIMIT * np.sin(angle), "--", color=VERMILION, lw=1)
    for line in (left.axvline, left.axhline):
        line(0.0, color="0.7", lw=0.8, zorder=0)
    left.set(xlim=(-1.05 * SHOWN, 1.05 * SHOWN), ylim=(-1.05 * SHOWN, 1.05 * SHOWN))
    left.set_xlabel(r"$(\varpi_{\rm spectrum} - \varpi_{\rm measured}) / \sigma$")
    left.set_ylabel(r"$(\log g_{\rm fit} - \log g_{\rm reference}) / \sigma$")
    bins = np.linspace(-1.5, 1.5, 31)
    for rows, name, colour in (
        (~stars.binary, "inside", "0.4"),
        (stars.binary, f"beyond {LIMIT:g} sigma, too luminous", VERMILION),
    ):
        text = f"{name} ({rows.sum()})"
        clipped = np.clip(stars.excess[rows], bins[0], bins[-1])
        right.hist(clipped, bins, histtype="step", color=colour, label=text)
    right.axvline(0.0, color="0.4", lw=0.8)
    right.axvline(-0.75, color=VERMILION, lw=0.8, ls=":")
    label = r"$\Delta M_G$ at the measured parallax [mag]"
    right.set(xlabel=label, ylabel="stars", xlim=(bins[-1], bins[0]))
    right.set_ylim(top=1.35 * right.get_ylim()[1])
    right.set_title("less that of stars with the same reference labels", fontsize=9)
    right.legend(fontsize=8, title="dotted: twice the light", title_fontsize=7, loc="upper center")
    figure.suptitle(f"{len(stars.tension)} solar-type stars", fontsize=10)
    return figure
