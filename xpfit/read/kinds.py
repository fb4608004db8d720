"""What a file of spectra holds, by its columns."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from .rows import column_names, sniff


def spectra_kind(path: str | os.PathLike) -> str:
    """Tell the kinds of files of spectra from each other.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        ``"continuous"``, ``"sampled"``, ``"library"`` (the APOGEE-XP library's columns) or
        ``"prepared"`` (HDF5 or Parquet from `xpfit prepare`). What is none of them counts as the
        kind that is most likely meant; its reader says what is wrong.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; fetch or write it again")
    names, storage = column_names(path), sniff(path)
    if "bp_coefficients" in names:
        return "continuous"
    if {"source_id", "flux", "flux_error"} <= set(names):
        return "sampled"
    return {"fits": "library", "hdf5": "prepared", "parquet": "prepared"}.get(storage, "continuous")
