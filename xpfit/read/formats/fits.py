"""FITS tables, packed or not; whatever is wrong with a file becomes one clear error."""

from __future__ import annotations

import lzma
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from ...errors import InputError
from ...files import existing_file, file_of
from .base import (
    BLOCK_ROWS,
    Format,
    RowType,
    TableFacts,
    chosen,
    common_facts,
    of_kind,
    require_integers,
    unpacked,
    warn_of_unused,
)
from .compressed import is_zipped, open_binary

_TTYPE = re.compile(rb"TTYPE\d+ *= '([^']*)'")


class FITS(Format):
    """Tables with fixed or variable lengths of arrays; rows may be stored by column (TOPCAT)."""

    name, title = "fits", "FITS"

    def matches(self, head: bytes) -> bool:
        """Every FITS file begins so."""
        return head.startswith(b"SIMPLE  =")

    def names_in_head(self, head: bytes) -> list[str]:
        """Values of TTYPE, in cards of 80 bytes."""
        return [name.decode("ascii", errors="replace").strip() for name in _TTYPE.findall(head)]

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """As the headers have them."""
        with broken_fits_explained(path), open_tables(path) as hdus:
            return [str(n) for hdu in hdus.values() for n in hdu.header["TTYPE*"].values()]

    def tables(self, path: Path) -> dict[str, list[str]]:
        """By number and name of the HDU."""
        with broken_fits_explained(path), open_tables(path) as hdus:
            return {_label(n, hdu): list(hdu.columns.names) for n, hdu in hdus.items()}

    def table(self, path: Path, name: str) -> Table:
        """As astropy reads it."""
        with broken_fits_explained(path), open_tables(path) as hdus:
            hdu = next(hdu for n, hdu in hdus.items() if _label(n, hdu) == name)
            return Table.read(hdu, format="fits")

    def columns_of(self, path: Path, name: str, columns: Container[str]) -> Table:
        """Without reading the others."""
        with broken_fits_explained(path), open_tables(path) as hdus:
            hdu = next(hdu for n, hdu in hdus.items() if _label(n, hdu) == name)
            return _columns(hdu, slice(None), columns)

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Units are TUNIT; GaiaXPy writes wavelengths into the header as SAMPLING."""
        with broken_fits_explained(path), open_tables(path) as hdus:
            return common_facts(path, [_facts(hdu) for hdu in _of_kind(hdus, kind)])

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of all tables that have the columns, unpacked in blocks."""
        with ExitStack() as stack:
            with broken_fits_explained(path):
                hdus = stack.enter_context(open_tables(path))
                used = _of_kind(hdus, kind)
            warn_of_unused(path, [_label(n, h) for n, h in hdus.items() if h not in used], kind)
            for hdu in used:
                yield from self._rows(hdu, path, kind)

    def _rows(self, hdu: fits.BinTableHDU, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of one table."""
        with broken_fits_explained(path):
            columns = kind.columns(hdu.columns.names, path)
            require_integers(hdu.data.dtype[columns["source_id"]], path)
            n_rows = len(hdu.data)
        for start in range(0, n_rows, BLOCK_ROWS):
            with broken_fits_explained(path):
                part = hdu.data[start : start + BLOCK_ROWS]
                data = {name: part.field(column) for name, column in columns.items()}
                rows = list(unpacked(data))
            yield from rows


def _label(n: int, hdu: fits.BinTableHDU) -> str:
    """Number and name of an HDU."""
    return f"HDU {n} {hdu.name}".strip()


def _of_kind(hdus: dict[int, fits.BinTableHDU], kind: RowType) -> list[fits.BinTableHDU]:
    """As `of_kind`."""
    return [hdus[n] for n in of_kind({n: h.columns.names for n, h in hdus.items()}, kind)]


def _facts(hdu: fits.BinTableHDU) -> TableFacts:
    """What the header of a table states."""
    units = {c.name.lower(): str(c.unit) for c in hdu.columns if c.unit}
    text = hdu.header.get("SAMPLING")
    sampling = None if text is None else np.array(text.strip("()[] ").split(","), float)
    return TableFacts({name.lower() for name in hdu.columns.names}, units, sampling)


def read_fits_table(path: str | os.PathLike, rows=None, columns=None) -> Table:
    """Read the first table of a FITS file, gzipped or not.

    Parameters
    ----------
    path : path-like
    rows : slice, array_like of int or of bool, optional
        Which rows to read; all by default.
    columns : collection of str, optional
        Which columns to read, if they exist; all by default.

    Returns
    -------
    astropy.table.Table
        Native byte order; integers equal to TNULL are masked.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, not FITS, or has no table, or `rows` are out of range.
    """
    path = existing_file(path, empty=False)
    with broken_fits_explained(path), open_table(path) as hdu:
        index = _row_index(rows, hdu.header["NAXIS2"], path)
        return _columns(hdu, index, columns)


def _columns(hdu: fits.BinTableHDU, rows, columns: Container[str] | None) -> Table:
    """Columns of a table, in native byte order; integers equal to TNULL are masked."""
    table = Table()
    for column in hdu.columns:
        if columns is not None and column.name not in columns:
            continue
        values = np.asarray(hdu.data.field(column.name)[rows])
        if values.dtype.kind in "iuf":
            values = values.astype(values.dtype.newbyteorder("="))
        if column.null is not None:
            values = np.ma.masked_equal(values, column.null)
        table[column.name] = values
        if column.unit:
            table[column.name].unit = column.unit
    return table


_BROKEN = (
    EOFError, LookupError, TypeError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
    AstropyUserWarning, fits.VerifyError,
)  # fmt: skip
"""Errors that astropy raises at broken files."""


@contextmanager
def open_table(path: str | os.PathLike) -> Iterator[fits.BinTableHDU]:
    """Open the first table of a FITS file.

    Raises
    ------
    InputError
        If the file has no table.
    """
    with open_tables(path) as hdus:
        yield next(iter(hdus.values()))


@contextmanager
def open_tables(path: str | os.PathLike) -> Iterator[dict[int, fits.BinTableHDU]]:
    """Open the tables of a FITS file, by their numbers; the one that the path names, if it does.

    Raises
    ------
    InputError
        If the file has none, or not that one.
    """
    path = Path(path)
    with fits.open(_unzipped(path)) as hdus:
        tables = {
            n: h for n, h in enumerate(hdus) if isinstance(h, fits.BinTableHDU | fits.TableHDU)
        }
        numbers = chosen(path, {n: hdu.name for n, hdu in tables.items()})
        yield {n: _by_rows(tables[n]) for n in numbers}


def _by_rows(hdu: fits.BinTableHDU) -> fits.BinTableHDU:
    """A table of one row whose cells are whole columns (TOPCAT's colfits), row by row."""
    if hdu.header["NAXIS2"] != 1 or not isinstance(hdu, fits.BinTableHDU):
        return hdu
    table = Table.read(hdu, format="fits")
    lengths = {column.shape[1] if column.ndim > 1 else 1 for column in table.columns.values()}
    if len(lengths) != 1 or lengths == {1}:
        return hdu
    cells = {name: table[name][0] for name in table.colnames}
    for name, values in cells.items():
        if values.ndim == 2 and values.shape[1] == 1:
            cells[name] = values[:, 0]
    rows = fits.table_to_hdu(Table(cells))
    for i, column in enumerate(table.columns.values(), start=1):
        if column.unit:
            rows.columns[i - 1].unit = column.unit.to_string("fits")
    rows.name = hdu.name
    return rows


def _unzipped(path: str | os.PathLike):
    """The path, or for a gzipped file its whole content, whose checksum is then verified.

    Astropy itself may search a damaged gzip file for the end of a header forever.
    """
    if not is_zipped(Path(path)):
        return file_of(path)
    with open_binary(Path(path)) as file:
        return BytesIO(file.read())


@contextmanager
def broken_fits_explained(path: str | os.PathLike) -> Iterator[None]:
    """Turn all errors of astropy at broken FITS files into a clear `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            warnings.filterwarnings("ignore", category=fits.verify.VerifyWarning)
            yield
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{path}: the file is truncated or damaged ({error}); fetch or write it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: not a readable FITS file ({error})") from error


def _row_index(rows, n_rows: int, path: Path):
    """Check a row selection against the number of rows in the file."""
    if rows is None or isinstance(rows, slice):
        return rows or slice(None)
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape != (n_rows,):
        raise InputError(f"{path}: a mask of shape {rows.shape} for {n_rows} rows")
    if rows.size and rows.dtype != bool and (rows.max() >= n_rows or rows.min() < -n_rows):
        raise InputError(f"{path}: rows up to {rows.max()} were asked for; the file has {n_rows}")
    return rows if rows.size else np.empty(0, dtype=int)
