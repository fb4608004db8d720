"""Files of prepared spectra, HDF5 or Parquet.

Layout (format version 1), one row per star::

    attributes      format, format_version, space, preparation (JSON), n_star,
                    wavelength (n_grid,) in nm; in sampled space n_grid is n_obs
    space/...       arrays of the coefficient space (see `xpfit.data.space`)
    source_id       int64
    flux, flux_err  (n_star, n_obs) 1e-18 W m-2 nm-1 or photo-electrons per second; infinite error:
                    no weight
    whitener        (n_star, n_obs) inverse errors, or (n_star, n_obs (n_obs + 1) / 2) the lower
                    triangle of L, row by row, with L.T @ L the inverse covariance
    checksum        uint64, of each row (see `xpfit.prepare.store.checksum`)
    parallax, parallax_error, extinction, extinction_error, snr, input_flags
    labels/NAME, label_err/NAME, gaia/NAME

Numbers are in double precision.
HDF5 files have this layout; Parquet holds the columns (arrays as lists of fixed size),
and the rest in the metadata of its schema (see `xpfit.prepare.store.parquet`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py

from ...arrow import pyarrow_modules
from ...data import Spectra, space_from_datasets
from ...data.hdf5 import arrays_of, digest, new_hdf5
from ...errors import InputError, OutputError
from ...files import atomic_output, existing_file
from ...integrity import verifying
from ...read.formats import recognise
from ...read.formats.arrow import Parquet
from . import checksum, parquet
from .columns import FORMAT, GROUPS, attributes, from_columns, require_alike, to_columns
from .ids import ROWS_AT_A_TIME, flags_of, repeated_ids

ROWS_PER_CHUNK = 256
"""Stars that HDF5 keeps together on disk."""

HEADER_CHECKSUM = "header_checksum"
"""Attribute with the SHA-256 of all that is not by star."""

CHUNK_SIZE = 2000
"""Stars that `iterate_spectra` reads at a time: 120 MB with full whiteners."""


def write_spectra(
    parts: Iterable[Spectra], path: str | os.PathLike, *, overwrite: bool = False
) -> int:
    """Write prepared spectra, part by part, whole or not at all.

    Parameters
    ----------
    parts : iterable of Spectra
        Prepared alike; memory holds one at a time.
    path : path-like
        The ending, one of `STORE_FORMATS`, gives the format.
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
        If the ending is unknown, the file exists, or it cannot be written.
    """
    write = parquet.write if store_format(path) == "Parquet" else write_hdf5
    with atomic_output(path, overwrite=overwrite) as part_path:
        return write(_alike(parts), part_path)


STORE_FORMATS = {".h5": "HDF5", ".hdf5": "HDF5", parquet.SUFFIX: "Parquet"}
"""Endings of files of prepared spectra and their formats."""


def store_format(path: str | os.PathLike) -> str:
    """Format of a new file of prepared spectra, by its ending.

    Raises
    ------
    OutputError
        If the ending is not one of `STORE_FORMATS`, or pyarrow is needed and not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in STORE_FORMATS:
        raise OutputError(
            f"{path}: unknown format of prepared spectra, by the ending {suffix!r}; use one of "
            f"{', '.join(STORE_FORMATS)}"
        )
    if suffix == parquet.SUFFIX:
        pyarrow_modules(OutputError)
    return STORE_FORMATS[suffix]


def count_spectra(path: str | os.PathLike) -> int:
    """Number of stars in a file of prepared spectra.

    Parameters
    ----------
    path : path-like
        HDF5 or Parquet; the content decides.

    Returns
    -------
    int

    Raises
    ------
    FileNotFoundError, InputError
        As `iterate_spectra`.
    """
    path = existing_file(path)
    if _is_parquet(path):
        return parquet.count(path)
    with FORMAT.reading(path) as file:
        return int(file.attrs["n_star"])


def iterate_spectra(
    path: str | os.PathLike, chunk_size: int = CHUNK_SIZE, rows: range | None = None
) -> Iterator[Spectra]:
    """Read prepared spectra in bounded memory.

    Parameters
    ----------
    path : path-like
        HDF5 or Parquet; the content decides.
    chunk_size : int
        Stars at a time.
    rows : range, optional
        Which rows to read, without gaps; all by default.

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
    path = existing_file(path)
    read = parquet.iterate if _is_parquet(path) else _iterate_hdf5
    yield from read(path, chunk_size, range(count_spectra(path)) if rows is None else rows)


def _is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its content."""
    return recognise(path)[0].name == Parquet.name


def _alike(parts: Iterable[Spectra]) -> Iterator[Spectra]:
    """Parts, checked to be there and to have been prepared alike."""
    first = None
    for part in parts:
        first = part if first is None else first
        require_alike(first, part)
        yield part
    if first is None:
        raise InputError("no spectra to write; the input has no rows")


def write_hdf5(
    parts: Iterator[Spectra], path: Path, finish: Callable[[h5py.File], None] | None = None
) -> int:
    """Write all parts, and whatever `finish` adds at the end; returns the number of stars."""
    n_star = 0
    with new_hdf5(path) as file:
        for part in parts:
            columns = to_columns(part)
            columns[checksum.COLUMN] = checksum.row_checksums(columns, n_star)
            if not n_star and "format" not in file.attrs:
                _create(file, part, columns)
            for name, values in columns.items():
                file[name].resize(n_star + len(part), axis=0)
                file[name][n_star:] = values
            n_star += len(part)
            file.require_written()  # before more is computed in vain
        # Sources may be repeated across parts, which is known only at the end.
        _flag_ids(file, n_star)
        file.attrs["n_star"] = n_star
        file.attrs[HEADER_CHECKSUM] = _header_checksum(file)
        if finish is not None:
            finish(file)
    return n_star


def _flag_ids(file: h5py.File, n_star: int) -> None:
    """Flag rows whose ids are missing or repeated."""
    ids, flags = file["source_id"], file["input_flags"]
    blocks = [slice(k, k + ROWS_AT_A_TIME) for k in range(0, n_star, ROWS_AT_A_TIME)]
    repeated = repeated_ids(lambda: (ids[block] for block in blocks), n_star)
    for block in blocks:
        flags[block] |= flags_of(ids[block], repeated)


def _create(file: h5py.File, spectra: Spectra, columns: dict) -> None:
    """Make empty datasets that can grow."""
    arrays = spectra.space.datasets()
    file.attrs.update(attributes(spectra))
    file.attrs["wavelength"] = arrays.pop("wavelength")
    for name, values in arrays.items():
        file[name] = values
    for name, values in columns.items():
        row = values.shape[1:]
        file.create_dataset(
            name, (0, *row), values.dtype, maxshape=(None, *row), chunks=(ROWS_PER_CHUNK, *row)
        )


def _iterate_hdf5(path: Path, chunk_size: int, rows: range) -> Iterator[Spectra]:
    """Spectra of an HDF5 file; it is open only while a part is read."""
    for start in range(rows.start, rows.stop, chunk_size):
        with FORMAT.reading(path) as file:
            _verify_header(file, path)
            part = _read(file, slice(start, min(start + chunk_size, rows.stop)), path)
        yield part


def _header_checksum(file: h5py.File) -> str:
    """SHA-256 of the attributes and of the arrays of the space."""
    attributes = {name: v for name, v in file.attrs.items() if name != HEADER_CHECKSUM}
    return digest(arrays_of(file.get("space", {})), attributes)


def _verify_header(file: h5py.File, path: Path) -> None:
    """Compare the checksum of a header, if the file has one."""
    stored = file.attrs.get(HEADER_CHECKSUM)
    if stored is not None and verifying() and stored != _header_checksum(file):
        raise InputError(
            f"{path}: the checksum of the header does not match, the file is damaged or was "
            "changed by another program; prepare it again (--no-verify reads it as it is)"
        )


def _read(file: h5py.File, rows: slice, path: Path) -> Spectra:
    """Some stars of an open, checked file."""
    arrays = {f"space/{name}": values[()] for name, values in file.get("space", {}).items()}
    arrays["wavelength"] = file.attrs["wavelength"]
    space = space_from_datasets(str(file.attrs["space"]), arrays)
    names = [name for name, node in file.items() if isinstance(node, h5py.Dataset)]
    names += [f"{kind}/{name}" for kind in GROUPS for name in file.get(kind, ())]
    columns = {name: file[name][rows] for name in names}
    columns = checksum.verified_rows(columns, rows.start, path)
    return from_columns(columns, space, json.loads(file.attrs["preparation"]))
