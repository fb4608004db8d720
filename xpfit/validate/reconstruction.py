"""How well spectra are reconstructed: auto-encoder, principal components, forward model.

As Laroche & Speagle (2024, figs. 5-9) compare them, with relative errors per wavelength, or per
coefficient, and as a function of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..companion import ScatterAutoencoder
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..statistics import robust_width

XP_END = 1100.0
"""Wavelength (nm) beyond which there are bands only."""


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
        Of the stars.
    spectrum : dict of str to ndarray, shape (n_star,)
        Error of a star's whole spectrum, without bands, by model. At wavelengths: root mean square
        of the relative errors over wavelength (eq. 9). Of coefficients: root mean square of the
        differences in units of their errors, with the covariance (eq. 7).
    """

    wavelength: np.ndarray
    errors: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    spectrum: dict[str, np.ndarray]

    def scatter(self, name: str) -> np.ndarray:
        """Robust scatter of the errors about their median, shape (n_channel,)."""
        return robust_width(self.errors[name], axis=0)

    def share_better(self, name: str, than: str, window: tuple[float, float] | None = None):
        """Fraction of the channels at which one model has less scatter than another."""
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
        Stars that no model was trained on.
    training : Spectra, optional
        From which as many principal components are taken as the network has latent variables.
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
    from sklearn.decomposition import PCA

    features = network.features_
    inputs = features.inputs(spectra)
    observed = features.relative_flux(inputs)
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
    wavelength = features.input_wavelength[:n_channel]
    if features.space.is_flux:
        whole = {name: _over_wavelength(wavelength, values) for name, values in errors.items()}
    else:
        whole = {name: _in_errors(network, spectra, values) for name, values in found.items()}
    return ReconstructionErrors(wavelength, errors, dict(spectra.labels), whole)


def _over_wavelength(wavelength: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Root mean square over the wavelengths of XP spectra, weighted by their spacing."""
    used = wavelength < XP_END
    weight = np.gradient(wavelength[used])
    known = np.isfinite(errors[:, used])
    square = np.where(known, errors[:, used] ** 2, 0.0)
    with np.errstate(invalid="ignore"):
        return np.sqrt((square @ weight) / (known @ weight))


def _in_errors(network: ScatterAutoencoder, spectra: Spectra, relative: np.ndarray) -> np.ndarray:
    """Root mean square of coefficients' differences, whitened by the full covariance."""
    features = network.features_
    difference = np.zeros_like(spectra.flux)
    used = features.channels & ~spectra.space.is_band_channel
    values = relative * _level(network, spectra)[:, None]
    difference[:, features.channels] = values - spectra.flux[:, features.channels]
    known = used & np.isfinite(spectra.flux_err)
    difference = np.where(known & np.isfinite(difference), difference, 0.0)
    whitened = spectra.whitener.marginal(used)(difference)
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.sum(whitened**2, axis=1) / known.sum(axis=1))


def _level(network: ScatterAutoencoder, spectra: Spectra) -> np.ndarray:
    """What spectra are divided by, shape (n_star,)."""
    weights = np.where(np.isfinite(spectra.flux_err), network.features_.reference, 0.0)
    with np.errstate(invalid="ignore"):
        return np.sum(weights * spectra.flux, axis=1) / weights.sum(axis=1)


def _fitted(model: XPModel, network: ScatterAutoencoder, spectra: Spectra) -> np.ndarray:
    """Flux of the forward model's best fits, relative to that at the network's reference."""
    features, theta = network.features_, model.fit(spectra, progress=False).theta
    known = np.isfinite(theta).all(axis=1)
    flux = np.full(spectra.flux.shape, np.nan)
    flux[known] = model.forward.flux(theta[known])
    return flux[:, features.channels] / _level(network, spectra)[:, None]
