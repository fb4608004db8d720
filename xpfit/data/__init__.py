"""What a star's data are: spectra, observation spaces, whiteners, flags, preparation."""

from .space import CoefficientSpace, ObservationSpace, SampledSpace, as_space, space_from_datasets
from .spectra import InputFlag, Spectra, drop_channels, whiten

__all__ = [
    "CoefficientSpace",
    "InputFlag",
    "ObservationSpace",
    "SampledSpace",
    "Spectra",
    "as_space",
    "drop_channels",
    "space_from_datasets",
    "whiten",
]
