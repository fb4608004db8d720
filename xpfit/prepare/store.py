"""Prepared spectra on disk: one HDF5 file that is read back as it was, fast.

Layout (format version 1), one row per star::

    attributes      format, format_version, space, preparation (JSON), n_star
    wavelength      (n_grid,) nm; in sampled space n_grid is n_obs
    space/...       arrays of the coefficient space (see `xpfit.space`)
    source_id       int64
    flux, flux_err  (n_star, n_obs) 1e-18 W m-2 nm-1; infinite error: no weight
    whitener        (n_star, n_obs) inverse errors, or (n_star, n_obs (n_obs + 1) / 2) the lower
                    triangle of L, row by row, with L.T @ L the inverse covariance
    parallax, parallax_err, extinction, extinction_err, snr, input_flags
    labels/NAME, label_err/NAME
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError
from ..files import atomic_output
from ..space import space_from_datasets
from ..spectra import Spectra
from .sources import id_flags

FORMAT = "xpfit-spectra"
FORMAT_VERSION = 1
"""Newest version of the layout that this module reads and writes."""

ROWS_PER_CHUNK = 256
"""Stars that HDF5 keeps together on disk."""

CHUNK_SIZE = 2000
"""Stars that `iterate_spectra` reads at a time: 120 MB with full whiteners."""

_COLUMNS = (
    "source_id", "flux", "flux_err", "parallax", "parallax_err", "extinction", "extinction_err",
    "snr", "input_flags",
)  # fmt: skip


def write_spectra(
    parts: Iterable[Spectra], path: str | os.PathLike, *, overwrite: bool = False
) -> int:
    """Write prepared spectra, part by part, whole or not at all.

    Parameters
    ----------
    parts : iterable of Spectra
        Prepared alike; memory holds one at a time.
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        Number of stars written.

    Raises
    ------
    InputError
        If there are no parts, or they were not prepared alike.
    OutputError
        If the file exists or cannot be written.
    """
    n_star, first = 0, None
    with atomic_output(path, overwrite=overwrite) as part_path, h5py.File(part_path, "w") as file:
        for part in parts:
            columns = _columns(part)
            if first is None:
                first = part
                _create(file, part, columns)
            _check_alike(first, part, columns, file)
            for name, values in columns.items():
                file[name].resize(n_star + len(part), axis=0)
                file[name][n_star:] = values
            n_star += len(part)
        if first is None:
            raise InputError("no spectra to write; the input has no rows")
        # Sources may be repeated across parts, which only now can be seen.
        file["input_flags"][:] |= id_flags(file["source_id"][:])
        file.attrs["n_star"] = n_star
    return n_star


def iterate_spectra(path: str | os.PathLike, chunk_size: int = CHUNK_SIZE) -> Iterator[Spectra]:
    """Read prepared spectra in bounded memory.

    Parameters
    ----------
    path : path-like
    chunk_size : int
        Stars at a time.

    Yields
    ------
    Spectra

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is damaged, of another kind, or newer than this version of xpfit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    start, n_star = 0, 1
    while start < n_star:
        try:
            with h5py.File(path, "r") as file:
                _check_format(file, path)
                n_star = int(file.attrs["n_star"])
                part = _read(file, slice(start, start + chunk_size))
        except (OSError, KeyError, TypeError, RuntimeError) as error:
            raise InputError(
                f"{path}: not a file of prepared spectra, or a damaged one ({error}); "
                "prepare it again"
            ) from error
        yield part
        start += chunk_size


def is_prepared(path: str | os.PathLike) -> bool:
    """Whether a file is HDF5, by its signature."""
    path = Path(path)
    return path.is_file() and h5py.is_hdf5(path)


def lower_triangular(whitener: np.ndarray) -> np.ndarray:
    """Lower-triangular whiteners with the same chi2.

    Parameters
    ----------
    whitener : ndarray, shape (n_star, n_obs, n_obs)

    Returns
    -------
    ndarray, same shape
        The whitener itself where it is triangular already; else from a QR factorisation with the
        columns reversed.
    """
    triangular = whitener.copy()
    upper = np.triu_indices(whitener.shape[1], 1)
    rows = np.flatnonzero(np.any(whitener[(slice(None), *upper)] != 0, axis=1))
    if len(rows):
        factor = np.linalg.qr(whitener[rows][:, :, ::-1], mode="r")
        triangular[rows] = factor[:, ::-1, ::-1]
    return triangular


def _lower_triangle(n_obs: int) -> tuple:
    """Index of the lower triangles, row by row, of (n_star, n_obs, n_obs)."""
    return (slice(None), *np.tril_indices(n_obs))


def _columns(spectra: Spectra) -> dict[str, np.ndarray]:
    """Datasets with one row per star."""
    columns = {name: getattr(spectra, name) for name in _COLUMNS}
    whitener = spectra.whitener
    if whitener.ndim == 3:
        whitener = lower_triangular(whitener)[_lower_triangle(whitener.shape[1])]
    columns["whitener"] = whitener
    for name, values in spectra.labels.items():
        columns[f"labels/{name}"] = values
        columns[f"label_err/{name}"] = spectra.label_err[name]
    return columns


def _create(file: h5py.File, spectra: Spectra, columns: dict[str, np.ndarray]) -> None:
    """Make empty datasets that can grow."""
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["space"] = spectra.space.name
    file.attrs["preparation"] = json.dumps(spectra.preparation, sort_keys=True)
    for name, values in spectra.space.datasets().items():
        file[name] = values
    for name, values in columns.items():
        row = values.shape[1:]
        file.create_dataset(
            name, (0, *row), values.dtype, maxshape=(None, *row), chunks=(ROWS_PER_CHUNK, *row)
        )


def _check_alike(first: Spectra, part: Spectra, columns: dict, file: h5py.File) -> None:
    """Refuse to mix data that were prepared differently."""
    alike = (
        first.space.matches(part.space)
        and first.preparation == part.preparation
        and first.labels.keys() == part.labels.keys()
        and all(file[name].shape[1:] == values.shape[1:] for name, values in columns.items())
    )
    if not alike:
        raise InputError(
            "these spectra were prepared differently (space, settings, labels or kind of "
            "covariance) and cannot stand in one file; prepare them into separate files"
        )


def _check_format(file: h5py.File, path: Path) -> None:
    """Refuse files of another kind or of a newer layout."""
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"{path}: an HDF5 file, but not one of prepared spectra")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path}: format version {version} is newer than this xpfit reads "
            f"({FORMAT_VERSION}); upgrade xpfit"
        )


def _read(file: h5py.File, rows: slice) -> Spectra:
    """Some stars of an open, checked file."""
    space = space_from_datasets(str(file.attrs["space"]), file)
    n_obs = space.n_obs
    whitener = file["whitener"][rows]
    if whitener.shape[1] != n_obs:
        packed = whitener
        whitener = np.zeros((len(packed), n_obs, n_obs))
        whitener[_lower_triangle(n_obs)] = packed
    return Spectra(
        space=space,
        whitener=whitener,
        labels={name: file[f"labels/{name}"][rows] for name in file.get("labels", ())},
        label_err={name: file[f"label_err/{name}"][rows] for name in file.get("label_err", ())},
        preparation=json.loads(file.attrs["preparation"]),
        **{name: file[name][rows] for name in _COLUMNS},
    )
