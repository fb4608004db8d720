"""Flux corrections of sampled spectra."""

from .base import CAUTION, Correction, Factors, FluxCorrection, Samples, identifier_of
from .named import CORRECTIONS, named_correction

__all__ = [
    "CAUTION",
    "CORRECTIONS",
    "Correction",
    "Factors",
    "FluxCorrection",
    "Samples",
    "identifier_of",
    "named_correction",
]
