"""Catalogue files: FITS or ECSV, by the ending of the name."""

from __future__ import annotations

import os
from pathlib import Path

from astropy.io.ascii import InconsistentTableError
from astropy.table import Table

from ..errors import InputError, OutputError
from ..files import atomic_output
from ..read.fits import read_fits_table

FORMATS = {".fits": "fits", ".ecsv": "ascii.ecsv"}
"""Endings of catalogue files and astropy's names of their formats."""


def catalogue_format(path: str | os.PathLike) -> str:
    """astropy's name of the format that a file name asks for.

    Raises
    ------
    OutputError
        If the ending is not one of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"{path}: cannot tell the format from the ending {suffix!r}; use one of "
            f"{', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def write_catalogue(table: Table, path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Write a catalogue, whole or not at all.

    Parameters
    ----------
    table : astropy.table.Table
    path : path-like
        The ending, ``.fits`` or ``.ecsv``, gives the format.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the ending is unknown, the file exists, or it cannot be written.
    """
    name = catalogue_format(path)
    with atomic_output(path, overwrite=overwrite) as part:
        table.write(part, format=name)


def read_catalogue(path: str | os.PathLike) -> Table:
    """Read a catalogue, or any other table in FITS or ECSV.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    astropy.table.Table
        Masked where values are missing.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is not a readable table.
    """
    path = Path(path)
    if path.suffix.lower() != ".ecsv":
        read_fits_table(path, slice(0))  # the one place that explains what is wrong with a file
        return Table.read(path, format="fits")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    try:
        return Table.read(path, format="ascii.ecsv")
    except (InconsistentTableError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a readable ECSV table ({error})") from error
