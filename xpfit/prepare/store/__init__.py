"""Files of prepared spectra, HDF5 or Parquet."""

from .hdf5 import count_spectra, iterate_spectra, write_spectra

__all__ = ["count_spectra", "iterate_spectra", "write_spectra"]
