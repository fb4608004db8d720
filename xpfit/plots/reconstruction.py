"""How well spectra are reconstructed: auto-encoder, principal components, forward model.

As Laroche & Speagle (2024, figs. 5-9) compare them, with relative errors per wavelength, or per
coefficient, and as a function of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA

from ..companion import ScatterAutoencoder
from ..data.spectra import Spectra
from ..errors import InputError
from ..model import XPModel
from ..statistics import robust_width
from .labels import AXIS_LABELS, running_quantiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RED = (550.0, 900.0)
"""Wavelengths (nm) at which the auto-encoder's authors find it better than a forward model."""

COLOURS = {"auto-encoder": "#D55E00", "principal components": "#0072B2", "forward model": "0.2"}
"""Of the Okabe-Ito palette, as elsewhere."""


@dataclass(frozen=True)
class ReconstructionErrors:
    """Relative errors of reconstructions.

    Attributes
    ----------
    wavelength : ndarray, shape (n_channel,)
        nm; NaN for coefficients.
    errors : dict of str to ndarray, shape (n_star, n_channel)
        Reconstruction over observation, minus one, by model.
    labels : dict of str to ndarray, shape (n_star,)
        What is known of the stars.
    """

    wavelength: np.ndarray
    errors: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def scatter(self, name: str) -> np.ndarray:
        """Robust scatter of the errors about their median, shape (n_channel,)."""
        return robust_width(self.errors[name], axis=0)

    def share_better(self, name: str, than: str, window: tuple[float, float] | None = None):
        """Share of the channels at which one has less scatter than the other."""
        used = np.ones(len(self.wavelength), dtype=bool)
        if window is not None:
            used = (self.wavelength >= window[0]) & (self.wavelength <= window[1])
        return float(np.mean((self.scatter(name) < self.scatter(than))[used]))


def reconstruction_errors(
    network: ScatterAutoencoder,
    spectra: Spectra,
    training: Spectra | None = None,
    model: XPModel | None = None,
) -> ReconstructionErrors:
    """Reconstruct spectra in up to three ways.

    Parameters
    ----------
    network : ScatterAutoencoder
    spectra : Spectra
        Stars that neither was trained on.
    training : Spectra, optional
        From which as many principal components are taken as the network has latent numbers.
    model : XPModel, optional
        Forward model, which is fitted to the spectra.

    Returns
    -------
    ReconstructionErrors

    Raises
    ------
    InputError
        If the spectra are not in the network's space, or not in the model's.
    """
    features = network.features_
    inputs = features.inputs(spectra)
    observed = features.relative_flux(inputs)
    # What is unknown was not observed.
    observed[~np.isfinite(spectra.flux_err[:, features.channels])] = np.nan
    found = {"auto-encoder": network.predict(spectra).flux}
    if training is not None:
        components = PCA(network.settings.n_latent, svd_solver="covariance_eigh")
        components.fit(features.inputs(training))
        back = components.inverse_transform(components.transform(inputs))
        found["principal components"] = features.relative_flux(back)
    if model is not None:
        if not model.space.matches(spectra.space):
            raise InputError(f"the model is in {model.space}, the spectra in {spectra.space}")
        found["forward model"] = _fitted(model, network, spectra)
    n_channel = observed.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = {name: values / observed - 1.0 for name, values in found.items()}
    return ReconstructionErrors(features.input_wavelength[:n_channel], errors, dict(spectra.labels))


def _fitted(model: XPModel, network: ScatterAutoencoder, spectra: Spectra) -> np.ndarray:
    """The forward model's best fits, relative as the network has spectra."""
    result, features = model.fit(spectra, progress=False), network.features_
    theta = result.parameters.copy()
    n_label = model.forward.n_label
    theta[:, n_label : n_label + 2] = np.log(theta[:, n_label : n_label + 2])
    known = np.isfinite(theta).all(axis=1)
    flux = np.full(spectra.flux.shape, np.nan)
    flux[known] = model.forward.flux(theta[known])
    weights = np.where(np.isfinite(spectra.flux_err), features.reference, 0.0)
    level = np.sum(weights * spectra.flux, axis=1) / weights.sum(axis=1)
    return flux[:, features.channels] / level[:, None]


def reconstruction_figure(errors: ReconstructionErrors) -> Figure:
    """Scatter of reconstructions by wavelength, and by label at 550-900 nm.

    Parameters
    ----------
    errors : ReconstructionErrors

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    top, bottom = figure.subfigures(2, 1)
    axes = top.subplots()
    spectral = errors.wavelength < 1100.0
    by_place = not spectral.any()
    at = np.arange(len(errors.wavelength)) if by_place else errors.wavelength[spectral]
    for name in errors.errors:
        scatter = errors.scatter(name)
        shown = scatter if by_place else scatter[spectral]
        axes.plot(at, 100.0 * shown, color=COLOURS[name], lw=1.2, label=name)
    axes.set(xlabel="coefficient" if by_place else "wavelength [nm]", ylabel="scatter [%]",
             yscale="log")  # fmt: skip
    axes.legend(fontsize=8)
    names = [name for name in ("teff", "logg", "feh") if name in errors.labels]
    red = (errors.wavelength >= RED[0]) & (errors.wavelength <= RED[1])
    used = red if red.any() else np.ones(len(red), dtype=bool)
    panels = bottom.subplots(1, max(len(names), 1), squeeze=False, sharey=True)[0]
    for name, ax in zip(names, panels, strict=False):
        values = errors.labels[name] * (1000.0 if name == "teff" else 1.0)
        known = np.isfinite(values)
        for model, all_errors in errors.errors.items():
            size = np.nanmedian(np.abs(all_errors[:, used]), axis=1)
            both = known & np.isfinite(size)
            if both.sum() >= 12:
                centre, quantiles = running_quantiles(values[both], 100.0 * size[both])
                ax.plot(centre, quantiles[1], color=COLOURS[model], lw=1.2)
                ax.fill_between(centre, *quantiles[::2], color=COLOURS[model], alpha=0.15)
        ax.set(xlabel=AXIS_LABELS[name], yscale="log")
    panels[0].set_ylabel("median error at 550-900 nm [%]" if red.any() else "median error [%]")
    return figure
