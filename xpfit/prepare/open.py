"""Files of spectra, of any kind -> `Spectra`: `read_spectra` for all, `iterate_file` part by part.

`PREPARE` holds one function for each kind of file that `xpfit.read.spectra_kind` recognises.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..data.preparation import (
    UNCORRECTED,
    LibrarySettings,
    Preparation,
    Settings,
    XPSettings,
)
from ..data.space import CoefficientSpace, ObservationSpace
from ..data.spectra import Spectra
from ..errors import InputError, TruncatedError
from ..read import read_continuous, read_library, read_sampled
from ..read.kinds import files_of_spectra, kind_and_format
from .bases import Basis
from .continuous import continuous_spectra
from .corrections import Correction, identifier_of
from .library import library_spectra
from .store.hdf5 import iterate_spectra


class Trained(Protocol):
    """What was trained on spectra: an `xpfit.XPModel` or a companion."""

    space: ObservationSpace
    preparation: Preparation


@dataclass(frozen=True)
class Target:
    """What spectra are to become.

    Attributes
    ----------
    space : ObservationSpace or str, optional
    settings : tuple of Settings
        Given explicitly, at most one of each kind.
    correction : FluxCorrection, optional
    model : Trained, optional
        Gives what is not given explicitly.
    sampling : ndarray, optional
        Wavelengths (nm) of files of sampled spectra that do not state them.
    release : str, optional
        Gaia's data release; by default what files of spectra tell.
    basis : Basis, optional
        Basis functions of files of XP continuous spectra.
    """

    space: ObservationSpace | str | None
    settings: tuple[Settings, ...]
    correction: Correction | None
    model: Trained | None
    sampling: np.ndarray | None = None
    release: str | None = None
    basis: Basis | None = None

    def settings_of(self, kind: type[Settings], path: str | os.PathLike):
        """Settings for one kind of file.

        Raises
        ------
        InputError
            If settings are given, but for another kind.
        """
        given = next((s for s in self.settings if isinstance(s, kind)), None)
        if self.settings and given is None:
            raise InputError(
                f"{path}: this kind of file is prepared with {kind.__name__}, not with "
                f"{type(self.settings[0]).__name__}"
            )
        preparation = self.model.preparation if self.model else Preparation()
        return given or preparation.settings_of(kind)

    def check_correction(self, path: str | os.PathLike) -> None:
        """Refuse to correct the flux otherwise than that of the model's training data."""
        if self.model is None:
            return
        wanted, given = self.model.preparation.flux_correction, identifier_of(self.correction)
        if wanted != given:
            raise InputError(
                f"{path}: the flux correction of the model's training data is {wanted!r}, that "
                f"asked for {given!r}; give the model's (`correction`, --correction)"
            )

    def check_nothing_asked(self, path: str | os.PathLike, corrected: str = UNCORRECTED) -> None:
        """Refuse a correction of spectra that cannot be corrected here, but those that have it."""
        if self.correction and identifier_of(self.correction) != corrected:
            raise InputError(
                f"{path}: the flux correction {self.correction.identifier!r} is one of XP spectra "
                f"as the archive gives them; these are prepared, with the correction {corrected!r}"
            )


def _prepare_archive(read: Callable) -> Callable:
    """Function that prepares a file of the Gaia archive."""

    def prepare(path, form, rows, target: Target) -> Iterator[Spectra]:
        if rows is not None:
            raise InputError(
                f"{path}: rows of archive files cannot be read alone; prepare the file first"
            )
        target.check_correction(path)
        space, settings = target.space, target.settings_of(XPSettings, path)
        options = {"sampling": target.sampling} if read is read_sampled else {}
        for table in read(path, form=form, release=target.release, **options):
            spectra = continuous_spectra([table], space, settings, target.correction, target.basis)
            # The first table decides; a later one may lack a band altogether.
            space = spectra.space
            yield spectra

    return prepare


def _prepare_library(path, form, rows, target: Target) -> Iterator[Spectra]:
    """The APOGEE-XP library, or any of its rows."""
    if target.space == CoefficientSpace.name:
        raise InputError(
            "the library holds sampled spectra, without coefficients; coefficient space needs XP "
            "continuous spectra"
        )
    target.check_nothing_asked(path)
    space = None if isinstance(target.space, str) else target.space
    settings = target.settings_of(LibrarySettings, path)
    yield library_spectra(read_library(path, rows), settings, space)


def _read_prepared(path, form, rows, target: Target) -> Iterator[Spectra]:
    """Prepared spectra as they are, or a range of rows of them."""
    for spectra in iterate_spectra(path, rows=rows):
        target.check_nothing_asked(path, spectra.correction)
        yield spectra


PREPARE: dict[str, Callable[..., Iterator[Spectra]]] = {
    "continuous": _prepare_archive(read_continuous),
    "sampled": _prepare_archive(read_sampled),
    "library": _prepare_library,
    "prepared": _read_prepared,
}
"""By kind of file: (path, format, rows, target) -> parts of its spectra."""


def warn_of_loss(message: str) -> None:
    """Warn of a file that is cut off."""
    warnings.warn(message, stacklevel=4)


def iterate_file(
    path: str | os.PathLike,
    rows: range | None = None,
    *,
    model: Trained | None = None,
    space: ObservationSpace | str | None = None,
    settings: Settings | None = None,
    correction: Correction | None = None,
    on_loss: Callable[[str], object] = warn_of_loss,
    sampling: np.ndarray | None = None,
    release: str | None = None,
    basis: Basis | None = None,
) -> Iterator[Spectra]:
    """Prepare a file of spectra part by part, in bounded memory where the format allows it.

    Parameters
    ----------
    path : path-like
        XP continuous or sampled spectra in any format of `xpfit.read.formats` (several files in a
        zip archive included), prepared spectra (from `xpfit prepare`), or a FITS file with the
        columns of the APOGEE-XP library. ``FILE[TABLE]`` is one table of a file, by its number or
        name.
    rows : range, optional
        Rows of prepared spectra or of the library; all by default.
    model : XPModel or companion, optional
        Prepare the spectra as its training data were, in its space. What is given explicitly below
        takes precedence.
    space : ObservationSpace or str, optional
        What the data vectors are to be, as in `continuous_spectra` and `library_spectra`.
    settings : LibrarySettings or XPSettings, optional
        For files of the library, or XP spectra of the archive.
    correction : FluxCorrection, optional
        For XP spectra of the archive, as in `continuous_spectra`. With `model`, it must be that of
        the model's training data.
    on_loss : callable
        Called with a message if the file is cut off, after the sources before the cut; by default
        they come with a warning.
    sampling : ndarray, optional
        Wavelengths (nm) of sampled spectra, for files that do not state them.
    release : str, optional
        Gaia's data release of files of the archive; by default what they tell.
    basis : Basis, optional
        Basis functions of XP continuous spectra, from `load_basis`; by default what GaiaXPy has for
        their numbers of coefficients. Other files need none.

    Yields
    ------
    Spectra

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is damaged or has no rows, the settings are for another kind of file, the
        correction is not the model's, the basis functions are not known, or the spectra cannot be
        brought into the space.
    """
    target = _target(model, space, (settings,), correction, sampling, release, basis)
    for file in files_of_spectra(path):
        yield from _parts(file, *kind_and_format(file), rows, target, on_loss)


def _parts(path, kind, form, rows, target: Target, on_loss) -> Iterator[Spectra]:
    """As `iterate_file`, of a file whose kind and format are known."""
    n_star = 0
    try:
        for part in PREPARE[kind](path, form, rows, target):
            if not len(part):
                raise InputError(f"{path}: the table has no rows")
            n_star += len(part)
            yield part
    except TruncatedError as error:
        if not n_star:
            raise
        on_loss(f"{error}; {n_star} sources before are used")


def read_spectra(
    path: str | os.PathLike,
    rows=None,
    settings: Settings | None = None,
    *,
    model: Trained | None = None,
    space: ObservationSpace | str | None = None,
    correction: Correction | None = None,
    xp_settings: XPSettings | None = None,
    sampling: np.ndarray | None = None,
    release: str | None = None,
    basis: Basis | None = None,
) -> Spectra:
    """Read a file of spectra and prepare it for fitting or training.

    Parameters
    ----------
    path : path-like
        As for `iterate_file`.
    rows : slice, array_like of int or of bool, optional
        Which rows to take; all by default.
    settings, model, space, correction
        As for `iterate_file`. For a fit, give the `model`.
    xp_settings : XPSettings, optional
        Deprecated: give them as `settings`.
    sampling, release, basis : optional
        As for `iterate_file`.

    Returns
    -------
    Spectra

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        As `iterate_file`, or if `rows` are out of range.
    """
    if xp_settings is not None:
        warnings.warn(
            "xp_settings is deprecated; give them as settings", DeprecationWarning, stacklevel=2
        )
    settings = settings if xp_settings is None else xp_settings
    target = _target(model, space, (settings,), correction, sampling, release, basis)
    parts: list[Spectra] = []
    for file in files_of_spectra(path):
        kind, form = kind_and_format(file)
        if kind == "library":
            (spectra,) = PREPARE[kind](path, form, rows, target)
            return spectra
        parts += _parts(file, kind, form, None, target, warn_of_loss)
    spectra = Spectra.concatenate(parts)
    try:
        return spectra if rows is None else spectra[rows]
    except IndexError as error:
        raise InputError(f"{path}: {error}; the file has {len(spectra)} rows") from error


def prepare_file(
    path, settings=None, *, space=None, xp_settings=None, correction=None
) -> Iterator[Spectra]:
    """Deprecated: `iterate_file`."""
    warnings.warn("prepare_file is deprecated: use iterate_file", DeprecationWarning, stacklevel=2)
    settings = settings if xp_settings is None else xp_settings
    return iterate_file(path, space=space, settings=settings, correction=correction)


def _target(model, space, settings, correction, sampling=None, release=None, basis=None) -> Target:
    """What the arguments of the functions above ask for."""
    if space is None and model is not None:
        space = model.space
    given = tuple(s for s in settings if s is not None)
    return Target(space, given, correction, model, sampling, release, basis)
