"""Files of spectra, of any kind -> `Spectra`."""

from __future__ import annotations

import os

from ..errors import InputError
from ..read import is_continuous, read_continuous, read_library
from ..spectra import Spectra
from .continuous import continuous_spectra
from .library import LibrarySettings, library_spectra


def read_spectra(
    path: str | os.PathLike, rows=None, settings: LibrarySettings | None = None
) -> Spectra:
    """Read a file of spectra and prepare it for fitting or training.

    Parameters
    ----------
    path : path-like
        XP continuous spectra in any format of the Gaia archive, or a FITS file with the columns of
        the APOGEE-XP library; gzipped or not.
    rows : slice, array_like of int or of bool, optional
        Which rows to take; all by default.
    settings : LibrarySettings, optional
        For files of the library. For a fit, those of the model:
        ``LibrarySettings.from_dict(model.preparation)``.

    Returns
    -------
    Spectra

    Raises
    ------
    FileNotFoundError, InputError
        As `xpfit.read.read_library` and `xpfit.read.read_continuous`.
    """
    if not is_continuous(path):
        return library_spectra(read_library(path, rows), settings)
    spectra = continuous_spectra(read_continuous(path))
    try:
        return spectra if rows is None else spectra[rows]
    except IndexError as error:
        raise InputError(f"{path}: {error}; the file has {len(spectra)} rows") from error
