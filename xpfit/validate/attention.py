"""Derivative spectra of the forward model and of observed stars, to compare networks' with.

Fallows & Sanders (2024), sections 5.2 and 5.3, with the forward model in place of theirs of
atmospheres.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..companion import GaiaNet, UncertainNetwork
from ..constants import AK_PER_EXTINCTION
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel

CLUMP = {
    "feh": (0.0, 0.5),
    "teff": (4.75, 0.05),
    "logg": (2.5, 0.5),
    "c_fe": (0.0, 0.2),
    "n_fe": (0.2, 0.2),
}
"""Centre and half width in each label (kK, dex) of red-clump giants (their table 5)."""

MAX_EXTINCTION = 0.5 / (0.789 / 0.078 * AK_PER_EXTINCTION)
"""E of the dustiest of these: A(G) = 0.5, with A(G) over A(Ks) of Wang & Chen (2019)."""

MIN_PER_HALF = 20
"""Giants above, and below, the median of a label."""

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


def observed_derivative_spectra(
    network: UncertainNetwork | GaiaNet, spectra: Spectra
) -> dict[str, np.ndarray]:
    """Differences between red-clump giants of high and of low labels, per unit of the label.

    Parameters
    ----------
    network : UncertainNetwork or GaiaNet
        Flux is relative as it takes it.
    spectra : Spectra
        With labels. Only giants within `CLUMP`, of little extinction where any is known, are used.

    Returns
    -------
    dict of str to ndarray, shape (n_channel,)
        By label of the network, as far as there are enough giants: median of ln(relative flux), or
        of coefficients, of those above the median label minus that of the others, over the
        difference of the median labels. Of Gaia Net's Teff, per dex.

    Notes
    -----
    Fallows & Sanders, section 5.3. Other labels change along with the one that divides the stars,
    which derivatives of a model exclude.
    """
    features, labels = network.features_, spectra.labels
    used = features.is_usable(spectra)
    for name, (centre, width) in CLUMP.items():
        if name in labels:
            used &= np.abs(labels[name] - centre) <= width
    if np.isfinite(spectra.extinction).any():
        used &= spectra.extinction < MAX_EXTINCTION
    giants = spectra[np.flatnonzero(used)]
    relative = features.relative_flux(features.inputs(giants))
    relative[~np.isfinite(giants.flux_err[:, features.channels])] = np.nan
    if features.space.is_flux:
        relative = np.log(np.where(relative > 0, relative, np.nan))
    found = {}
    for name in network.label_names:
        values = giants.labels.get(name, np.full(len(giants), np.nan))
        if name == "teff" and isinstance(network, GaiaNet):
            values = np.log10(values)
        middle = _median(values)
        high, low = values > middle, values <= middle
        if min(high.sum(), low.sum()) >= MIN_PER_HALF:
            flux, label = (_median(x[high]) - _median(x[low]) for x in (relative, values))
            found[name] = flux / label
    return found


def _median(values: np.ndarray) -> np.ndarray:
    """Medians over stars; NaN where all are unknown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the NaN for missing values needs none
        return np.nanmedian(values, axis=0)
