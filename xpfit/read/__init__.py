"""Files -> tables."""

from .continuous import XP_BANDS, is_continuous, read_continuous
from .ids import read_source_ids
from .library import LIBRARY_COLUMNS, LIBRARY_WAVELENGTH, read_library
from .tables import read_table

__all__ = [
    "LIBRARY_COLUMNS",
    "LIBRARY_WAVELENGTH",
    "XP_BANDS",
    "is_continuous",
    "read_continuous",
    "read_library",
    "read_source_ids",
    "read_table",
]
