"""Optimum and Fisher errors against samples of the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from ..fit.sampling import PosteriorSample
from ..plots.labels import AXIS_LABELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AMPLITUDE_LABEL = r"$\sqrt{\rm amplitude}$"
"""In place of the parallax for models that know no luminosities."""

MAX_OFFSET = 0.3
"""Fisher errors away from the optimum, up to which a median counts as equal to it."""

MAX_WIDTH_CHANGE = 0.25
"""Relative difference of widths, up to which they count as equal."""

BIMODAL = 5.0 / 9.0
"""Sarle's bimodality coefficient of a uniform distribution; two modes give more."""

ELLIPSE_COLOUR, SAMPLE_COLOUR = "#D55E00", "#0072B2"


def posterior_table(samples: Sequence[PosteriorSample]) -> Table:
    """Where Fisher errors are good, and where posteriors are skew or bimodal.

    Parameters
    ----------
    samples : sequence of PosteriorSample
        Of the same model.

    Returns
    -------
    astropy.table.Table
        One row per star: for each parameter the optimum (`NAME`, `NAME_err`), the quantiles of the
        posterior (`NAME_median`, `NAME_lower`, `NAME_upper`: 50, 16, 84 %), `NAME_offset` (median
        minus optimum, in Fisher errors), `NAME_width` (half of the 16-84 % range over the Fisher
        error), `NAME_skewness`, `NAME_bimodality` (Sarle's coefficient); then `n_steps`,
        `converged`, `autocorrelation` (the longest time) and `acceptance`. In kK, dex, mag, mas.
    """
    rows = [_row(sample) for sample in samples]
    return Table(rows, names=list(rows[0])) if rows else Table()


def _row(sample: PosteriorSample) -> dict:
    """One row of `posterior_table`."""
    row: dict = {"gdr3_source_id": sample.source_id}
    flat = sample.flat
    lower, median, upper = np.quantile(flat, [0.16, 0.5, 0.84], axis=0)
    centred = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    skewness, kurtosis = (centred**3).mean(axis=0), (centred**4).mean(axis=0)
    for i, name in enumerate(sample.parameter_names):
        row |= {
            name: sample.best[i],
            f"{name}_err": sample.error[i],
            f"{name}_median": median[i],
            f"{name}_lower": lower[i],
            f"{name}_upper": upper[i],
            f"{name}_offset": (median[i] - sample.best[i]) / sample.error[i],
            f"{name}_width": 0.5 * (upper[i] - lower[i]) / sample.error[i],
            f"{name}_skewness": skewness[i],
            f"{name}_bimodality": (skewness[i] ** 2 + 1.0) / kurtosis[i],
        }
    return row | {
        "n_steps": sample.n_steps,
        "converged": sample.converged,
        "autocorrelation": float(np.max(sample.autocorrelation)),
        "acceptance": sample.acceptance,
    }


def posterior_shares(table: Table, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """How often medians, widths and shapes of posteriors agree with optimum and Fisher errors.

    Parameters
    ----------
    table : astropy.table.Table
        From `posterior_table`.
    names : sequence of str
        Parameters.

    Returns
    -------
    dict of str to dict
        By parameter: shares of the stars with `median` within 0.3 Fisher errors of the optimum,
        `width` within 25 % of the Fisher error, `skew` (beyond 0.5) and `bimodal` posteriors.
    """
    shares = {}
    for name in names:
        offset, width = np.abs(table[f"{name}_offset"]), table[f"{name}_width"]
        shares[name] = {
            "median": float(np.mean(offset < MAX_OFFSET)),
            "width": float(np.mean(np.abs(width - 1.0) < MAX_WIDTH_CHANGE)),
            "skew": float(np.mean(np.abs(table[f"{name}_skewness"]) > 0.5)),
            "bimodal": float(np.mean(table[f"{name}_bimodality"] > BIMODAL)),
        }
    return shares


def corner_figure(sample: PosteriorSample, *, absolute: bool = True) -> Figure:
    """Corner plot of a posterior, with the optimum and the 1- and 2-sigma Fisher ellipses over it.

    Parameters
    ----------
    sample : PosteriorSample
    absolute : bool
        Whether the model knows luminosities, so that there is a parallax.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import corner
    from matplotlib.figure import Figure

    names = sample.parameter_names
    labels = [AXIS_LABELS[name] for name in names]
    if not absolute:
        labels[names.index("parallax")] = AMPLITUDE_LABEL
    scale = np.where(np.array(names) == "teff", 1000.0, 1.0)
    n = len(names)
    figure = Figure(figsize=(1.7 * n + 0.6, 1.7 * n + 0.6))
    corner.corner(
        sample.flat * scale,
        fig=figure,
        labels=labels,
        color=SAMPLE_COLOUR,
        levels=(1.0 - np.exp(-0.5), 1.0 - np.exp(-2.0)),
        quantiles=(0.16, 0.5, 0.84),
        plot_datapoints=False,
        smooth=0.7,
        max_n_ticks=3,
    )
    axes = np.array(figure.axes).reshape(n, n)
    best, covariance = sample.best * scale, sample.covariance * scale[:, None] * scale
    for i in range(n):
        axes[i, i].axvline(best[i], color=ELLIPSE_COLOUR, lw=1)
        for j in range(i):
            draw_ellipse(axes[i, j], best[[j, i]], covariance[np.ix_([j, i], [j, i])])
    figure.suptitle(
        f"Gaia DR3 {sample.source_id}\nemcee (blue), optimum and Fisher ellipses (orange)",
        fontsize=10,
        x=0.98,
        ha="right",
    )
    return figure


def draw_ellipse(
    axes, centre: np.ndarray, covariance: np.ndarray, colour: str = ELLIPSE_COLOUR
) -> None:
    """Draw ellipses of 1 and 2 sigma; the limits of the axes stay as they are.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    centre : ndarray, shape (2,)
    covariance : ndarray, shape (2, 2)
    colour : str
    """
    limits = axes.get_xlim(), axes.get_ylim()
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    for n_sigma in (1.0, 2.0):
        x, y = centre[:, None] + n_sigma * (vectors * np.sqrt(np.maximum(values, 0.0))) @ circle
        axes.plot(x, y, color=colour, lw=1.2)
    axes.plot(*centre, "+", color=colour, ms=6)
    axes.set(xlim=limits[0], ylim=limits[1])
