"""xpfit: stellar parameters with honest uncertainties from Gaia BP/RP spectra."""

from ._version import __version__
from .catalogue import read_catalogue, result_table, write_catalogue
from .data.spectra import Spectra
from .errors import InputError, ModelFileError, OutputError, XpfitError
from .fit import FitResult, FitStatus, Fitter, fit_spectra
from .model import XPModel
from .model.store import load_model
from .prepare import (
    FluxCorrection,
    LibrarySettings,
    PhotometrySettings,
    XPSettings,
    attach_photometry,
    continuous_spectra,
    read_spectra,
)
from .quality import Confidence, confidence_for, is_reliable
from .read import read_table
from .train import Recipe, train_model

__all__ = [
    "Confidence",
    "FitResult",
    "FitStatus",
    "Fitter",
    "FluxCorrection",
    "InputError",
    "LibrarySettings",
    "ModelFileError",
    "OutputError",
    "PhotometrySettings",
    "Recipe",
    "Spectra",
    "XPModel",
    "XPSettings",
    "XpfitError",
    "__version__",
    "attach_photometry",
    "confidence_for",
    "continuous_spectra",
    "fit_spectra",
    "is_reliable",
    "load_model",
    "read_catalogue",
    "read_spectra",
    "read_table",
    "result_table",
    "train_model",
    "write_catalogue",
]
