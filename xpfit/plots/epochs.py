"""Figure of the epoch spectra of one star."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..data import SampledSpace
from ..epochs.directions import AMPLITUDE
from ..epochs.table import StudiedStar
from ..quantities import quantity
from .style import BLUE, VERMILION

SHOWN = 5.0
"""Sigma; colours do not change beyond."""


def epochs_figure(star: StudiedStar) -> Figure:
    """Draw how the epochs of a star differ from their mean.

    Parameters
    ----------
    star : StudiedStar
        From `xpfit.epochs.study_stars`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, each value of each epoch minus the mean, in units of the standard deviation of that
        difference; then, epoch by epoch, chi2 over its mean for a constant star, and the fitted
        parameters with their errors.
    """
    fits = star.fits
    names = fits.names if fits else ()
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    widths = (3.4, *(1.3,) * (1 + len(names)))
    axes = np.atleast_1d(figure.subplots(1, len(widths), sharey=True, width_ratios=widths))
    _draw_residuals(figure, axes[0], star)
    rows = np.arange(len(star.epochs))
    expected = np.maximum(star.comparison.epoch_dof, 1e-12)
    chi2 = np.where(star.comparison.epoch_dof > 0, star.comparison.epoch_chi2 / expected, np.nan)
    _draw_expected(axes[1], rows, chi2, star.comparison.epoch_dof)
    for axis, name in zip(axes[2:], names, strict=True):
        _draw_parameter(axis, rows, fits, name)
    figure.suptitle(_title(star), fontsize=10)
    return figure


def _draw_residuals(figure: Figure, axes, star: StudiedStar) -> None:
    """Draw the residuals as an image, epochs from below to above."""
    epochs, comparison = star.epochs, star.comparison
    single = np.diagonal(epochs.covariance, axis1=1, axis2=2)
    variance = single - np.diagonal(comparison.covariance)
    shown = epochs.used & (variance > 1e-6 * single)
    residual = (epochs.flux - comparison.flux) / np.sqrt(np.where(shown, variance, 1.0))
    columns = shown.any(axis=0)
    values = np.where(shown, residual, np.nan)[:, columns]
    space = epochs.spectra.space
    if isinstance(space, SampledSpace):
        x, label = space.wavelength[columns], "wavelength [nm]"
    else:
        x, label = np.flatnonzero(columns), "coefficient, BP then RP"
    options = {"cmap": "RdBu_r", "vmin": -SHOWN, "vmax": SHOWN, "shading": "nearest"}
    image = axes.pcolormesh(x, np.arange(len(epochs)), values, rasterized=True, **options)
    axes.set_facecolor("0.8")
    figure.colorbar(
        image, ax=axes, label="(epoch - mean) / error", extend="both", location="left", pad=0.12
    )
    axes.set(xlabel=label, ylabel="epoch")


def _draw_expected(axes, rows, ratio, dof) -> None:
    """Draw chi2 of each epoch, with the range that is expected."""
    width = np.sqrt(2.0 / np.maximum(dof, 1.0))
    axes.barh(rows, 4.0 * width, 1.0, left=1.0 - 2.0 * width, color="0.9", lw=0)
    axes.axvline(1.0, color="0.6", lw=0.8)
    axes.plot(ratio, rows, "o", ms=3.5, color=VERMILION)
    axes.set_xlabel(r"$\chi^2$ / expected")
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=3)


def _draw_parameter(axes, rows, fits, name: str) -> None:
    """Draw a parameter of each epoch, with its error."""
    is_amplitude = name == AMPLITUDE
    factor, origin = (100.0, 1.0) if is_amplitude else (quantity(name).factor, 0.0)
    value, error = factor * (fits[name] - origin), factor * fits.error(name)
    axes.errorbar(value, rows, xerr=error, fmt="o", ms=3.5, lw=0.8, color=BLUE)
    axes.axvline(np.nanmean(value), color="0.6", lw=0.8)
    axes.set_xlabel("brightness [%]" if is_amplitude else quantity(name).axis_label)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=2)


def _title(star: StudiedStar) -> str:
    """The star, and whether it varies."""
    comparison, found = star.comparison, star.variability
    text = f"source {star.epochs.source_id}: {len(star.epochs)} epochs\n"
    text += rf"$\chi^2$ = {comparison.chi2:.0f} for {comparison.dof} ({_p(comparison.p_value)}); "
    text += f"changes of brightness: {_p(found.brightness.p_value)}"
    return text if np.isnan(found.p_teff) else f"{text}, of Teff: {_p(found.p_teff)}"


def _p(value: float) -> str:
    """A p value, which may be below all numbers."""
    return f"p = {value:.2g}" if value != 0.0 else "p < 1e-300"
