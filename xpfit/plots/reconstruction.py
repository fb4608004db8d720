"""Scatter of reconstructed spectra (Laroche & Speagle 2024, figs. 5-9)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..quantities import quantity
from ..validate.reconstruction import ReconstructionErrors
from .style import BLUE, VERMILION, running_quantiles

COLOURS = {"auto-encoder": VERMILION, "principal components": BLUE, "forward model": "0.2"}


def reconstruction_figure(errors: ReconstructionErrors) -> Figure:
    """Scatter of reconstructions by wavelength, and errors of whole spectra by label (eqs. 7, 9).

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
    at_wavelengths = bool(np.isfinite(errors.wavelength).any())
    factor = 100.0 if at_wavelengths else 1.0
    panels = bottom.subplots(1, max(len(kinds), 1), squeeze=False, sharey=True)[0]
    for kind, ax in zip(kinds, panels, strict=False):
        values = kind.factor * errors.labels[kind.name]
        known = np.isfinite(values)
        for model, size in errors.spectrum.items():
            both = known & np.isfinite(size)
            if both.sum() >= 12:
                centre, quantiles = running_quantiles(values[both], factor * size[both])
                ax.plot(centre, quantiles[1], color=COLOURS[model], lw=1.2)
                ax.fill_between(centre, *quantiles[::2], color=COLOURS[model], alpha=0.15)
        ax.set(xlabel=kind.axis_label, yscale="log")
    unit = "[%]" if at_wavelengths else "[standard errors]"
    panels[0].set_ylabel(f"rms error of a spectrum {unit}")
    return figure
