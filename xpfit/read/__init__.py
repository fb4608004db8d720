"""Files -> tables."""

from .ids import read_source_ids
from .library import LIBRARY_COLUMNS, LIBRARY_WAVELENGTH, read_library

__all__ = ["LIBRARY_COLUMNS", "LIBRARY_WAVELENGTH", "read_library", "read_source_ids"]
