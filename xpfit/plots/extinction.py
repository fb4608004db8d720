"""The learned extinction curve beside published ones (ZGR23, fig. 15)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..model import XPModel, ccm89_curve
from ..validate.curves import xp_extinction_curve
from .style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    WAVELENGTH_TICKS,
    subplots,
    wavelength_axis,
)
from .tracks import require_sampled

Curve = tuple[np.ndarray, np.ndarray]
"""Wavelength in nm, and extinction in any normalisation."""

R_V_SHOWN = (2.6, 3.1, 3.6)
NORMALISED_AT = 542.0
"""Wavelength (nm) at which extinction curves are made equal."""


def extinction_figure(model: XPModel, curves: Mapping[str, Curve] | None = None) -> Figure:
    """The learned extinction curve against CCM89 and, where installed, Zhang & Yuan's (fig. 15).

    Parameters
    ----------
    model : XPModel
        In sampled space.
    curves : mapping of str to tuple of ndarray, optional
        Further curves by name: wavelength (nm) and extinction, as from
        `xpfit.validate.curves.read_extinction_curve`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """
    require_sampled(model)
    shown = model.trained_grid
    wavelength, curve = model.wavelength[shown], model.forward.extinction_curve[shown]
    at = np.argmin(np.abs(wavelength - NORMALISED_AT))
    figure, (top, bottom) = subplots(2, 1, height_ratios=(2, 1), sharex=True, size=(7.0, 5.0))
    top.plot(wavelength, curve / curve[at], "k.-", ms=4, lw=1, label="xpfit, learned")
    if model.forward.curve_varies:
        spread = np.exp(np.array([[-1.0], [1.0]]) * model.forward.variation[shown]) * curve
        low, high = spread / spread[:, at : at + 1]
        top.fill_between(wavelength, low, high, color="0.8", label=r"$\xi$ = -1 .. 1")
    for r_v, colour in zip(R_V_SHOWN, (BLUE, GREEN, VERMILION), strict=True):
        published = ccm89_curve(wavelength, r_v)
        published /= published[at]
        top.plot(wavelength, published, lw=1, color=colour, label=f"CCM89, R(V) = {r_v}")
        bottom.plot(wavelength, curve / curve[at] / published, lw=1, color=colour)
    measured = xp_extinction_curve()
    further = {"Zhang & Yuan, XP spectra": measured} if measured is not None else {}
    for i, (name, (x, y)) in enumerate({**further, **(curves or {})}.items()):
        inside = (x >= wavelength.min()) & (x <= wavelength.max())
        y = y[inside] / np.interp(wavelength[at], x, y)
        colour = (PURPLE, ORANGE)[i % 2]
        top.plot(x[inside], y, lw=1, ls="--", color=colour, label=name)
    bottom.axhline(1.0, color="0.6", lw=0.8)
    top.set_ylabel(f"R / R({wavelength[at]:.0f} nm)")
    bottom.set(ylabel="learned / CCM89", ylim=(0.8, 1.2))
    wavelength_axis(bottom, (*WAVELENGTH_TICKS, *((4000,) if wavelength.max() > 3000 else ())))
    top.legend(fontsize=8)
    return figure
