"""Dust maps by name, by file, or as objects of the `dustmaps` package."""

from __future__ import annotations

import importlib
import io
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from astropy.io import fits

from ..errors import InputError
from ..read.tables import read_table
from .edenhofer import DensityError
from .maps import EBV_PER_SFD, EBV_PER_UNIT, Bayestar, Column, DustMap, Edenhofer
from .table import DustTable

COLUMN_MAPS = {
    "sfd": ("SFDQuery", EBV_PER_SFD / EBV_PER_UNIT),
    "csfd": ("CSFDQuery", EBV_PER_SFD / EBV_PER_UNIT),
    "lenz2017": ("Lenz2017Query", 1.0 / EBV_PER_UNIT),
    "bh": ("BHQuery", 1.0 / EBV_PER_UNIT),
    "planck": ("PlanckQuery", 1.0 / EBV_PER_UNIT),
}
"""Modules of the dustmaps package with maps of the column: their class, and our E of one unit."""

DUST_MAPS = ("bayestar", "sfd", "edenhofer", *(name for name in COLUMN_MAPS if name != "sfd"))
"""Names of maps."""

CLASSES = {
    "bayestar": ("bayestar", "BayestarQuery"),
    "edenhofer": ("edenhofer2023", "Edenhofer2023Query"),
    **{name: (name, class_name) for name, (class_name, _) in COLUMN_MAPS.items()},
}
"""Modules and classes of the dustmaps package, by the names of maps."""

POLES = ("ngp", "sgp")
SFD_STEM = "SFD_dust_4096"
"""Files of SFD's map: ``SFD_dust_4096_ngp.fits`` and ``SFD_dust_4096_sgp.fits``."""


def load_dust_map(source: str | os.PathLike | object) -> DustMap | DustTable:
    """A dust map by its name, from a file, or of an object of the `dustmaps` package.

    Parameters
    ----------
    source : str, path-like or object
        A name in `DUST_MAPS`, whose data `dustmaps` has; a file of Bayestar's (HDF5), SFD's (FITS;
        one of the two, or their directory) or Edenhofer et al.'s (FITS); a table with `source_id`,
        `E` and `E_err`; an object of `dustmaps`, such as ``BayestarQuery()``; or a `DustMap`, which
        is returned as it is.

    Returns
    -------
    DustMap or DustTable

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the package is not installed, its data are not, or the file or object is none of these.
    """
    if isinstance(source, (DustMap, DustTable)):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return _of_object(source)
    if source in CLASSES:
        return _installed(str(source))
    return _from_file(str(source))


def _of_object(query) -> DustMap:
    """Our form of an object of the `dustmaps` package, by its class."""
    kinds = [kind.__name__ for kind in type(query).__mro__]
    for name, (_, class_name) in CLASSES.items():
        if class_name in kinds:
            return _wrapped(name, query)
    raise InputError(
        f"{type(query).__name__} is no map that xpfit knows the unit of; give one of "
        f"{', '.join(class_name for _, class_name in CLASSES.values())}, or a subclass of "
        "xpfit.dust.DustMap"
    )


def _wrapped(name: str, query, density_err: DensityError | None = None) -> DustMap:
    """Our form of a map."""
    if name == "bayestar":
        return Bayestar(query)
    if name == "edenhofer":
        return Edenhofer(query, density_err)
    return Column(query, name, COLUMN_MAPS[name][1])


def _class(name: str):
    """A class of the dustmaps package."""
    module, class_name = CLASSES[name]
    try:
        with warnings.catch_warnings():  # of a missing file of settings, which files do not need
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(f"dustmaps.{module}"), class_name)
    except ImportError as error:
        raise InputError(
            f'dust maps need the dustmaps package: pip install "xpfit[maps]" ({error})'
        ) from error


def _made(kind, *args, **options):
    """An object of a class of dustmaps, without what it prints."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return kind(*args, **options)


def _installed(name: str) -> DustMap:
    """A map whose data the dustmaps package has."""
    kind = _class(name)
    try:
        return _wrapped(name, _made(kind, **({"integrated": True} if name == "edenhofer" else {})))
    except OSError as error:
        raise InputError(
            f"the data of the dust map {name!r} are not installed; fetch them once with "
            f"'python -c \"import dustmaps.{CLASSES[name][0]} as m; m.fetch()\"', or give the file "
            f"that you have ({error})"
        ) from error


def _from_file(path: str) -> DustMap | DustTable:
    """A map from a file, by what is in it."""
    file = Path(path)
    if not file.exists() and "[" not in file.name:
        raise FileNotFoundError(
            f"{path}: neither a file nor a known dust map; these are {', '.join(DUST_MAPS)}"
        )
    kind = _kind(file)
    try:
        if kind == "bayestar":
            return Bayestar(_made(_class(kind), map_fname=path))
        if kind == "sfd":
            return _wrapped(kind, _made(_class(kind), map_dir=str(_sfd_directory(file))))
        if kind == "edenhofer":
            errors = DensityError(path) if DensityError.is_in(path) else None
            return Edenhofer(_made(_class(kind), map_fname=path, integrated=True), errors)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of dustmaps' readers
        raise InputError(f"{path}: not a readable map of the form of {kind} ({error})") from error
    return DustTable(read_table(path))


def _kind(file: Path) -> str:
    """Name of the map that a file is, by its content; "table" for others."""
    if file.is_dir() or file.name.startswith(SFD_STEM):
        return "sfd"
    if not file.is_file():
        return "table"
    with open(file, "rb") as stream:
        start = stream.read(8)
    if start.startswith(b"\x89HDF"):
        import h5py

        with h5py.File(file) as content:
            return "bayestar" if {"pixel_info", "samples"} <= set(content) else "table"
    if start.startswith(b"SIMPLE"):
        with fits.open(file) as content:
            if any("NSIDE" in hdu.header and "ORDERING" in hdu.header for hdu in content):
                return "edenhofer"
            if content[0].header.get("CTYPE1", "").upper().startswith("GLON"):
                return "sfd"
    return "table"


def _sfd_directory(file: Path) -> Path:
    """Directory of the two files of SFD's map."""
    directory = file if file.is_dir() else file.parent
    missing = [n for p in POLES if not (directory / (n := f"{SFD_STEM}_{p}.fits")).is_file()]
    if missing:
        raise InputError(
            f"{file}: SFD's map is the two files {SFD_STEM}_ngp.fits and {SFD_STEM}_sgp.fits in "
            f"one directory; missing in {directory}: {', '.join(missing)}"
        )
    return directory
