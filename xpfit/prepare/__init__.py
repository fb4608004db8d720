"""Tables -> `Spectra`: observation spaces, covariances, whitening."""

from .astrometry import attach_astrometry, parallax_zero_point
from .bands import PhotometrySettings, attach_photometry
from .continuous import continuous_spectra
from .corrections import FluxCorrection
from .cuts import TrainingCuts, training_cuts
from .files import prepare_file, read_spectra
from .library import KELVIN_PER_UNIT, LibrarySettings, library_spectra
from .photometry import band_flux
from .sampled import SampledSettings, SampledSpectra, sample_continuous
from .store import is_prepared, iterate_spectra, write_spectra
from .whitening import Whitening, whiten_covariances

__all__ = [
    "KELVIN_PER_UNIT",
    "FluxCorrection",
    "LibrarySettings",
    "PhotometrySettings",
    "SampledSettings",
    "SampledSpectra",
    "TrainingCuts",
    "Whitening",
    "attach_astrometry",
    "attach_photometry",
    "band_flux",
    "continuous_spectra",
    "is_prepared",
    "iterate_spectra",
    "library_spectra",
    "parallax_zero_point",
    "prepare_file",
    "read_spectra",
    "sample_continuous",
    "training_cuts",
    "whiten_covariances",
    "write_spectra",
]
