"""Observed and fitted spectrum of one star."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..data import CoefficientSpace, Spectra
from ..fit import FitResult
from ..model import XPModel
from ..quantities import quantity
from .style import BLUE, FLUX_LABEL, VERMILION, wavelength_axis


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
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    draw_spectrum(figure, model, spectra, result, row)
    return figure


def draw_spectrum(figure, model: XPModel, spectra: Spectra, result: FitResult, row: int) -> None:
    """Draw what `spectrum_figure` shows on an existing figure, or part of one."""
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 1))
    used = np.isfinite(spectra.flux_err[row]) & model.trained_channels
    theta = result.theta[row : row + 1].copy()
    predicted = model.forward.flux(theta)[0]
    theta[0, model.forward.n_label] = -np.inf  # ln E
    curves = {"xpfit": predicted, "without dust": model.forward.flux(theta)[0]}
    if isinstance(model.space, CoefficientSpace):
        _draw_internal(top, model, spectra.flux[row], curves)
        position = np.arange(model.space.n_obs)
        bottom.set(xlabel="coefficient of BP, then of RP; bands")
    else:
        _draw_sampled(top, model, spectra, row, used, curves)
        position = model.wavelength
        wavelength_axis(bottom)
    top.set_title(_title(result, row), fontsize=8)
    top.legend(fontsize=8)
    residual = (spectra.flux[row] - predicted) / spectra.flux_err[row]
    bottom.axhline(0.0, color="0.5", lw=0.8)
    bottom.plot(position[used], residual[used], ".", ms=4, color="0.25")
    bottom.set_ylabel("residual / error")


_CURVE_STYLES = {
    "xpfit": {"color": VERMILION, "lw": 1.5},
    "without dust": {"color": BLUE, "lw": 1, "ls": "--"},
}


def _draw_sampled(axes, model, spectra, row, used, curves) -> None:
    """Observed flux with errors, and predictions."""
    wavelength, flux = model.wavelength[used], spectra.flux[row, used]
    error = spectra.flux_err[row, used]
    axes.errorbar(wavelength, flux, error, fmt=".", ms=4, lw=0.8, color="0.25", label="observed")
    for name, values in curves.items():
        axes.plot(wavelength, values[used], label=name, **_CURVE_STYLES[name])
    axes.set(yscale="log", ylabel=f"flux {FLUX_LABEL}")
    wavelength_axis(axes)


def _draw_internal(axes, model, coefficients, curves) -> None:
    """Draw the spectrum that the coefficients stand for, and the predictions."""
    shown = ~model.space.is_band
    position = np.arange(shown.sum())
    styles = {"observed": {"color": "0.25", "ls": "", "marker": ".", "ms": 3}} | _CURVE_STYLES
    for name, values in ({"observed": coefficients} | curves).items():
        axes.plot(position, model.space.spectrum(values)[shown], label=name, **styles[name])
    axes.set(xlabel="pseudo-wavelength sample of BP, then of RP", ylabel=r"[e$^-$ s$^{-1}$]")


def _title(result: FitResult, row: int) -> str:
    """Parameters of one star with their errors."""
    parts = []
    for name in result.parameter_names:
        if name == "parallax" and not result.absolute:
            continue
        kind = quantity(name)
        digits, unit = min(kind.digits, 2), f" {kind.unit}" if kind.table_unit else ""
        value, error = (kind.factor * x[row] for x in (result[name], result.error(name)))
        parts.append(rf"{kind.symbol} = {value:.{digits}f} $\pm$ {error:.{digits}f}{unit}")
    # Four labels, E and a parallax are wider than the figure.
    n_label = result.parameter_names.index("extinction")
    rest = ", ".join(parts[n_label:])
    return f"Gaia DR3 {result.source_id[row]}: {rest}\n" + ", ".join(parts[:n_label])
