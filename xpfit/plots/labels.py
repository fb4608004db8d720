"""Figures: functions that take results and return a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data.space import CoefficientSpace
from ..data.spectra import Spectra
from ..fit import FitResult
from ..model import XPModel
from ..validate.metrics import Comparison, metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP_COLOURS = {"giants": "#D55E00", "dwarfs": "#0072B2"}
"""Vermilion and blue of the Okabe-Ito palette, which colour-blind readers can tell apart."""

AXIS_LABELS = {
    "teff": r"$T_{\rm eff}$ [K]",
    "feh": "[Fe/H] [dex]",
    "logg": r"$\log g$ [dex]",
    "alpha_m": r"[$\alpha$/M] [dex]",
    "extinction": "E [mag]",
    "parallax": r"$\varpi$ [mas]",
    "xi": r"$\xi$",
}

RESIDUAL_RANGE = 5.0
"""Half height of a residual panel, in units of the scatter of all stars."""

PULL_RANGE = 6.0
"""Pulls beyond are not shown in histograms."""

MIN_FOR_QUANTILES = 50
"""Stars without which no running quantiles are drawn."""


def residual_figure(comparison: Comparison) -> Figure:
    """Residuals of every label against its reference, and their pulls, for giants and dwarfs.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    labels = comparison.labels
    figure = Figure(figsize=(3.4 * len(labels), 6.0), layout="constrained")
    axes = figure.subplots(2, len(labels), squeeze=False)
    numbers = metrics(comparison)
    for column, name in enumerate(labels):
        _plot_residuals(axes[0, column], comparison, name, numbers)
        _plot_pulls(axes[1, column], comparison, name, numbers)
    for ax in axes.flat:
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper left", fontsize=7)
    figure.suptitle(f"xpfit - reference, {numbers['all']['teff']['n']} stars", fontsize=10)
    return figure


def _plot_residuals(ax, comparison, name, numbers) -> None:
    """Residuals against the reference label, with 16, 50 and 84 % lines."""
    reference = comparison.reference[name]
    residual = comparison.residual(name)
    for group, colour in GROUP_COLOURS.items():
        mask, number = comparison.groups[group], numbers[group][name]
        text = group if number["n"] == 0 else f"{group}: scatter {number['scatter']:.3g}"
        ax.plot(reference[mask], residual[mask], ".", ms=2.5, alpha=0.5, color=colour, label=text)
    ax.axhline(0.0, color="0.3", lw=0.8)
    known = np.isfinite(residual)
    if known.sum() >= MIN_FOR_QUANTILES:
        centre, quantiles = running_quantiles(reference[known], residual[known])
        for q, style in zip(quantiles, ("--", "-", "--"), strict=True):
            ax.plot(centre, q, style, color="k", lw=1.2)
    half = RESIDUAL_RANGE * (numbers["all"][name]["scatter"] or 1.0)
    ax.set(xlabel=f"reference {AXIS_LABELS[name]}", ylim=(-half, half))
    ax.set_ylabel(f"residual {AXIS_LABELS[name]}")


def _plot_pulls(ax, comparison, name, numbers) -> None:
    """Histogram of residuals over errors, with the unit Gaussian that honest errors give."""
    pull = comparison.pull(name)
    pull = np.where(np.abs(pull) <= PULL_RANGE, pull, np.nan)
    bins = np.linspace(-PULL_RANGE, PULL_RANGE, 49)
    for group, colour in GROUP_COLOURS.items():
        number = numbers[group][name]
        if not np.isfinite(pull[comparison.groups[group]]).any():
            continue
        ax.hist(
            pull[comparison.groups[group]],
            bins,
            density=True,
            histtype="step",
            lw=1.3,
            color=colour,
            label=f"{group}: width {number['pull']:.2f}",
        )
    ax.plot(bins, np.exp(-0.5 * bins**2) / np.sqrt(2.0 * np.pi), color="0.4", lw=1, ls=":")
    ax.set(xlabel=f"pull in {AXIS_LABELS[name].split(' [')[0]}", ylabel="density")
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])  # room for the legend


def running_quantiles(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """16, 50 and 84 % of y in 12 bins of x with equal numbers of stars."""
    parts = np.array_split(np.argsort(x), 12)
    centre = np.array([np.median(x[part]) for part in parts])
    return centre, np.array([np.quantile(y[part], [0.16, 0.5, 0.84]) for part in parts]).T


def spectrum_figure(model: XPModel, spectra: Spectra, result: FitResult, row: int) -> Figure:
    """Observed and fitted spectrum of one star, with residuals in units of the errors.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    result : FitResult
        Fit of `spectra`.
    row : int
        Which star.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    draw_spectrum(figure, model, spectra, result, row)
    return figure


def draw_spectrum(figure, model: XPModel, spectra: Spectra, result: FitResult, row: int) -> None:
    """`spectrum_figure` on a figure, or part of one, that is there already."""
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 1))
    used = np.isfinite(spectra.flux_err[row]) & model.trained_channels
    theta = result.theta[row : row + 1].copy()
    predicted = model.forward.flux(theta)[0]
    theta[0, model.forward.n_label] = -np.inf
    curves = {"xpfit": predicted, "without dust": model.forward.flux(theta)[0]}
    if isinstance(model.space, CoefficientSpace):
        _draw_internal(top, model, spectra.flux[row], curves)
        position = np.arange(model.space.n_obs)
        bottom.set(xlabel="coefficient of BP, then of RP; bands")
    else:
        _draw_sampled(top, model, spectra, row, used, curves)
        position = model.wavelength
        _wavelength_axis(bottom)
    top.set_title(_title(result, row), fontsize=8)
    top.legend(fontsize=8)
    residual = (spectra.flux[row] - predicted) / spectra.flux_err[row]
    bottom.axhline(0.0, color="0.5", lw=0.8)
    bottom.plot(position[used], residual[used], ".", ms=4, color="0.25")
    bottom.set_ylabel("residual / error")


_CURVE_STYLES = {
    "xpfit": {"color": GROUP_COLOURS["giants"], "lw": 1.5},
    "without dust": {"color": GROUP_COLOURS["dwarfs"], "lw": 1, "ls": "--"},
}


def _draw_sampled(axes, model, spectra, row, used, curves) -> None:
    """Observed flux with errors, and predictions."""
    wavelength, flux = model.wavelength[used], spectra.flux[row, used]
    error = spectra.flux_err[row, used]
    axes.errorbar(wavelength, flux, error, fmt=".", ms=4, lw=0.8, color="0.25", label="observed")
    for name, values in curves.items():
        axes.plot(wavelength, values[used], label=name, **_CURVE_STYLES[name])
    axes.set(yscale="log", ylabel=r"flux [$10^{-18}$ W m$^{-2}$ nm$^{-1}$]")
    _wavelength_axis(axes)


def _draw_internal(axes, model, coefficients, curves) -> None:
    """Spectra on the pseudo-wavelengths of BP and RP, from coefficients."""
    shown = ~model.space.is_band
    position = np.arange(shown.sum())
    observed = model.space.spectrum(coefficients)[shown]
    axes.plot(position, observed, ".", ms=3, color="0.25", label="observed")
    for name, values in curves.items():
        spectrum = model.space.spectrum(values)[shown]
        axes.plot(position, spectrum, label=name, **_CURVE_STYLES[name])
    axes.set(xlabel="pseudo-wavelength sample of BP, then of RP", ylabel=r"[e$^-$ s$^{-1}$]")


def _wavelength_axis(axes) -> None:
    """A logarithmic axis of wavelengths with readable ticks."""
    axes.set(xscale="log", xlabel="wavelength [nm]")
    ticks = [400, 500, 600, 800, 1000, 1500, 2000]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _title(result: FitResult, row: int) -> str:
    """Parameters of one star with their errors."""
    values = {
        n: (result[n][row], result.error(n)[row]) for n in result.parameter_names if n != "parallax"
    }
    teff, teff_err = (1000.0 * x for x in values.pop("teff"))
    parts = [rf"$T_{{\rm eff}}$ = {teff:.0f} $\pm$ {teff_err:.0f} K"]
    names = {
        "feh": "[Fe/H]",
        "logg": r"$\log g$",
        "alpha_m": r"[$\alpha$/M]",
        "extinction": "E",
        "xi": r"$\xi$",
    }
    parts += [rf"{names[n]} = {v:.2f} $\pm$ {e:.2f}" for n, (v, e) in values.items()]
    return f"Gaia DR3 {result.source_id[row]}\n" + ", ".join(parts)
