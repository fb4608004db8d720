"""Catalogue files: FITS or ECSV, by the ending of the name."""

from __future__ import annotations

import os
from pathlib import Path

from astropy.table import Table

from ..errors import OutputError
from ..files import atomic_output

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
