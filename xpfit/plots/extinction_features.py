"""The broad features of the extinction curve, and how they change with distance."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..extinction.features import FEATURES, StackedResiduals, curve_in_samples, learned_widths
from ..model import XPModel
from .style import BLUE, VERMILION, subplots

SHOWN = (680.0, 940.0)
"""nm."""


def features_figure(model: XPModel, stack: StackedResiduals | None = None) -> Figure:
    """The curve around its features, and their equivalent widths by distance.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    stack : StackedResiduals, optional
        Of fitted stars; without it, the learned curve alone is shown.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_panel = 2 if stack is not None else 1
    figure, axes = subplots(1, n_panel, size=(4.6 * n_panel + 0.4, 3.6), squeeze=False)
    _draw_curve(axes[0, 0], model, stack)
    if stack is not None:
        _draw_widths(axes[0, 1], model, stack)
    return figure


def _draw_curve(axes, model, stack) -> None:
    """The curve over the continua of the features, and that of the stars."""
    _, wavelength, curve = curve_in_samples(model)
    for feature, colour in zip(FEATURES, (BLUE, VERMILION), strict=True):
        (low, _), (_, high) = feature.sides
        rows = (wavelength >= low) & (wavelength <= high)
        continuum = feature.continuum(wavelength, curve)[rows]
        axes.plot(
            wavelength[rows], 1e3 * (curve[rows] - continuum), ".-", color=colour, ms=4,
            label=f"{feature.name} nm",
        )  # fmt: skip
        axes.axvspan(*feature.core, color=colour, alpha=0.1, lw=0)
        if stack is not None:
            whole = curve + stack.mean()[0].value
            over = (whole - feature.continuum(wavelength, whole))[rows]
            axes.plot(wavelength[rows], 1e3 * over, "x", color=colour, ms=4)
    axes.axhline(0.0, color="0.6", lw=0.8)
    if stack is not None:
        axes.plot([], [], "kx", ms=4, label="these stars")
    axes.set(
        xlim=SHOWN,
        xlabel="wavelength [nm]",
        ylabel=r"(A - continuum) / A(550 nm) [$10^{-3}$]",
    )
    axes.legend(fontsize=8)


def _draw_widths(axes, model, stack) -> None:
    """Equivalent widths in the slices, and those of the learned curve."""
    middle = np.arange(stack.n_slice)
    learned = learned_widths(model)
    means = [stack.mean(stack.groups_of_slice(i))[1] for i in middle]
    for i, (feature, colour) in enumerate(zip(FEATURES, (BLUE, VERMILION), strict=True)):
        value, error = learned[feature.name]
        axes.axhline(value, color=colour, lw=1)
        axes.axhspan(value - error, value + error, color=colour, alpha=0.15, lw=0)
        axes.errorbar(
            middle + 0.1 * i,
            [value + mean.value[i] for mean in means],
            [mean.error[i] for mean in means],
            fmt="o", color=colour, ms=4, capsize=2, label=f"{feature.name} nm",
        )  # fmt: skip
    counts = [int(stack.count[stack.groups_of_slice(i)].sum()) for i in middle]
    edges = stack.edges
    names = [
        f"{low:g}-{high:g} kpc\n{n} stars" if np.isfinite(high) else f"all\n{n} stars"
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    axes.set_xticks(middle, names, fontsize=7)
    axes.set(ylabel="equivalent width / A(550 nm) [nm / mag]", ylim=(0.0, None))
    axes.legend(fontsize=8)
