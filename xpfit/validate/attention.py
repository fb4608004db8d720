"""Derivative spectra of the forward model, to compare those of networks with."""

from __future__ import annotations

import numpy as np

from ..companion import GaiaNet, UncertainNetwork
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel

STEP = 1e-4
"""Change of a label, in kK and dex, by which the forward model's derivatives are taken."""


def model_derivative_spectrum(
    network: UncertainNetwork | GaiaNet, model: XPModel, spectra: Spectra, name: str
) -> np.ndarray:
    """d ln(relative flux) / d label of the forward model, averaged over stars at their labels.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
        Flux is relative to that at its reference wavelengths.
    model : XPModel
        In the space of the spectra.
    spectra : Spectra
        With labels.
    name : str
        The label.

    Returns
    -------
    ndarray, shape (n_obs,)
        Per unit of the label that the network works in: dex or kK; of Gaia Net's Teff, dex.

    Raises
    ------
    InputError
        If model and spectra are not in the same space, or no star has labels in the model's range.
    """
    if not model.space.matches(spectra.space):
        raise InputError(f"the forward model is in {model.space}, the spectra in {spectra.space}")
    labels = np.column_stack([spectra.labels[label] for label in model.label_names])
    known = np.isfinite(labels).all(axis=1)
    labels = labels[known & model.in_range(np.nan_to_num(labels)).all(axis=1)]
    if not len(labels):
        raise InputError("no star has labels within the forward model's range")
    step, column = np.zeros(labels.shape[1]), model.label_names.index(name)
    step[column] = STEP
    ln_flux = []
    for sign in (-1.0, 1.0):
        flux = model.predict(labels + sign * step, 0.0, 1.0, extrapolate=True)
        level = np.nan_to_num(flux) @ network.features_.reference
        ln_flux.append(np.log(flux / level[:, None]))
    slopes = (ln_flux[1] - ln_flux[0]) / (2.0 * STEP)
    if name == "teff" and isinstance(network, GaiaNet):
        slopes *= np.log(10.0) * labels[:, column, None]
    return slopes.mean(axis=0)
