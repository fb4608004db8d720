"""Model spectra along the main sequence, the giant branch and in [Fe/H] (ZGR23, figs. 12-14)."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..data import SampledSpace
from ..errors import InputError
from ..model import XPModel
from ..quantities import quantity
from ..simulate.stars import giant_branch_teff, main_sequence_logg
from ..validate.curves import over_continuum
from .style import FLUX_LABEL, subplots, wavelength_axis

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

N_TYPES = 9
"""Spectra of a track."""

SHAPE_WINDOW = (392.0, 992.0)
"""Wavelengths (nm) that ZGR23 show."""


TRACKS = {
    "main_sequence": (
        "solar-metallicity main sequence", "teff", (3.5, 11.0),
        lambda teff: {"teff": teff, "logg": main_sequence_logg(teff)},
    ),
    "giant_branch": (
        "solar-metallicity giant branch", "logg", (0.5, 3.8),
        lambda logg: {"teff": giant_branch_teff(logg), "logg": logg},
    ),
    "metallicity": (
        "main sequence at 5500 K", "feh", (-1.5, 0.4),
        lambda feh: {"teff": 5.5, "logg": main_sequence_logg(5.5), "feh": feh},
    ),
}  # fmt: skip
"""Tracks through the stellar types (ZGR23's figs. 12, 14 and 13): title, the label that varies, its
range, and labels given that one; those that are left out are zero."""


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
    if track not in TRACKS:
        raise InputError(f"no track {track!r}; there are {', '.join(TRACKS)}")
    require_sampled(model)
    title, along, (low, high), labels_along = TRACKS[track]
    kind, column = quantity(along), model.label_names.index(along)
    lowest, highest = model.label_ranges[column]
    steps = np.linspace(max(low, lowest), min(high, highest), N_TYPES)
    types = np.zeros((N_TYPES, len(model.label_names)))
    for name, labels in labels_along(steps).items():
        types[:, model.label_names.index(name)] = labels
    values = kind.factor * steps
    shown, flux = model.trained_channels, model.predict(types, extrapolate=True)
    figure, (left, right) = subplots(1, 2, size=(10.0, 4.2))
    colours = ScalarMappable(Normalize(values.min(), values.max()), colormaps["viridis"])
    spectrum = shown & ~model.space.is_band
    bands = shown & model.space.is_band
    at = model.wavelength[spectrum]
    window = (at >= SHAPE_WINDOW[0]) & (at <= SHAPE_WINDOW[1])
    for value, star in zip(values, flux, strict=True):
        colour = colours.to_rgba(value)
        left.plot(at, star[spectrum], color=colour, lw=1)
        left.plot(model.wavelength[bands], star[bands], "o", ms=3, color=colour)
        shape = over_continuum(at[window], star[spectrum][window])
        right.plot(at[window], shape, color=colour, lw=1)
    left.set(yscale="log", title=title)
    reddest = (4000,) if model.wavelength[shown].max() > 3000 else ()
    wavelength_axis(left, (400, 600, 1000, 2000, *reddest))
    relative = "flux (mean of ln at 592-782 nm is 0)"
    left.set_ylabel(f"flux at 1 kpc {FLUX_LABEL}" if model.absolute else relative)
    right.set(xlabel="wavelength [nm]", ylabel="flux / continuum", title="over the continuum")
    _label_lines(right, *at[window][[0, -1]])
    figure.colorbar(colours, ax=right, label=kind.axis_label)
    return figure


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


def require_sampled(model: XPModel) -> None:
    """Raise an `InputError` for models that have no flux by wavelength to show."""
    if not isinstance(model.space, SampledSpace):
        raise InputError("this figure shows flux by wavelength; the model works on coefficients")
