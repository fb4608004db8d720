"""Median correlations of the errors, without and with the parallax (ZGR23, fig. 6)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..quantities import STELLAR_PARAMETERS, quantity
from ..validate.correlations import Correlations
from .style import subplots

DARK = 0.6
"""Sizes of correlations above which numbers are white."""


def correlation_figure(correlations: Correlations) -> Figure:
    """Two matrices side by side: of the spectrum alone, and with the measured parallax.

    Parameters
    ----------
    correlations : Correlations

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = subplots(1, 2, size=(7.4, 3.6))
    names = [quantity(name).symbol for name in STELLAR_PARAMETERS]
    for ax, matrix, title in zip(
        axes,
        (correlations.spectrum, correlations.both),
        ("spectrum alone", "spectrum and Gaia's parallax"),
        strict=True,
    ):
        ax.imshow(matrix, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        for i, j in np.ndindex(matrix.shape):
            colour = "w" if abs(matrix[i, j]) > DARK else "k"
            ax.text(j, i, f"{matrix[i, j]:.2f}", color=colour, ha="center", va="center", fontsize=8)
        ax.set_xticks(range(5), names, fontsize=9)
        ax.set_yticks(range(5), names, fontsize=9)
        ax.tick_params(length=0)
        ax.grid(False)
        ax.set_title(title, fontsize=9)
    figure.suptitle(f"Median correlations of errors, {correlations.n_star} stars", fontsize=10)
    return figure
