"""Kiel diagram of labelled stars, such as a training set (ZGR23, fig. 1)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..data import Spectra
from ..errors import InputError
from ..simulate.stars import giant_branch_teff, main_sequence_logg
from .style import VERMILION, subplots
from .tracks import TRACKS

MIN_CELLS, MAX_CELLS = 30, 120
"""Cells of the diagram in each direction, of few and of many stars."""


def label_figure(spectra: Spectra) -> Figure:
    """Draw the number of stars and their mean [Fe/H] over the Kiel diagram.

    Parameters
    ----------
    spectra : Spectra
        With labels.

    Returns
    -------
    matplotlib.figure.Figure
        With the tracks along which `xpfit.plots.tracks` draws models (ZGR23, eqs. 28 and 29).

    Raises
    ------
    InputError
        If no star has Teff, log g and [Fe/H].
    """
    unknown = np.full(len(spectra), np.nan)
    teff, logg, feh = (spectra.labels.get(name, unknown) for name in ("teff", "logg", "feh"))
    known = np.isfinite(teff) & np.isfinite(logg) & np.isfinite(feh)
    if not known.any():
        raise InputError(
            "none of these spectra has Teff, log g and [Fe/H]; attach them with xpfit prepare "
            "--labels"
        )
    teff, logg, feh = teff[known], logg[known], feh[known]
    # Hot stars are few, and spread over most of a linear axis.
    n_cells = int(np.clip(1.5 * np.sqrt(len(teff)), MIN_CELLS, MAX_CELLS))
    counts, x, y = np.histogram2d(np.log10(teff), logg, n_cells)
    total, _, _ = np.histogram2d(np.log10(teff), logg, (x, y), weights=feh)
    with np.errstate(invalid="ignore", divide="ignore"):
        panels = (np.log10(np.where(counts, counts, np.nan)), total / counts)
    figure, axes = subplots(1, 2, size=(10.0, 4.6), sharey=True)
    limits = (None, np.quantile(feh, [0.02, 0.98]))
    names = ("log10 number of stars", "mean [Fe/H]")
    for ax, values, limit, name in zip(axes, panels, limits, names, strict=True):
        low, high = (None, None) if limit is None else limit
        mesh = ax.pcolormesh(10.0**x, y, values.T, cmap="viridis", vmin=low, vmax=high)
        figure.colorbar(mesh, ax=ax, label=name, extend="neither" if limit is None else "both")
        _draw_tracks(ax, teff)
        ax.set(xscale="log", xlabel="Teff [kK]", xlim=(10.0 ** x[-1], 10.0 ** x[0]))
        ticks = [t for t in (3, 4, 5, 6, 7, 8, 10, 15, 20, 30) if 10.0 ** x[0] < t < 10.0 ** x[-1]]
        ax.set_xticks(ticks, [str(t) for t in ticks])
        ax.minorticks_off()
    axes[0].set(ylabel="log g", ylim=(y[-1], y[0]))
    figure.suptitle(f"{known.sum()} stars with labels", fontsize=10)
    return figure


def _draw_tracks(ax, teff: np.ndarray) -> None:
    """Main sequence and giant branch, as far as there are stars."""
    low, high = TRACKS["main_sequence"][2]
    sequence = np.linspace(max(low, teff.min()), min(high, teff.max()), 200)
    ax.plot(sequence, main_sequence_logg(sequence), color=VERMILION, lw=1)
    branch = np.linspace(*TRACKS["giant_branch"][2], 100)
    ax.plot(giant_branch_teff(branch), branch, color=VERMILION, lw=1)
