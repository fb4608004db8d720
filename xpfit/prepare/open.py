"""Files of spectra, of any kind -> `Spectra`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..data.space import CoefficientSpace, ObservationSpace
from ..data.spectra import Spectra
from ..errors import InputError
from ..read import read_continuous, read_library, read_sampled, spectra_kind
from .continuous import continuous_spectra
from .corrections import FluxCorrection
from .covariance import XPSettings
from .library import LibrarySettings, library_spectra
from .store.hdf5 import iterate_spectra


def prepare_file(
    path: str | os.PathLike,
    settings: LibrarySettings | None = None,
    *,
    space: ObservationSpace | str | None = None,
    xp_settings: XPSettings | None = None,
    correction: FluxCorrection | None = None,
) -> Iterator[Spectra]:
    """Prepare a file of spectra part by part, in bounded memory where the format allows it.

    Parameters
    ----------
    path : path-like
        XP continuous or sampled spectra in any format of the Gaia archive, prepared spectra (from
        `xpfit prepare`), or a FITS file with the columns of the APOGEE-XP library.
    settings : LibrarySettings, optional
        For files of the library.
    space
        What the data vectors are to be, as in `continuous_spectra` and `library_spectra`.
    xp_settings, correction
        For XP spectra of the archive, as in `continuous_spectra`.

    Yields
    ------
    Spectra

    Raises
    ------
    FileNotFoundError, InputError
        As `xpfit.read.read_library`, `xpfit.read.read_continuous` and
        `xpfit.prepare.iterate_spectra`.
    """
    kind = spectra_kind(path)
    if kind == "prepared":
        yield from iterate_spectra(path)
    elif kind in ("continuous", "sampled"):
        for table in (read_continuous if kind == "continuous" else read_sampled)(path):
            spectra = continuous_spectra([table], space, xp_settings, correction)
            # The first table decides; a later one may lack a band altogether.
            space = spectra.space
            yield spectra
    else:
        yield library_spectra(read_library(path), settings, _library_space(space))


def read_spectra(
    path: str | os.PathLike,
    rows=None,
    settings: LibrarySettings | None = None,
    *,
    space: ObservationSpace | str | None = None,
    xp_settings: XPSettings | None = None,
    correction: FluxCorrection | None = None,
) -> Spectra:
    """Read a file of spectra and prepare it for fitting or training.

    Parameters
    ----------
    path : path-like
        As for `prepare_file`.
    rows : slice, array_like of int or of bool, optional
        Which rows to take; all by default.
    settings : LibrarySettings, optional
        For files of the library. For a fit, those of the model:
        ``LibrarySettings.from_dict(model.preparation)``.
    space
        What the data vectors are to be, as in `continuous_spectra` and `library_spectra`. For a
        fit, the model's: ``space=model.space``.
    xp_settings, correction
        For XP spectra of the archive, as in `continuous_spectra`.

    Returns
    -------
    Spectra

    Raises
    ------
    FileNotFoundError, InputError
        As `prepare_file`, or if `rows` are out of range.
    """
    if spectra_kind(path) == "library":
        return library_spectra(read_library(path, rows), settings, _library_space(space))
    options = {"space": space, "xp_settings": xp_settings, "correction": correction}
    spectra = Spectra.concatenate(list(prepare_file(path, **options)))
    try:
        return spectra if rows is None else spectra[rows]
    except IndexError as error:
        raise InputError(f"{path}: {error}; the file has {len(spectra)} rows") from error


def _library_space(space: ObservationSpace | str | None) -> ObservationSpace | None:
    """The space itself; the library's own default for names of spaces that it can be in."""
    if isinstance(space, str):
        if space == CoefficientSpace.name:
            raise InputError(
                "the library holds sampled spectra, without coefficients; leave coefficient space "
                "to XP continuous spectra"
            )
        return None
    return space
