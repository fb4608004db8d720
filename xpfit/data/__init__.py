"""What a star's data are: spectra, observation spaces, whiteners, flags, preparation."""

from .preparation import (
    UNCORRECTED,
    LibrarySettings,
    PhotometrySettings,
    Preparation,
    XPSettings,
)
from .space import CoefficientSpace, ObservationSpace, SampledSpace, as_space, space_from_datasets
from .spectra import InputFlag, Spectra, drop_channels, whiten

__all__ = [
    "UNCORRECTED",
    "CoefficientSpace",
    "InputFlag",
    "LibrarySettings",
    "ObservationSpace",
    "PhotometrySettings",
    "Preparation",
    "SampledSpace",
    "Spectra",
    "XPSettings",
    "as_space",
    "drop_channels",
    "space_from_datasets",
    "whiten",
]
