"""Files -> tables."""

from .continuous import XP_BANDS, read_continuous
from .grid import SAMPLED_WAVELENGTH
from .ids import read_source_ids
from .isochrones import Isochrones, read_isochrones
from .kinds import spectra_kind
from .labels import read_apogee, read_labels, read_lamost, read_survey
from .library import LIBRARY_COLUMNS, LIBRARY_WAVELENGTH, read_library
from .positions import match_positions
from .sampled import read_sampled
from .tables import read_table

__all__ = [
    "LIBRARY_COLUMNS",
    "LIBRARY_WAVELENGTH",
    "SAMPLED_WAVELENGTH",
    "XP_BANDS",
    "Isochrones",
    "match_positions",
    "read_apogee",
    "read_continuous",
    "read_isochrones",
    "read_labels",
    "read_lamost",
    "read_library",
    "read_sampled",
    "read_source_ids",
    "read_survey",
    "read_table",
    "spectra_kind",
]
