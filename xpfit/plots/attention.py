"""What networks that predict labels look at (Fallows & Sanders 2024, figs. 8 and 10-13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..companion import GaiaNet, UncertainNetwork, attention, derivative_spectra
from ..data.space import SampledSpace
from ..data.spectra import Spectra
from ..errors import InputError
from ..model import XPModel
from .labels import AXIS_LABELS, GROUP_COLOURS
from .tracks import LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = 1e-4
"""Change of a label, in kK and dex, by which the forward model's derivatives are taken."""


def attention_figure(
    network: UncertainNetwork | GaiaNet, spectra: Spectra, model: XPModel | None = None
) -> Figure:
    """Derivative spectra with line positions, and attention, for each label.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
        In sampled space.
    spectra : Spectra
        Stars over which is averaged: best of one kind, such as red-clump giants. Their labels are
        where the forward model is looked at.
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
    from matplotlib.figure import Figure

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
        axes.plot(at[place], slopes[row, place], color=GROUP_COLOURS["giants"], lw=1.2,
                  label="derivative spectrum of the network")  # fmt: skip
        if model is not None and name in model.label_names:
            expected = _model_slope(network, model, spectra, name)
            axes.plot(at[place], expected[features.channels][place], "k", lw=1,
                      label="the same of the forward model")  # fmt: skip
        _draw_attention(axes, at[place], weights[row, place])
        _mark_lines(axes, at[place].min(), at[place].max(), named=row == 0)
        unit = "dex" if name != "teff" or isinstance(network, GaiaNet) else "kK"
        axes.set(ylabel=f"d ln f / d {AXIS_LABELS[name].split(' [')[0]} [1/{unit}]")
        axes.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        if row == 0:
            axes.legend(fontsize=8, loc="lower right")
    axes.set_xlabel("wavelength [nm]")
    figure.suptitle(f"{network.kind}: mean of {len(spectra)} stars; bars: attention")
    return figure


def _model_slope(network, model: XPModel, spectra: Spectra, name: str) -> np.ndarray:
    """d ln(relative flux) / d label of the forward model, at the stars' labels."""
    if not model.space.matches(spectra.space):
        raise InputError(f"the forward model is in {model.space}, the spectra in {spectra.space}")
    labels = np.column_stack([spectra.labels[label] for label in model.label_names])
    known = np.isfinite(labels).all(axis=1)
    labels = labels[known & model.in_range(np.nan_to_num(labels)).all(axis=1)]
    if not len(labels):
        raise InputError("no star has labels within the forward model's range")
    step, column = np.zeros(labels.shape[1]), model.label_names.index(name)
    step[column] = STEP
    parts = []
    for sign in (-1.0, 1.0):
        flux = model.predict(labels + sign * step, 0.0, 1.0, extrapolate=True)
        level = np.nan_to_num(flux) @ network.features_.reference
        parts.append(np.log(flux / level[:, None]))
    unit = 1.0
    if name == "teff" and isinstance(network, GaiaNet):
        unit = np.log(10.0) * labels[:, column, None]
    return np.mean((parts[1] - parts[0]) / (2.0 * STEP) * unit, axis=0)


def _draw_attention(axes: Axes, at: np.ndarray, weight: np.ndarray) -> None:
    """Bars from the bottom, on an axis of their own."""
    twin = axes.twinx()
    twin.bar(at, weight, width=0.8 * np.median(np.diff(at)), color="0.75", zorder=0)
    twin.set(ylim=(0.0, 4.0 * weight.max()), yticks=[])
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


def _mark_lines(axes: Axes, low: float, high: float, *, named: bool) -> None:
    """Positions of spectral features."""
    for name, wavelength in LINES.items():
        if low <= wavelength <= high:
            axes.axvline(wavelength, color=GROUP_COLOURS["dwarfs"], lw=0.7, ls=":", zorder=0)
            if named:
                axes.text(wavelength, 1.01, name, fontsize=7, ha="center",
                          transform=axes.get_xaxis_transform())  # fmt: skip
