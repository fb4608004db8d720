"""Catalogue files: FITS, VOTable, ECSV, Parquet or HDF5, by the ending of the name.

All hold the same: columns with units, UCDs and descriptions, and the table's metadata, which are
read back unchanged.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
from astropy.io import fits, votable
from astropy.io.votable.tree import CooSys, Info
from astropy.table import Column, Table, vstack

from ..data.hdf5 import FileFormat, new_hdf5
from ..errors import InputError, OutputError
from ..files import atomic_output
from ..read import read_table
from ..read.formats import recognise
from ..read.formats.votable import first_votable
from ..releases import RELEASES, id_column_of
from . import parquet
from .checksum import KEY, Checksums
from .describe import attributes, described_column
from .published import as_catalogue, is_published, iterate_published, published_hdf5

FORMATS = {
    ".fits": "FITS",
    ".vot": "VOTable",
    ".xml": "VOTable",
    ".ecsv": "ECSV",
    ".parquet": "Parquet",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
}
"""Endings of catalogue files and their formats."""

HDF5_FORMAT = FileFormat("xpfit-catalogue", "a catalogue", error=InputError)

COOSYS_ID = "icrs"
"""Of the element that says which system and epoch positions in VOTables are of."""

META_PREFIX = "xpfit."
"""Of the INFO elements in which VOTables hold the table's metadata, as JSON."""


def catalogue_format(path: str | os.PathLike) -> str:
    """Format for a file name, by its ending.

    Raises
    ------
    OutputError
        If the ending is not one of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"{path}: unknown format, by the ending {suffix!r}; use one of {', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def write_catalogue(table: Table, path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Write a catalogue, completely or not at all.

    Parameters
    ----------
    table : astropy.table.Table
    path : path-like
        The ending, one of `FORMATS`, gives the format. Parquet needs pyarrow.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the ending is unknown, the file exists, it cannot be written, or the format cannot hold
        what is in the table.
    """
    form = catalogue_format(path)
    write = _WRITERS[form]
    if form != "Parquet":  # which may be written part by part
        table = table.copy(copy_data=False)
        table.meta[KEY] = Checksums([table]).text()
    with atomic_output(path, overwrite=overwrite) as part:
        try:
            write(table, part)
        except (TypeError, ValueError) as error:  # of units, texts and numbers that are foreign
            raise OutputError(
                f"{path}: {form} cannot hold this catalogue ({error}); choose another format"
            ) from error


def read_catalogue(path: str | os.PathLike) -> Table:
    """Read a catalogue.

    Parameters
    ----------
    path : path-like
        A file in one of `FORMATS`, any other table that `xpfit.read.read_table` can read, the
        directory of a run (`xpfit run`), all of whose rows are read, or a published catalogue (see
        `xpfit.catalogue.published`), which gets the columns of xpfit's.

    Returns
    -------
    astropy.table.Table
        Unknown floating-point numbers are NaN.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file cannot be read as a table.
    """
    path = Path(path)
    if path.is_dir():
        return parquet.read_directory(path)
    form, _ = recognise(path)
    if form.title == "HDF5" and published_hdf5(path):
        return vstack(list(iterate_published(path)))
    reader = _READERS.get(form.title)
    table = reader(path) if reader else _without_masks(read_table(path))
    if form.title != "Parquet":
        Checksums([table]).verify(table.meta.pop(KEY, None), path)
    return as_catalogue(table, str(path)) if is_published(table.colnames) else table


def _write_fits(table: Table, path: Path) -> None:
    """FITS as astropy writes it, with UCDs and descriptions under the keywords of TOPCAT."""
    table.write(path, format="fits")
    with fits.open(path, mode="update") as hdus:
        header = hdus[1].header
        for i, column in enumerate(table.columns.values(), start=1):
            if column.description:
                header[f"TCOMM{i}"] = column.description
            if column.meta.get("ucd"):
                header[f"TUCD{i}"] = column.meta["ucd"]


def _read_fits(path: Path) -> Table:
    """FITS, written by xpfit or not."""
    table = _without_masks(read_table(path))
    for i, name in enumerate(table.colnames, start=1):
        table.meta.pop(f"TCOMM{i}", None)  # which astropy has put into the column as well
        ucd = table.meta.pop(f"TUCD{i}", None)
        if ucd:
            table[name].meta["ucd"] = ucd
    return table


def _write_votable(table: Table, path: Path) -> None:
    """VOTable with binary2 data, COOSYS of the positions; metadata as INFO elements."""
    file = votable.from_table(table)
    whole = file.get_first_table()
    ids = id_column_of(table.colnames)
    epoch = next(release.epoch for release in RELEASES.values() if release.id_column == ids)
    system = CooSys(ID=COOSYS_ID, system="ICRS", epoch=f"J{epoch:.1f}")
    file.resources[0].coordinate_systems.append(system)
    for name in ("ra", "dec"):
        if name in table.colnames:
            whole.get_field_by_id_or_name(name).ref = COOSYS_ID
    infos = whole.infos
    for name, value in table.meta.items():
        infos.append(Info(name=f"{META_PREFIX}{name}", value=json.dumps(value)))
    file.to_xml(str(path), tabledata_format="binary2")


def _read_votable(path: Path) -> Table:
    """VOTable, written by xpfit or not."""
    try:
        whole = first_votable(path)
        table = _without_masks(whole.to_table(use_names_over_ids=True))
        for column in table.columns.values():
            if column.description:  # which XML has broken into lines
                whole_words = re.sub(r"(?<=\w-)\n\s*(?=\w)", "", column.description)
                column.description = " ".join(whole_words.split())
        for info in whole.infos:
            if info.name.startswith(META_PREFIX):
                table.meta[info.name.removeprefix(META_PREFIX)] = json.loads(info.value)
    except InputError:
        raise
    except Exception as error:  # as for `read_table`: parsers have no common base of errors
        raise InputError(f"{path}: not a readable VOTable ({error})") from error
    return table


def _write_hdf5(table: Table, path: Path) -> None:
    """HDF5 with one dataset per column, as the published catalogue of ZGR23 has."""
    with new_hdf5(path) as file:
        file.attrs.update(HDF5_FORMAT.header)
        file.attrs["columns"] = table.colnames
        file.attrs["meta"] = json.dumps(dict(table.meta))
        for name, column in table.columns.items():
            data = file.create_dataset(name, data=_without_texts(column), compression="gzip")
            data.attrs.update(attributes(column))


def _read_hdf5(path: Path) -> Table:
    """HDF5 of this layout."""
    with HDF5_FORMAT.reading(path) as file:
        table = Table(meta=json.loads(file.attrs["meta"]))
        for name in file.attrs["columns"]:
            values = file[name][()]
            if values.dtype.kind not in "biufS" or not values.ndim:
                raise TypeError(f"column {name} has type {values.dtype}, shape {values.shape}")
            values = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
            table[name] = described_column(values, file[name].attrs)
    return table


def _without_texts(column: Column) -> np.ndarray:
    """Values as HDF5 keeps them: texts as bytes."""
    values = np.ma.filled(column, "") if column.dtype.kind in "UO" else np.asarray(column)
    return np.char.encode(values.astype(str), "utf-8") if values.dtype.kind in "UO" else values


def _without_masks(table: Table) -> Table:
    """NaN in place of masked floating-point numbers, and native byte order."""
    table.meta.pop("path", None)
    for name in table.colnames:
        column = table[name]
        mask = np.ma.getmaskarray(column)
        if column.dtype.kind == "f" or not mask.any():
            values = np.asarray(np.ma.filled(column, np.nan) if mask.any() else column)
            values = values.astype(values.dtype.newbyteorder("="))
            about = {"unit": column.unit, "description": column.description, "meta": column.meta}
            table[name] = Column(values, **about)
    return table


_WRITERS = {
    "FITS": _write_fits,
    "VOTable": _write_votable,
    "ECSV": lambda table, path: table.write(path, format="ascii.ecsv"),
    "Parquet": parquet.write,
    "HDF5": _write_hdf5,
}

_READERS = {
    "FITS": _read_fits,
    "VOTable": _read_votable,
    "Parquet": parquet.read,
    "HDF5": _read_hdf5,
}
"""For formats of which `read_table` does not read everything."""
