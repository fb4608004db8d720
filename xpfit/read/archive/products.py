"""Epoch spectra as the archive sends them, tables or ZIP archives of CSV files, kept whole."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Column, Table, vstack

from ...data.hdf5 import new_hdf5, open_hdf5
from ...errors import InputError
from ...files import atomic_output
from .names import NotUnderstoodError

ID = "source_id"

_ID_IN_NAME = re.compile(r"(?<!\d)(\d{6,19})(?!\d)")

_LONGEST_CELL = 2**24
"""Characters of a cell of a CSV file, at most."""


@dataclass(frozen=True)
class Packed:
    """A ZIP archive of CSV files, and the sources in it, int64."""

    content: bytes
    source_id: np.ndarray


@dataclass
class Products:
    """What the archive sent for a list of sources.

    Attributes
    ----------
    tables : list of astropy.table.Table
        Names of columns in lower case, `source_id` among them; one row per epoch or per source.
    packed : list of Packed
    """

    tables: list[Table] = field(default_factory=list)
    packed: list[Packed] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is data of some source."""
        return bool(len(self.source_id))

    def __add__(self, other: Products) -> Products:
        """Data of both."""
        return Products(self.tables + other.tables, self.packed + other.packed)

    @property
    def source_id(self) -> np.ndarray:
        """Sources with data, int64, sorted."""
        ids = [np.asarray(table[ID], dtype=np.int64) for table in self.tables]
        ids += [archive.source_id for archive in self.packed]
        return np.unique(np.concatenate([np.empty(0, np.int64), *ids]))

    def write(self, directory: Path, number: int, release: str) -> None:
        """Write the data of a batch: tables as one HDF5 file, ZIP archives as they are.

        Parameters
        ----------
        directory : Path
            Files of the same batch in it are replaced.
        number : int
            Of the batch.
        release : str
            Data release, recorded as an attribute of the HDF5 file.
        """
        stem = f"batch_{number:04d}"
        for old in directory.glob(f"{stem}*.*"):
            old.unlink()
        if self.tables:
            with atomic_output(directory / f"{stem}.h5") as part, new_hdf5(part) as file:
                file.attrs["release"] = release
                _write_tables(file, self.tables)
        for i, archive in enumerate(self.packed):
            with atomic_output(directory / f"{stem}{f'_{i}' if i else ''}.zip") as part:
                part.write_bytes(archive.content)


def epoch_products(answer: dict) -> Products:
    """Sort what astroquery returns for a request of epoch spectra.

    Parameters
    ----------
    answer : dict of str to list, bytes or path-like
        By name of the file: tables (of astropy, VOTables or not), or a ZIP archive, as bytes or as
        the path of a file.

    Returns
    -------
    Products

    Raises
    ------
    NotUnderstoodError
        If a table has no source ids, neither as a column nor in the name of its file, or a file in
        a ZIP archive is no CSV.
    OSError, zipfile.BadZipFile
        If a file is incomplete or does not exist.
    """
    products = Products()
    for name, content in answer.items():
        parts = content if isinstance(content, list | tuple) else [content]
        for part in parts:
            if isinstance(part, bytes):
                products.packed.append(_whole(part))
            elif isinstance(part, str | os.PathLike):
                products.packed.append(_whole(Path(part).read_bytes()))
            else:
                products.tables.append(_named(part, name))
    products.tables = [table for table in products.tables if len(table)]
    return products


def ids_in_file(path: Path) -> np.ndarray:
    """Sources in a file that `Products.write` wrote, int64.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        if path.suffix == ".zip":
            return _ids_in_zip(path)
        with open_hdf5(path) as file:
            groups = [file] if ID in file else list(file.values())
            return np.unique(np.concatenate([group[ID][()] for group in groups])).astype(np.int64)
    except (zipfile.BadZipFile, NotUnderstoodError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def _named(table, file_name: str) -> Table:
    """A table with names in lower case and source ids, taken from the file's name if need be."""
    table = table.to_table(use_names_over_ids=True) if hasattr(table, "to_table") else table.copy()
    table.rename_columns(table.colnames, [name.lower() for name in table.colnames])
    if ID not in table.colnames:
        table.add_column(np.full(len(table), _id_in(file_name), dtype=np.int64), 0, ID)
    return table


def _id_in(file_name: str) -> int:
    """The source id in the name of a file."""
    found = _ID_IN_NAME.findall(os.path.basename(file_name))
    if not found:
        raise NotUnderstoodError(f"{file_name}: no column {ID}, and no id in the name of the file")
    return int(found[-1])


def _whole(content: bytes) -> Packed:
    """A ZIP archive, after a check of its sums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is damaged")
    return Packed(content, _ids_in_zip(io.BytesIO(content)))


def _ids_in_zip(file: Path | io.BytesIO) -> np.ndarray:
    """Sources with rows in a ZIP archive of CSV files."""
    ids: set[int] = set()
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.lower().endswith(".csv"):
                with archive.open(name) as member:
                    text = io.TextIOWrapper(member, "utf-8-sig", "replace", newline="")
                    ids.update(_ids_in_csv(text, name))
    return np.array(sorted(ids), dtype=np.int64)


def _ids_in_csv(text: io.TextIOWrapper, file_name: str) -> Iterator[int]:
    """Source ids of all rows of a CSV file, with the comments of ECSV or without."""
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = csv.reader(line for line in text if not line.startswith("#"))
        header = [name.strip().lower() for name in next(rows, [])]
        at = header.index(ID) if ID in header else -1
        for row in rows:
            if row:
                yield int(row[at]) if at >= 0 else _id_in(file_name)
    except (csv.Error, LookupError, ValueError) as error:
        raise NotUnderstoodError(
            f"{file_name}: not a CSV file with source ids ({error})"
        ) from error
    finally:
        csv.field_size_limit(limit)


def _write_tables(file: h5py.File, tables: list[Table]) -> None:
    """Tables with the same columns as one; in a group for each set of columns if they differ."""
    alike: dict[tuple, list[Table]] = {}
    for table in tables:
        columns = ((name, table[name].dtype.kind, table[name].shape[1:]) for name in table.colnames)
        alike.setdefault(tuple(sorted(columns)), []).append(table)
    for number, group in enumerate(alike.values(), start=1):
        place = file if len(alike) == 1 else file.create_group(f"table_{number}")
        table = vstack(group, metadata_conflicts="silent")
        for name in table.colnames:
            _write_column(place, name, table[name])


def _write_column(place: h5py.Group, name: str, column: Column) -> None:
    """A column with its unit and description; with a mask if NaN cannot say what is missing."""
    values = np.ma.asarray(column)
    if values.dtype.kind == "O":
        values = _padded([np.ma.asarray("" if cell is None else cell) for cell in column])
    if values.dtype.kind == "U":
        values = np.ma.masked_array(np.char.encode(values.data, "utf-8"), values.mask)
    if values.dtype.kind == "f":
        values = np.ma.asarray(np.ma.filled(values, np.nan))
    data = np.ma.filled(values, np.zeros((), values.dtype)[()])
    dataset = place.create_dataset(name, data=data, compression="gzip")
    for key in ("unit", "description"):
        if value := getattr(column, key, None):
            dataset.attrs[key] = str(value)
    if np.ma.is_masked(values):
        mask = np.ma.getmaskarray(values)
        place.create_dataset(f"{name}_mask", data=mask, compression="gzip")


def _padded(cells: list[np.ma.MaskedArray]) -> np.ma.MaskedArray:
    """Lists of different lengths, or texts, as one array that is masked behind their ends."""
    present = [cell for cell in cells if cell.size and cell is not np.ma.masked]
    if not present or any(cell.dtype.kind not in "iubf" for cell in present):
        texts = ["" if c is np.ma.masked else _text(c) for c in cells]
        return np.ma.masked_array(np.array(texts), [c is np.ma.masked for c in cells])
    kind = np.result_type(*(cell.dtype for cell in present))
    shape = (len(cells), max(cell.size for cell in present))
    padded = np.ma.masked_all(shape, dtype=kind)
    for row, cell in zip(padded, cells, strict=True):
        if cell is not np.ma.masked:
            row[: cell.size] = cell.ravel()
    return padded


def _text(cell: np.ma.MaskedArray) -> str:
    """A text, or a list of texts as JSON."""
    value = cell.tolist()
    return json.dumps(value, default=_plain) if isinstance(value, list) else _plain(value)


def _plain(value) -> str:
    """Bytes, or anything else, as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
