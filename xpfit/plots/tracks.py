"""Model spectra along the main sequence, the giant branch and in [Fe/H] (ZGR23, figs. 12-14)."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..data.space import SampledSpace
from ..errors import InputError
from ..model import XPModel
from ..quantities import quantity
from ..simulate.stars import giant_branch_teff, main_sequence_logg
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

CONTINUUM_DEGREE = 5
"""ZGR23 take a polynomial of this degree for each spectrum's continuum."""

SHAPE_WINDOW = (392.0, 992.0)
"""Wavelengths (nm) that ZGR23 show."""


def _main_sequence(model: XPModel) -> np.ndarray:
    """Labels along the main sequence of solar metallicity, shape (n, n_label)."""
    teff = np.linspace(*_range(model, "teff", 3.5, 11.0), N_TYPES)
    return _types(model, teff, main_sequence_logg(teff), 0.0)


def _giant_branch(model: XPModel) -> np.ndarray:
    """Labels along the giant branch of solar metallicity, shape (n, n_label)."""
    logg = np.linspace(*_range(model, "logg", 0.5, 3.8), N_TYPES)
    return _types(model, giant_branch_teff(logg), logg, 0.0)


def _metallicity(model: XPModel) -> np.ndarray:
    """Labels of dwarfs of one temperature and all metallicities, shape (n, n_label)."""
    feh = np.linspace(*_range(model, "feh", -1.5, 0.4), N_TYPES)
    teff = np.full(len(feh), 5.5)
    return _types(model, teff, main_sequence_logg(teff), feh)


TRACKS = {
    "main_sequence": ("solar-metallicity main sequence", "teff", _main_sequence),
    "giant_branch": ("solar-metallicity giant branch", "logg", _giant_branch),
    "metallicity": ("main sequence at 5500 K", "feh", _metallicity),
}
"""Title of each track through the stellar types, the label it follows, and how it is made: ZGR23's
figs. 12, 14 and 13."""


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
    title, along, make = TRACKS[track]
    types, kind = make(model), quantity(along)
    values = kind.factor * types[:, model.label_names.index(along)]
    shown = model.trained_channels
    flux = model.predict(types, extrapolate=True)
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


def over_continuum(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """A spectrum over its continuum, a polynomial of degree 5 (ZGR23, figs. 12-14).

    Parameters
    ----------
    wavelength, flux : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
    """
    # Fractional residuals are fitted: cool stars have hardly any flux in the blue.
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


def require_sampled(model: XPModel) -> None:
    """Raise an `InputError` for models that have no flux by wavelength to show."""
    if not isinstance(model.space, SampledSpace):
        raise InputError("this figure shows flux by wavelength; the model works on coefficients")


def _range(model: XPModel, name: str, low: float, high: float) -> tuple[float, float]:
    """The part of a range within which the model was trained."""
    trained = model.label_ranges[model.label_names.index(name)]
    return max(low, trained[0]), min(high, trained[1])


def _types(model: XPModel, teff, logg, feh) -> np.ndarray:
    """Labels, those that are not given at their solar value of zero."""
    labels = np.zeros((len(teff), len(model.label_names)))
    for name, values in (("teff", teff), ("logg", logg), ("feh", feh)):
        labels[:, model.label_names.index(name)] = values
    return labels
