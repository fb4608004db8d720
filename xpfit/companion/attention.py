"""Inputs on which predicted labels depend (Fallows & Sanders 2024, sections 4.5 and 5.1)."""

from __future__ import annotations

import numpy as np

from ..arrays import batches
from ..data import Spectra
from .labels import LabelCompanion

ROWS_AT_A_TIME = 2000


def attention(network: LabelCompanion, spectra: Spectra) -> np.ndarray:
    """How much each label depends on each input, from star to star.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_label, n_input)
        Standard deviation over the stars of (d label / d input) times the input (eq. 13), inputs
        counted from the mean star, labels in units of their spread.
    """
    slopes = _jacobian(network, spectra)
    return np.std(slopes * network.features_.inputs(spectra)[:, None, :], axis=0)


def derivative_spectra(network: LabelCompanion, spectra: Spectra) -> np.ndarray:
    """Change of spectra with each label, according to the network.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
    spectra : Spectra

    Returns
    -------
    ndarray, shape (n_label, n_channel)
        Mean over the stars of d ln(relative flux) / d(label), or of coefficients; per kK or dex (of
        `GaiaNet`, per dex of Teff). Labels change one at a time.

    Notes
    -----
    d input / d label = P(J w^2)^T w^2, with the Jacobian J of the labels, the pseudo-inverse P, and
    w^2 the standard deviation of each input over the training stars (eq. 14). Of all changes of
    the inputs that change one label alone, this is the smallest in units of these standard
    deviations. Photometric bands are inputs as others; colours and the pseudo-absolute magnitude
    are left out of the result.
    """
    features = network.features_
    jacobian = _jacobian(network, spectra) * network.label_scale_[:, None] / features.scale
    weight = features.scale  # w^2 in eq. 14
    inverse = np.linalg.pinv(jacobian * weight)  # (n_star, n_input, n_label)
    change = np.swapaxes(inverse, 1, 2) * weight
    n_channel = int(features.channels.sum())
    # Inputs are logarithmic in the flux, except where that is small.
    return np.mean(change[:, :, :n_channel], axis=0)


def _jacobian(network: LabelCompanion, spectra: Spectra) -> np.ndarray:
    """Derivatives of standardised labels, (n_star, n_label, n_input), a few stars at a time."""
    parameters, inputs = network.parameters_.astype(float), network.features_.inputs(spectra)
    parts = batches(len(inputs), ROWS_AT_A_TIME)
    return np.concatenate([network.jacobian(parameters, inputs[rows]) for rows in parts])
