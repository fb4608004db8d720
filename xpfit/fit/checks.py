"""What spectra must have in common with a model to be fitted with it."""

from __future__ import annotations

import warnings

import numpy as np

from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from .settings import FitSettings


def require_release(model: XPModel, release: str) -> None:
    """Refuse spectra of another data release than the model's.

    Parameters
    ----------
    model : XPModel
    release : str
        Of the spectra.

    Raises
    ------
    InputError
        With what to do.
    """
    if release != model.release:
        raise InputError(
            f"these spectra are of Gaia {release}, the model was trained on Gaia {model.release}, "
            "whose calibration differs: fits would be biased. Use a model of Gaia "
            f"{release} ('xpfit transfer MODEL SPECTRA' makes one of this model), or fit all the "
            "same, with all stars flagged (--ignore-release, ignore_release=True)"
        )


def check_spectra(model: XPModel, spectra: Spectra, settings: FitSettings) -> None:
    """Raise if spectra cannot be fitted with a model, and warn where they differ from its own.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    settings : FitSettings

    Raises
    ------
    InputError
        If the observation space differs, the flux was not prepared as in training, or the spectra
        are of another data release.

    Warns
    -----
    UserWarning
        If only the errors were prepared differently, or parallaxes are not used.
    """
    if not settings.ignore_release:
        require_release(model, spectra.release)
    if not spectra.space.matches(model.space):
        here, there = repr(spectra.space), repr(model.space)
        there += " with other wavelengths or basis functions" if here == there else ""
        raise InputError(
            f"these spectra are in {here}; the model was trained in {there}: prepare the spectra "
            "in the model's space, on its wavelengths and with its basis functions"
        )
    if not model.absolute and np.isfinite(spectra.parallax_err).any():
        warnings.warn(
            "the parallaxes of these stars are not used: this model predicts shapes of "
            "spectra, not luminosities (absolute = False), so that each star's amplitude is "
            "free",
            stacklevel=4,
        )
    differences = spectra.preparation.differences(model.preparation)
    if differences.flux and not settings.ignore_preparation:
        raise InputError(
            "these spectra were not prepared like the model's training data: "
            f"{'; '.join(differences.flux)}. Prepare them for the model (read_spectra(path, "
            "model=model), xpfit prepare --model), or pass ignore_preparation=True"
        )
    if differences.errors:
        warnings.warn(
            "the errors of these spectra were not prepared like those of the model's "
            f"training data: {'; '.join(differences.errors)}",
            stacklevel=4,
        )
