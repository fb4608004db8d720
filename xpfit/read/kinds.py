"""Kinds of files of spectra, recognised by format and columns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import InputError
from .formats import Format, recognise
from .formats.compressed import members, table_in

SPECTRA_KINDS: dict[str, Callable[[str, set[str]], bool]] = {
    "continuous": lambda form, names: "bp_coefficients" in names,
    "sampled": lambda form, names: (
        {"flux", "flux_error"} <= names and not names.isdisjoint({"source_id", "wavelength"})
    ),
    "library": lambda form, names: form == "fits",
    "prepared": lambda form, names: form in ("hdf5", "parquet"),
}
"""Whether a file is of a kind, by the name of its format and its columns in lower case; in the
order in which they are tried."""

ARCHIVE_KINDS = ("continuous", "sampled")
"""Of files that a zip archive may hold several of; of both, the first are read."""

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
    kind = "" if table_in(Path(path)) else _kind(form, form.names_in_head(head), ARCHIVE_KINDS)
    return kind or _kind(form, form.column_names(Path(path), head)) or FALLBACK, form


def _kind(form: Format, names: Iterable[str], kinds: Iterable[str] = SPECTRA_KINDS) -> str:
    """The first of some kinds that a file with these columns is; empty if there is none."""
    lower = {name.lower() for name in names}
    return next((kind for kind in kinds if SPECTRA_KINDS[kind](form.name, lower)), "")


def files_of_spectra(path: str | os.PathLike) -> list[Path]:
    """The files that a path stands for: itself, or those in a zip archive of several.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Path
        As ``FILE[NAME]`` in an archive (astroquery's ``datalink_output.zip``, for example).

    Raises
    ------
    InputError
        If an archive has no spectra.

    Warns
    -----
    UserWarning
        If it has other files than these, with their names.
    """
    names = members(Path(path))
    if not names:
        return [Path(path)]
    kinds = {name: _kind_in(path, name) for name in names}
    kind = next((kind for kind in ARCHIVE_KINDS if kind in kinds.values()), None)
    if kind is None:
        raise InputError(f"{path}: no XP spectra among the files in this archive: {_list(names)}")
    others = [name for name in names if kinds[name] != kind]
    if others:
        warnings.warn(
            f"{path}: of {len(names)} files those of XP {kind} spectra are used; left out: "
            f"{_list(others)}",
            stacklevel=3,
        )
    return [Path(f"{path}[{name}]") for name in names if kinds[name] == kind]


def _kind_in(path: str | os.PathLike, name: str) -> str:
    """Kind of a file in an archive; empty if it is none of XP spectra."""
    place = f"{path}[{name}]"
    try:
        form, head = recognise(place)
        return _kind(form, form.column_names(Path(place), head), ARCHIVE_KINDS)
    except InputError:
        return ""


def _list(names: list[str]) -> str:
    """Some names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
