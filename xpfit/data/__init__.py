"""What a star's data are: spectra, observation spaces, whiteners, flags, preparation."""

from .flags import UNRELIABLE, FitFlag, InputFlag, QualityFlag
from .preparation import (
    UNCORRECTED,
    LibrarySettings,
    PhotometrySettings,
    Preparation,
    XPSettings,
)
from .space import CoefficientSpace, ObservationSpace, SampledSpace, as_space, space_from_datasets
from .spectra import Spectra, drop_channels, whiten

__all__ = [
    "UNCORRECTED",
    "UNRELIABLE",
    "CoefficientSpace",
    "FitFlag",
    "InputFlag",
    "LibrarySettings",
    "ObservationSpace",
    "PhotometrySettings",
    "Preparation",
    "QualityFlag",
    "SampledSpace",
    "Spectra",
    "XPSettings",
    "as_space",
    "drop_channels",
    "space_from_datasets",
    "whiten",
]
