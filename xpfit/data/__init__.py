"""What a star's data are: spectra, observation spaces, whiteners, flags, preparation."""

from .flags import UNRELIABLE, FitFlag, InputFlag, QualityFlag, has_flag, id_flags
from .preparation import UNCORRECTED, LibrarySettings, PhotometrySettings, Preparation, XPSettings
from .space import CoefficientSpace, ObservationSpace, SampledSpace, as_space, space_from_datasets
from .spectra import Spectra
from .whitener import Diagonal, Triangular, Whitener, as_whitener, unpack

__all__ = [
    "UNCORRECTED",
    "UNRELIABLE",
    "CoefficientSpace",
    "Diagonal",
    "FitFlag",
    "InputFlag",
    "LibrarySettings",
    "ObservationSpace",
    "PhotometrySettings",
    "Preparation",
    "QualityFlag",
    "SampledSpace",
    "Spectra",
    "Triangular",
    "Whitener",
    "XPSettings",
    "as_space",
    "as_whitener",
    "has_flag",
    "id_flags",
    "space_from_datasets",
    "unpack",
]
