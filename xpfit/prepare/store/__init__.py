"""Prepared spectra on disk: one HDF5 or Parquet file that is read back as it was, fast."""

from .hdf5 import count_spectra, iterate_spectra, write_spectra

__all__ = ["count_spectra", "iterate_spectra", "write_spectra"]
