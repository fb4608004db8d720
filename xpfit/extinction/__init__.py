"""Extinction in passbands, for maps of dust, and the features of the extinction curve."""

from .curves import published_curve
from .inband import ModelExtinction, in_band_extinction
from .passband import Passband, named_passband, read_passband

__all__ = [
    "ModelExtinction",
    "Passband",
    "in_band_extinction",
    "named_passband",
    "published_curve",
    "read_passband",
]
