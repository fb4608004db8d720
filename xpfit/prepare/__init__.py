"""Tables -> `Spectra`: observation spaces, covariances, whitening."""

from .continuous import continuous_spectra
from .files import read_spectra
from .library import KELVIN_PER_UNIT, LibrarySettings, library_spectra
from .photometry import band_flux
from .sampled import SampledSettings, SampledSpectra, sample_continuous
from .whitening import Whitening, whiten_covariances

__all__ = [
    "KELVIN_PER_UNIT",
    "LibrarySettings",
    "SampledSettings",
    "SampledSpectra",
    "Whitening",
    "band_flux",
    "continuous_spectra",
    "library_spectra",
    "read_spectra",
    "sample_continuous",
    "whiten_covariances",
]
