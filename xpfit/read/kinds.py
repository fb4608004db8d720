"""Kinds of files of spectra, recognised by format and columns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .formats import Format, recognise

SPECTRA_KINDS: dict[str, Callable[[str, set[str]], bool]] = {
    "continuous": lambda form, names: "bp_coefficients" in names,
    "sampled": lambda form, names: {"source_id", "flux", "flux_error"} <= names,
    "library": lambda form, names: form == "fits",
    "prepared": lambda form, names: form in ("hdf5", "parquet"),
}
"""Whether a file is of a kind, by the name of its format and its columns in lower case; in the
order in which they are tried."""

FALLBACK = "continuous"
"""Kind of a file that is none of them; its reader raises the error."""


def spectra_kind(path: str | os.PathLike) -> str:
    """Kind of a file of spectra.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        ``"continuous"``, ``"sampled"``, ``"library"`` (FITS with the APOGEE-XP library's columns)
        or ``"prepared"`` (HDF5 or Parquet from `xpfit prepare`). A file that is none of them gets
        the kind that is most likely meant, whose reader raises the error.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty or damaged.
    """
    return kind_and_format(path)[0]


def kind_and_format(path: str | os.PathLike) -> tuple[str, Format]:
    """Kind of a file of spectra, as `spectra_kind`, and its format."""
    form, head = recognise(path)
    names = {name.lower() for name in form.column_names(Path(path), head)}
    return next((k for k, test in SPECTRA_KINDS.items() if test(form.name, names)), FALLBACK), form
