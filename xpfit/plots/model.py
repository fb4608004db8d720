"""Figures of a trained model: its training, cleaning, prior and residuals (ZGR23, figs. 4, 5).

`model_figures` makes all for which the model has data, with those of `tracks` and `extinction`
(figs. 12-15).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..constants import BANDS
from ..data import SampledSpace
from ..errors import InputError
from ..model import XPModel
from ..quantities import factors, quantity
from .extinction import Curve, extinction_figure
from .style import GROUP_COLOURS, VERMILION, draw_density, subplots
from .tracks import TRACKS, require_sampled, track_figure

RESIDUALS_SHOWN = 10.0
"""Half height (%) of the panel of residuals; faint stars scatter more in the blue."""


def model_figures(model: XPModel, curves: Mapping[str, Curve] | None = None) -> dict[str, Figure]:
    """All figures that can be drawn of a model, by name.

    Parameters
    ----------
    model : XPModel
    curves : mapping of str to tuple of ndarray, optional
        Further extinction curves, as for `extinction_figure`.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``training``, ``main_sequence``, ``giant_branch``, ``metallicity``, ``extinction_curve``,
        ``prior``, ``residuals``, ``cleaning``. Models in coefficient space have no spectra to
        show; models written by early versions no record of their training.
    """
    figures = {"prior": prior_figure(model)}
    if isinstance(model.space, SampledSpace):
        for name in TRACKS:
            figures[name] = track_figure(model, name)
        figures["extinction_curve"] = extinction_figure(model, curves)
    if "history/loss" in model.diagnostics:
        figures["training"] = training_figure(model)
    if "residual_quantiles" in model.diagnostics and isinstance(model.space, SampledSpace):
        figures["residuals"] = model_residual_figure(model)
    if len(model.diagnostics.get("solar_type/pull_logg", ())):
        figures["cleaning"] = cleaning_figure(model)
    return figures


def training_figure(model: XPModel) -> Figure:
    """Loss, and chi2 of the stars kept, epoch by epoch and phase by phase.

    Parameters
    ----------
    model : XPModel
        With the history of its training.

    Returns
    -------
    matplotlib.figure.Figure
    """
    loss, chi2, phases = (
        _diagnostic(model, f"history/{name}") for name in ("loss", "median_chi2", "phase")
    )
    figure, (top, bottom) = subplots(2, 1, sharex=True, size=(7.0, 5.0))
    epoch = np.arange(len(loss))
    names = [phase["name"] for phase in model.training["recipe"]["phases"]]
    for index in np.unique(phases):
        rows = phases == index
        top.plot(epoch[rows], loss[rows], lw=1.2, label=names[index])
        bottom.plot(epoch[rows], chi2[rows], lw=1.2)
    top.set(yscale="log", ylabel="mean loss per star")
    bottom.set(yscale="log", xlabel="epoch", ylabel=r"median $\chi^2$ / dof")
    bottom.axhline(1.0, color="0.6", lw=0.8)
    top.legend(fontsize=8)
    kept = model.training["n_stars"] - model.training["n_cleaned"]
    top.set_title(f"{kept} of {model.training['n_stars']} stars kept", fontsize=9)
    return figure


def prior_figure(model: XPModel, n_draws: int = 100_000, seed: int = 1) -> Figure:
    """The prior on stellar type, with contours that enclose 68, 95 and 99 % (ZGR23, fig. 5).

    Parameters
    ----------
    model : XPModel
    n_draws : int
        Draws from the prior that the figure is made of.
    seed : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    draws = model.prior.sample(n_draws, np.random.default_rng(seed)) * factors(model.label_names)
    x, y = (model.label_names.index(name) for name in ("teff", "logg"))
    names = [quantity(name).axis_label for name in model.label_names]
    others = [i for i in range(len(names)) if i != x]
    figure, axes = subplots(1, len(others), squeeze=False, size=(3.6 * len(others), 3.6))
    for ax, i in zip(axes[0], others, strict=True):
        draw_density(ax, draws[:, x], draws[:, i])
        ax.invert_xaxis()
        ax.set(xlabel=names[x], ylabel=names[i])
        if i == y:
            ax.invert_yaxis()
    figure.suptitle(f"prior: {len(model.prior.weights)} Gaussians", fontsize=10)
    return figure


def model_residual_figure(model: XPModel) -> Figure:
    """Fractional residuals of the training stars by wavelength, and by wavelength and label.

    Parameters
    ----------
    model : XPModel
        In sampled space, with a record of its training.

    Returns
    -------
    matplotlib.figure.Figure
    """
    require_sampled(model)
    shown = model.trained_channels
    position = np.arange(shown.sum())
    low, middle, high = 100.0 * _diagnostic(model, "residual_quantiles")[:, shown]
    n_panel = 1 + len(model.label_names)
    figure, axes = subplots(n_panel, 1, sharex=True, size=(8.0, 2.2 * n_panel))
    axes[0].fill_between(position, low, high, color="0.85", label="16-84 % of the stars")
    axes[0].plot(position, middle, "k", lw=1, label="median")
    if model.covariance is not None:
        sigma = 100.0 * np.sqrt(np.diag(model.covariance.matrix())[shown])
        axes[0].plot(position, -sigma, "--", lw=1, color=VERMILION)
        axes[0].plot(position, sigma, "--", lw=1, color=VERMILION, label="model covariance")
    axes[0].set(ylabel="residual [%]", ylim=(-RESIDUALS_SHOWN, RESIDUALS_SHOWN))
    axes[0].legend(fontsize=7, ncols=3)
    for ax, name in zip(axes[1:], model.label_names, strict=True):
        values = 100.0 * _diagnostic(model, f"residual_by_label/{name}")[:, shown]
        bins = quantity(name).factor * _diagnostic(model, f"label_bins/{name}")
        image = ax.imshow(
            values, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-2, vmax=2,
            interpolation="nearest",
        )  # fmt: skip
        ax.set_yticks(range(len(bins)), [f"{value:.4g}" for value in bins], fontsize=6)
        ax.set_ylabel(quantity(name).axis_label, fontsize=8)
        figure.colorbar(image, ax=ax, label="median [%]")
    wavelength = model.wavelength[shown]
    ticks = [int(np.argmin(np.abs(wavelength - w))) for w in (400, 500, 600, 700, 800, 900, 1000)]
    names = [f"{wavelength[i]:.0f}" for i in ticks]
    bands = np.flatnonzero(model.space.is_band[shown])
    axes[-1].set_xticks(ticks, names, fontsize=7)
    for i in bands:
        name = next(band.name for band in BANDS if band.wavelength == wavelength[i])
        axes[0].text(i, RESIDUALS_SHOWN, name, fontsize=6, ha="center", va="bottom")
    axes[-1].set_xlabel("wavelength [nm]")
    return figure


def cleaning_figure(model: XPModel) -> Figure:
    """Self-cleaning of solar-type stars of little extinction (ZGR23, fig. 4).

    Parameters
    ----------
    model : XPModel
        Absolute, with a record of its training.

    Returns
    -------
    matplotlib.figure.Figure
        Pulls of log g and parallax with the limit for binaries, and absolute magnitudes of the
        stars inside and outside it.
    """
    logg, parallax, magnitude = (
        _diagnostic(model, f"solar_type/{name}")
        for name in ("pull_logg", "pull_parallax", "absolute_magnitude")
    )
    limit = model.training["recipe"]["clean_binary_sigma"]
    outside = np.hypot(logg, parallax) > limit
    figure, (left, right) = subplots(1, 2, size=(9.0, 4.0))
    points = left.scatter(parallax, logg, c=magnitude, s=5, cmap="viridis")
    if np.isfinite(limit):
        angle = np.linspace(0.0, 2.0 * np.pi, 200)
        left.plot(limit * np.cos(angle), limit * np.sin(angle), "k--", lw=1)
    left.set(xlabel=r"$\Delta\varpi / \sigma$", ylabel=r"$\Delta\log g / \sigma$")
    figure.colorbar(points, ax=left, label="absolute magnitude, 592-782 nm (AB)")
    finite = np.isfinite(magnitude)
    bins = np.linspace(*np.quantile(magnitude[finite], [0.0, 1.0]), 40)
    for rows, label, colour in (
        (finite & ~outside, "kept", "0.4"),
        (finite & outside, f"beyond {limit:g} sigma", GROUP_COLOURS["giants"]),
    ):
        text = f"{label} ({rows.sum()})"
        right.hist(magnitude[rows], bins, histtype="step", color=colour, label=text)
    typical = np.median(magnitude[finite & ~outside])
    right.axvline(typical, color="0.4", lw=0.8)
    right.axvline(typical - 0.75, color=GROUP_COLOURS["giants"], lw=0.8, ls=":")
    right.set(
        xlabel="absolute magnitude at the measured parallax, 592-782 nm (AB)",
        ylabel="stars",
        yscale="log",
    )
    right.legend(fontsize=8, title="dotted: twice the light", title_fontsize=7)
    width = float(_diagnostic(model, "solar_type/width")[0])
    wider = f", within {width:g} times the limits of ZGR23's eq. 16" if width > 1 else ""
    figure.suptitle(f"{len(logg)} solar-type stars of low extinction{wider}", fontsize=10)
    return figure


def _diagnostic(model: XPModel, name: str) -> np.ndarray:
    """A record of the training, or an error that says how to get it."""
    if name not in model.diagnostics:
        raise InputError(f"this model file has no {name} of its training; train it again")
    return model.diagnostics[name]
