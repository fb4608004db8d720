"""Pictures of a trained model (ZGR23, figs. 4, 5, 12-15), from the model alone.

Each function takes an `XPModel` and returns a matplotlib figure. `model_figures` makes all that the
model has numbers for.
"""

from __future__ import annotations

import csv
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from ..constants import BANDS
from ..errors import InputError
from ..model import XPModel, ccm89_curve
from ..space import SampledSpace
from .figures import AXIS_LABELS, GROUP_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {
    r"H$\delta$": 410.2,
    r"H$\gamma$": 434.0,
    r"H$\beta$": 486.1,
    r"H$\alpha$": 656.3,
    "Ca I": 422.7,
    "Mg b": 517.5,
    "Na D": 589.3,
    "TiO": 705.4,
    "Ca II": 857.0,
    r"Pa$\delta$": 1004.9,
    r"Pa$\epsilon$": 954.6,
}
"""Spectral features (nm, in air) that show at the resolution of XP spectra."""

CONTINUUM_DEGREE = 5
"""ZGR23 take a polynomial of this degree for each spectrum's continuum."""

R_V_SHOWN = (2.6, 3.1, 3.6)
NORMALISED_AT = 542.0
"""Wavelength (nm) at which extinction curves are made equal."""

CONTOURS = (0.68, 0.95, 0.99)

RESIDUALS_SHOWN = 10.0
"""Half height (%) of the panel of residuals; faint stars scatter more in the blue."""

SHAPE_WINDOW = (392.0, 992.0)
"""Wavelengths (nm) that ZGR23 show."""


def main_sequence_logg(teff: np.ndarray) -> np.ndarray:
    """log g along the main sequence (ZGR23, eq. 28).

    Parameters
    ----------
    teff : array_like
        kK.

    Returns
    -------
    ndarray
    """
    teff = np.asarray(teff, dtype=float)
    return np.where(teff < 5.0, 4.6, np.where(teff < 6.3, 4.6 - 0.5 * (teff - 5.0), 3.95))


def giant_branch_teff(logg: np.ndarray) -> np.ndarray:
    """Teff along the giant branch (ZGR23, eq. 29).

    Parameters
    ----------
    logg : array_like

    Returns
    -------
    ndarray
        kK.
    """
    logg = np.asarray(logg, dtype=float)
    return np.where(logg < 3.65, 5.2 - 0.44186 * (3.65 - logg), 5.9 - 1.4 * (4.15 - logg))


def model_figures(model: XPModel) -> dict[str, Figure]:
    """All pictures of a model that can be drawn of it, by name.

    Parameters
    ----------
    model : XPModel

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``training``, ``main_sequence``, ``giant_branch``, ``metallicity``, ``extinction_curve``,
        ``prior``, ``residuals``, ``cleaning``. Models in coefficient space have no spectra to
        show; models written by early versions no numbers of their training.
    """
    figures = {"prior": prior_figure(model)}
    if isinstance(model.space, SampledSpace):
        for name in TRACKS:
            figures[name] = track_figure(model, name)
        figures["extinction_curve"] = extinction_figure(model)
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
    from matplotlib.figure import Figure

    history = {
        name: _diagnostic(model, f"history/{name}")
        for name in ("loss", "median_chi2", "phase", "n_stars")
    }
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    epoch = np.arange(len(history["loss"]))
    names = [phase["name"] for phase in model.training["recipe"]["phases"]]
    for index in np.unique(history["phase"]):
        rows = history["phase"] == index
        top.plot(epoch[rows], history["loss"][rows], lw=1.2, label=names[index])
        bottom.plot(epoch[rows], history["median_chi2"][rows], lw=1.2)
    top.set(yscale="log", ylabel="mean loss per star")
    bottom.set(xlabel="epoch", ylabel=r"median $\chi^2$ / dof")
    bottom.axhline(1.0, color="0.6", lw=0.8)
    top.legend(fontsize=8)
    kept = model.training["n_stars"] - model.training["n_cleaned"]
    top.set_title(f"{kept} of {model.training['n_stars']} stars kept", fontsize=9)
    return figure


def _main_sequence(model: XPModel) -> tuple[np.ndarray, np.ndarray, str]:
    teff = np.linspace(*_range(model, "teff", 3.5, 11.0), 9)
    return teff, _types(model, teff, main_sequence_logg(teff), 0.0), r"$T_{\rm eff}$ [kK]"


def _giant_branch(model: XPModel) -> tuple[np.ndarray, np.ndarray, str]:
    logg = np.linspace(*_range(model, "logg", 0.5, 3.8), 9)
    return logg, _types(model, giant_branch_teff(logg), logg, 0.0), r"$\log g$"


def _metallicity(model: XPModel) -> tuple[np.ndarray, np.ndarray, str]:
    feh = np.linspace(*_range(model, "feh", -1.5, 0.4), 9)
    teff = np.full(len(feh), 5.5)
    return feh, _types(model, teff, main_sequence_logg(teff), feh), "[Fe/H]"


TRACKS = {
    "main_sequence": ("solar-metallicity main sequence", _main_sequence),
    "giant_branch": ("solar-metallicity giant branch", _giant_branch),
    "metallicity": ("main sequence at 5500 K", _metallicity),
}
"""Tracks through the stellar types: ZGR23's figs. 12, 14 and 13."""


def track_figure(model: XPModel, track: str) -> Figure:
    """Model spectra along a track, and the same over their continuum (ZGR23, figs. 12-14).

    Parameters
    ----------
    model : XPModel
        In sampled space.
    track : str
        One of `TRACKS`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no such track, or the model is in coefficient space.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    if track not in TRACKS:
        raise InputError(f"no track {track!r}; there are {', '.join(TRACKS)}")
    _require_sampled(model)
    title, draw = TRACKS[track]
    values, types, label = draw(model)
    shown = model.trained_channels
    flux = model.predict(types, extrapolate=True)
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = ScalarMappable(Normalize(values.min(), values.max()), colormaps["viridis"])
    spectrum = shown & ~model.space.is_band
    bands = shown & model.space.is_band
    at = model.wavelength[spectrum]
    window = (at >= SHAPE_WINDOW[0]) & (at <= SHAPE_WINDOW[1])
    for value, one in zip(values, flux, strict=True):
        colour = colours.to_rgba(value)
        left.plot(at, one[spectrum], color=colour, lw=1)
        left.plot(model.wavelength[bands], one[bands], "o", ms=3, color=colour)
        right.plot(
            at[window], over_continuum(at[window], one[spectrum][window]), color=colour, lw=1
        )
    left.set(xscale="log", yscale="log", xlabel="wavelength [nm]", title=title)
    ticks = [400, 600, 1000, 2000] + ([4000] if model.wavelength[shown].max() > 3000 else [])
    left.set_xticks(ticks, [str(tick) for tick in ticks])
    left.minorticks_off()
    distance = "at 1 kpc " if model.absolute else "(mean of ln at 592-782 nm is 0) "
    unit = r"[$10^{-18}$ W m$^{-2}$ nm$^{-1}$]" if model.absolute else ""
    left.set_ylabel(f"flux {distance}{unit}")
    right.set(xlabel="wavelength [nm]", ylabel="flux / continuum", title="over the continuum")
    _label_lines(right, *at[window][[0, -1]])
    figure.colorbar(colours, ax=right, label=label)
    return figure


def over_continuum(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """A spectrum over its continuum, a polynomial of degree 5 (ZGR23, figs. 12-14).

    Parameters
    ----------
    wavelength, flux : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
    """
    # Weights make it a fit of fractions: cool stars have next to no light in the blue.
    continuum = np.polynomial.Polynomial.fit(wavelength, flux, CONTINUUM_DEGREE, w=1.0 / flux)
    return flux / continuum(wavelength)


def _label_lines(axes: Axes, low: float, high: float) -> None:
    """Mark the spectral features within the range."""
    top = axes.get_ylim()[1]
    for i, (name, wavelength) in enumerate(sorted(LINES.items(), key=lambda item: item[1])):
        if low < wavelength < high:
            hydrogen = name.startswith(("H$", "Pa$"))
            axes.axvline(wavelength, color="0.6", lw=0.7, ls=":" if hydrogen else "--", zorder=0)
            height = top + 0.03 * (i % 3)
            axes.text(wavelength, height, name, fontsize=7, ha="center", va="bottom")
    axes.set_ylim(top=top + 0.1)


def extinction_figure(model: XPModel) -> Figure:
    """The learned extinction curve against CCM89 and, where installed, Zhang & Yuan's (fig. 15).

    Parameters
    ----------
    model : XPModel
        In sampled space.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """
    from matplotlib.figure import Figure

    _require_sampled(model)
    shown = model.trained_grid
    wavelength, curve = model.wavelength[shown], model.forward.extinction_curve[shown]
    at = np.argmin(np.abs(wavelength - NORMALISED_AT))
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2, 1), sharex=True)
    top.plot(wavelength, curve / curve[at], "k.-", ms=4, lw=1, label="xpfit, learned")
    if model.forward.curve_varies:
        spread = np.exp(np.array([[-1.0], [1.0]]) * model.forward.variation[shown]) * curve
        low, high = spread / spread[:, at : at + 1]
        top.fill_between(wavelength, low, high, color="0.8", label=r"$\xi$ = -1 .. 1")
    for r_v, colour in zip(R_V_SHOWN, ("#0072B2", "#009E73", "#D55E00"), strict=True):
        published = ccm89_curve(wavelength, r_v)
        published /= published[at]
        top.plot(wavelength, published, lw=1, color=colour, label=f"CCM89, R(V) = {r_v}")
        bottom.plot(wavelength, curve / curve[at] / published, lw=1, color=colour)
    measured = xp_extinction_curve()
    if measured is not None:
        inside = (measured[0] >= wavelength.min()) & (measured[0] <= wavelength.max())
        x, y = measured[0][inside], measured[1][inside]
        y = y / np.interp(wavelength[at], x, y)
        top.plot(x, y, lw=1, ls="--", color="#CC79A7", label="Zhang & Yuan, XP spectra")
    bottom.axhline(1.0, color="0.6", lw=0.8)
    top.set(ylabel=f"R / R({wavelength[at]:.0f} nm)", xscale="log")
    bottom.set(xlabel="wavelength [nm]", ylabel="learned / CCM89", ylim=(0.8, 1.2))
    ticks = [400, 500, 600, 800, 1000, 1500, 2000] + ([4000] if wavelength.max() > 3000 else [])
    bottom.set_xticks(ticks, [str(tick) for tick in ticks])
    bottom.minorticks_off()
    top.legend(fontsize=8)
    return figure


def xp_extinction_curve() -> tuple[np.ndarray, np.ndarray] | None:
    """The extinction curve that Zhang & Yuan measured on XP spectra, if their package is installed.

    Returns
    -------
    wavelength, curve : ndarray
        nm, and extinction in any normalisation; None without the package ``XP-Extinction-Toolkit``.
    """
    try:
        files = metadata.files("XP-Extinction-Toolkit") or []
    except metadata.PackageNotFoundError:
        return None
    path = next((file for file in files if file.name == "XP_extinction_curve.csv"), None)
    if path is None:
        return None
    with open(path.locate(), newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    numbers = np.array([row[:2] for row in rows if _is_number(row[0])], dtype=float)
    wavelength = numbers[:, 0]
    # Their file may be in Angstrom.
    return wavelength / (10.0 if wavelength.max() > 5000.0 else 1.0), numbers[:, 1]


def _is_number(text: str) -> bool:
    """Whether a cell holds a number, not a heading."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def prior_figure(model: XPModel, n_draws: int = 100_000, seed: int = 1) -> Figure:
    """The prior on stellar type, with contours that enclose 68, 95 and 99 % (ZGR23, fig. 5).

    Parameters
    ----------
    model : XPModel
    n_draws : int
        Draws from the prior that the picture is made of.
    seed : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    draws = model.prior.sample(n_draws, np.random.default_rng(seed))
    draws[:, 0] *= 1000.0  # K
    x, y = (model.label_names.index(name) for name in ("teff", "logg"))
    others = [i for i in range(len(model.label_names)) if i != x]
    figure = Figure(figsize=(3.6 * len(others), 3.6), layout="constrained")
    for ax, i in zip(np.atleast_1d(figure.subplots(1, len(others))), others, strict=True):
        _density(ax, draws[:, x], draws[:, i])
        ax.invert_xaxis()
        ax.set(xlabel=AXIS_LABELS["teff"], ylabel=AXIS_LABELS[model.label_names[i]])
        if i == y:
            ax.invert_yaxis()
    figure.suptitle(f"prior: {len(model.prior.weights)} Gaussians", fontsize=10)
    return figure


def _density(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """A two-dimensional histogram with contours of enclosed mass."""
    counts, x_edges, y_edges = np.histogram2d(
        x, y, bins=80, range=[np.quantile(v, [0.0005, 0.9995]) for v in (x, y)]
    )
    counts = gaussian_filter(counts, 1.2)
    ordered = np.sort(counts.ravel())[::-1]
    enclosed = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(enclosed, mass)]) for mass in CONTOURS})
    axes.pcolormesh(x_edges, y_edges, np.log10(np.maximum(counts, 0.5)).T, cmap="Greys")
    centres = [0.5 * (edges[1:] + edges[:-1]) for edges in (x_edges, y_edges)]
    axes.contour(*centres, counts.T, levels=levels, colors=GROUP_COLOURS["giants"], linewidths=1)


def model_residual_figure(model: XPModel) -> Figure:
    """Fractional residuals of the training stars by wavelength, and by wavelength and label.

    Parameters
    ----------
    model : XPModel
        In sampled space, with the numbers of its training.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    _require_sampled(model)
    shown = model.trained_channels
    position = np.arange(shown.sum())
    low, middle, high = 100.0 * _diagnostic(model, "residual_quantiles")[:, shown]
    figure = Figure(figsize=(8.0, 2.2 * (1 + len(model.label_names))), layout="constrained")
    axes = figure.subplots(1 + len(model.label_names), 1, sharex=True)
    axes[0].fill_between(position, low, high, color="0.85", label="16-84 % of the stars")
    axes[0].plot(position, middle, "k", lw=1, label="median")
    if model.covariance is not None:
        sigma = 100.0 * np.sqrt(np.diag(model.covariance.matrix())[shown])
        for sign in (-1.0, 1.0):
            label = "model covariance" if sign > 0 else None
            axes[0].plot(position, sign * sigma, "--", lw=1, color="#D55E00", label=label)
    axes[0].set(ylabel="residual [%]", ylim=(-RESIDUALS_SHOWN, RESIDUALS_SHOWN))
    axes[0].legend(fontsize=7, ncols=3)
    for ax, name in zip(axes[1:], model.label_names, strict=True):
        values = 100.0 * _diagnostic(model, f"residual_by_label/{name}")[:, shown]
        bins = _diagnostic(model, f"label_bins/{name}") * (1000.0 if name == "teff" else 1.0)
        image = ax.imshow(
            values, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-2, vmax=2,
            interpolation="nearest",
        )  # fmt: skip
        ax.set_yticks(range(len(bins)), [f"{value:.4g}" for value in bins], fontsize=6)
        ax.set_ylabel(AXIS_LABELS[name], fontsize=8)
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
        Absolute, with the numbers of its training.

    Returns
    -------
    matplotlib.figure.Figure
        Pulls of log g and parallax with the limit for binaries, and absolute magnitudes of the
        stars inside and outside it.
    """
    from matplotlib.figure import Figure

    logg, parallax, magnitude = (
        _diagnostic(model, f"solar_type/{name}")
        for name in ("pull_logg", "pull_parallax", "absolute_magnitude")
    )
    limit = model.training["recipe"]["clean_binary_sigma"]
    outside = np.hypot(logg, parallax) > limit
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
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
        right.hist(
            magnitude[rows], bins, histtype="step", color=colour, label=f"{label} ({rows.sum()})"
        )
    typical = np.median(magnitude[finite & ~outside])
    right.axvline(typical, color="0.4", lw=0.8)
    right.axvline(typical - 0.75, color=GROUP_COLOURS["giants"], lw=0.8, ls=":")
    right.set(xlabel="absolute magnitude, 592-782 nm (AB)", ylabel="stars", yscale="log")
    right.legend(fontsize=8, title="dotted: twice the light", title_fontsize=7)
    width = float(_diagnostic(model, "solar_type/width")[0])
    wider = f", within {width:g} times the limits of ZGR23's eq. 16" if width > 1 else ""
    figure.suptitle(f"{len(logg)} solar-type stars of low extinction{wider}", fontsize=10)
    return figure


def _diagnostic(model: XPModel, name: str) -> np.ndarray:
    """Numbers of the training, or an error that says how to get them."""
    if name not in model.diagnostics:
        raise InputError(f"this model file has no {name} of its training; train it again")
    return model.diagnostics[name]


def _require_sampled(model: XPModel) -> None:
    if not isinstance(model.space, SampledSpace):
        raise InputError("this picture shows flux by wavelength; the model works on coefficients")


def _range(model: XPModel, name: str, low: float, high: float) -> tuple[float, float]:
    """Part of a range that the model was trained on."""
    trained = model.label_ranges[model.label_names.index(name)]
    return max(low, trained[0]), min(high, trained[1])


def _types(model: XPModel, teff, logg, feh) -> np.ndarray:
    """Labels with every other one at its solar value."""
    labels = np.zeros((len(teff), len(model.label_names)))
    for name, values in (("teff", teff), ("logg", logg), ("feh", feh)):
        labels[:, model.label_names.index(name)] = values
    return labels
