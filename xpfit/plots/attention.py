"""Which wavelengths networks derive labels from (Fallows & Sanders 2024, figs. 8 and 10-13)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..companion import GaiaNet, UncertainNetwork, attention, derivative_spectra
from ..data.space import SampledSpace
from ..data.spectra import Spectra
from ..errors import InputError
from ..model import XPModel
from ..quantities import quantity
from ..validate.attention import model_derivative_spectrum
from .style import BLUE, VERMILION
from .tracks import LINES


def attention_figure(
    network: UncertainNetwork | GaiaNet, spectra: Spectra, model: XPModel | None = None
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
    at = features.input_wavelength
    shown = (at < 1100.0) & np.isfinite(at)
    slopes, weights = derivative_spectra(network, spectra), attention(network, spectra)
    n_label = len(network.label_names)
    figure = Figure(figsize=(9.0, 2.4 * n_label), layout="constrained")
    for row, (name, axes) in enumerate(
        zip(network.label_names, figure.subplots(n_label, 1, squeeze=False)[:, 0], strict=True)
    ):
        place = np.flatnonzero(shown)
        axes.plot(at[place], slopes[row, place], color=VERMILION, lw=1.2,
                  label="derivative spectrum of the network")  # fmt: skip
        if model is not None and name in model.label_names:
            expected = model_derivative_spectrum(network, model, spectra, name)
            axes.plot(at[place], expected[features.channels][place], "k", lw=1,
                      label="the same of the forward model")  # fmt: skip
        _draw_attention(axes, at[place], weights[row, place])
        _mark_lines(axes, at[place].min(), at[place].max(), named=row == 0)
        kind = quantity(name)
        unit = "dex" if isinstance(network, GaiaNet) else kind.unit_inside
        axes.set(ylabel=f"d ln f / d {kind.symbol} [1/{unit}]")
        axes.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        if row == 0:
            axes.legend(fontsize=8, loc="lower right")
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
