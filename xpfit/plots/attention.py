"""Which wavelengths networks derive labels from (Fallows & Sanders 2024, figs. 8 and 11-14)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..companion import GaiaNet, UncertainNetwork, attention, derivative_spectra
from ..data import SampledSpace, Spectra
from ..errors import InputError
from ..model import XPModel
from ..quantities import quantity
from ..validate.attention import model_derivative_spectrum
from .style import BLUE, GREEN, VERMILION, subplots
from .tracks import LINES


def attention_figure(
    network: UncertainNetwork | GaiaNet,
    spectra: Spectra,
    model: XPModel | None = None,
    observed: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Derivative spectra with line positions, and attention, for each label.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
        In sampled space.
    spectra : Spectra
        Stars over which is averaged: best of one kind, such as red-clump giants. The forward model
        is evaluated at their labels.
    model : XPModel, optional
        Forward model in the same space, for comparison.
    observed : mapping of str to ndarray, optional
        From `observed_derivative_spectra`, for comparison.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the space is not sampled, or there are no stars.
    """
    features = network.features_
    if not isinstance(features.space, SampledSpace):
        raise InputError("derivative spectra are drawn of networks for sampled spectra only")
    if not len(spectra):
        raise InputError("there are no stars to average over")
    shown = np.flatnonzero(features.input_wavelength < 1100.0)
    at = features.input_wavelength[shown]
    slopes, weights = derivative_spectra(network, spectra), attention(network, spectra)
    n_label = len(network.label_names)
    figure, panels = subplots(n_label, 1, squeeze=False, size=(9.0, 2.4 * n_label))
    for row, (name, axes) in enumerate(zip(network.label_names, panels[:, 0], strict=True)):
        text = "derivative spectrum of the network"
        axes.plot(at, slopes[row, shown], color=VERMILION, lw=1.2, label=text)
        if model is not None and name in model.label_names:
            expected = model_derivative_spectrum(network, model, spectra, name)
            expected = expected[features.channels][shown]
            axes.plot(at, expected, "k", lw=1, label="the same of the forward model")
        if name in (observed or {}):
            seen = observed[name][: features.channels.sum()][shown]
            axes.plot(at, seen, color=GREEN, lw=1, label="giants of high minus low label")
        _draw_attention(axes, at, weights[row, shown])
        _mark_lines(axes, at.min(), at.max(), named=row == 0)
        kind = quantity(name)
        unit = "dex" if isinstance(network, GaiaNet) else kind.unit_inside or "1"
        axes.set(ylabel=f"d ln f / d {kind.symbol} [1/{unit}]")
        axes.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        if row == 0:
            axes.legend(fontsize=8, loc="upper right")
    axes.set_xlabel("wavelength [nm]")
    figure.suptitle(f"{network.kind}: mean of {len(spectra)} stars; bars: attention")
    return figure


def _draw_attention(axes: Axes, at: np.ndarray, weight: np.ndarray) -> None:
    """Draw bars from the bottom, on a separate axis."""
    twin = axes.twinx()
    twin.bar(at, weight, width=0.8 * np.median(np.diff(at)), color="0.75", zorder=0)
    twin.set(ylim=(0.0, 4.0 * weight.max()), yticks=[])
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


def _mark_lines(axes: Axes, low: float, high: float, *, named: bool) -> None:
    """Mark the positions of spectral features."""
    for name, wavelength in LINES.items():
        if low <= wavelength <= high:
            axes.axvline(wavelength, color=BLUE, lw=0.7, ls=":", zorder=0)
            if named:
                axes.text(wavelength, 1.01, name, fontsize=7, ha="center",
                          transform=axes.get_xaxis_transform())  # fmt: skip
