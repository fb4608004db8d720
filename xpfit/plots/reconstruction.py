"""Scatter of reconstructed spectra (Laroche & Speagle 2024, figs. 5-9)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.reconstruction import ReconstructionErrors
from .style import BLUE, VERMILION, running_quantiles

RED = (550.0, 900.0)
"""Wavelengths (nm) at which the auto-encoder's authors find it better than a forward model."""

COLOURS = {"auto-encoder": VERMILION, "principal components": BLUE, "forward model": "0.2"}


def reconstruction_figure(errors: ReconstructionErrors) -> Figure:
    """Scatter of reconstructions by wavelength, and by label at 550-900 nm.

    Parameters
    ----------
    errors : ReconstructionErrors

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    top, bottom = figure.subfigures(2, 1)
    axes, at, shown = top.subplots(), errors.wavelength, errors.wavelength < 1100.0
    axes.set(xlabel="wavelength [nm]", ylabel="scatter [%]", yscale="log")
    if not shown.any():
        at, shown = np.arange(len(at)), ~shown
        axes.set_xlabel("coefficient")
    for name in errors.errors:
        scatter = 100.0 * errors.scatter(name)[shown]
        axes.plot(at[shown], scatter, color=COLOURS[name], lw=1.2, label=name)
    axes.legend(fontsize=8)
    kinds = [quantity(name) for name in ("teff", "logg", "feh") if name in errors.labels]
    red = (errors.wavelength >= RED[0]) & (errors.wavelength <= RED[1])
    used = red if red.any() else np.ones(len(red), dtype=bool)
    panels = bottom.subplots(1, max(len(kinds), 1), squeeze=False, sharey=True)[0]
    for kind, ax in zip(kinds, panels, strict=False):
        values = kind.factor * errors.labels[kind.name]
        known = np.isfinite(values)
        for model, all_errors in errors.errors.items():
            size = np.nanmedian(np.abs(all_errors[:, used]), axis=1)
            both = known & np.isfinite(size)
            if both.sum() >= 12:
                centre, quantiles = running_quantiles(values[both], 100.0 * size[both])
                ax.plot(centre, quantiles[1], color=COLOURS[model], lw=1.2)
                ax.fill_between(centre, *quantiles[::2], color=COLOURS[model], alpha=0.15)
        ax.set(xlabel=kind.axis_label, yscale="log")
    panels[0].set_ylabel("median error at 550-900 nm [%]" if red.any() else "median error [%]")
    return figure
