"""Tables -> `Spectra`."""

from .library import KELVIN_PER_UNIT, LibrarySettings, library_spectra, read_spectra
from .photometry import band_flux

__all__ = ["KELVIN_PER_UNIT", "LibrarySettings", "band_flux", "library_spectra", "read_spectra"]
