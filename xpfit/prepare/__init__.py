"""Tables -> `Spectra`: observation spaces, covariances, whitening."""

from ..data.preparation import LibrarySettings, PhotometrySettings, Preparation, XPSettings
from .additions import Additions
from .astrometry import attach_astrometry, parallax_zero_point
from .bases import Basis, coefficient_space, load_basis, save_basis
from .coefficient import coefficient_vectors
from .continuous import continuous_spectra, sampled_space
from .corrections import FluxCorrection, named_correction
from .covariance import DataVectors
from .cuts import TrainingCuts, training_cuts
from .extinction import attach_dust
from .gaia import GAIA_COLUMNS
from .labels import attach_labels, match_labels, matched_table
from .library import library_spectra
from .luminosities import (
    Luminosities,
    LuminosityFlag,
    attach_luminosities,
    isochrone_masses,
    read_luminosities,
    spectroscopic_luminosities,
)
from .magnitudes import band_flux
from .open import iterate_file, prepare_file, read_spectra
from .photometry import attach_photometry
from .sampled import sample_continuous
from .store.hdf5 import iterate_spectra, write_spectra
from .whitening import Whitening, whiten_covariances

__all__ = [
    "GAIA_COLUMNS",
    "Additions",
    "Basis",
    "DataVectors",
    "FluxCorrection",
    "LibrarySettings",
    "Luminosities",
    "LuminosityFlag",
    "PhotometrySettings",
    "Preparation",
    "TrainingCuts",
    "Whitening",
    "XPSettings",
    "attach_astrometry",
    "attach_dust",
    "attach_labels",
    "attach_luminosities",
    "attach_photometry",
    "band_flux",
    "coefficient_space",
    "coefficient_vectors",
    "continuous_spectra",
    "isochrone_masses",
    "iterate_file",
    "iterate_spectra",
    "library_spectra",
    "load_basis",
    "match_labels",
    "matched_table",
    "named_correction",
    "parallax_zero_point",
    "prepare_file",
    "read_luminosities",
    "read_spectra",
    "sample_continuous",
    "sampled_space",
    "save_basis",
    "spectroscopic_luminosities",
    "training_cuts",
    "whiten_covariances",
    "write_spectra",
]
