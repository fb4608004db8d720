"""Tables of sources (catalogues, photometry, labels): FITS, ECSV, CSV or VOTable."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..files import existing_file
from .cells import NULLS
from .columns import count_known
from .formats.compressed import bounded_lines, is_zipped, open_binary
from .formats.fits import broken_fits_explained, open_tables
from .formats.votable import parse_votable

TABLE_FORMATS = {
    ".fits": "fits", ".fit": "fits", ".ecsv": "ascii.ecsv", ".csv": "ascii.csv",
    ".vot": "votable", ".xml": "votable",
}  # fmt: skip
"""Endings of table files (before ``.gz``) and astropy's names of their formats."""


def read_table(path: str | os.PathLike, wanted: Collection[str] = ()) -> Table:
    """Read a table in the format of its ending.

    Parameters
    ----------
    path : path-like
        FITS, ECSV, CSV or VOTable, gzipped or not.
    wanted : collection of str
        Of several tables in a file, the one is read that has the most of these columns (names in
        `xpfit.read.columns.MEANINGS`); the first if there are none.

    Returns
    -------
    astropy.table.Table
        Masked where values are missing; ``meta["path"]`` is the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the ending is unknown or the file is not a readable table.

    Warns
    -----
    UserWarning
        If the file has several tables, with the names of those that are left out.
    """
    path = existing_file(path)
    suffix = _suffix(path)
    if suffix not in TABLE_FORMATS:
        raise InputError(
            f"{path}: unknown ending {suffix!r}; use one of {', '.join(TABLE_FORMATS)}"
        )
    try:
        form, options = TABLE_FORMATS[suffix], _options(path, suffix)
        source = _source(path, form)
        if form in _TABLES:
            options |= _choice(_TABLES[form](path, source), wanted, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(source, format=form, **options)
        table.meta["path"] = str(path)
        return table
    except InputError:
        raise
    except Exception as error:  # astropy's readers and their parsers have no common base of errors
        raise InputError(f"{path}: not a readable {suffix[1:].upper()} table ({error})") from error


def _fits_tables(path: Path, source) -> dict[int, tuple[str, list[str]]]:
    """Names and columns of the tables of a FITS file, by number of the HDU."""
    with broken_fits_explained(path), open_tables(path) as hdus:
        return {i: (hdu.name or f"HDU {i}", list(hdu.columns.names)) for i, hdu in hdus.items()}


def _votable_tables(path: Path, source) -> dict[int, tuple[str, list[str]]]:
    """Names and columns of the tables of a VOTable, by number."""
    tables = list(source.iter_tables())
    return {
        i: (table.name or table.ID or f"TABLE {i + 1}", [field.name for field in table.fields])
        for i, table in enumerate(tables)
    }


_TABLES = {"fits": _fits_tables, "votable": _votable_tables}


def _choice(tables: dict[int, tuple[str, list[str]]], wanted: Collection[str], path: Path) -> dict:
    """Option of astropy's readers for the table with the most wanted columns."""
    if len(tables) < 2:
        return {}
    best = max(tables, key=lambda i: count_known(tables[i][1], wanted))
    others = ", ".join(tables[i][0] for i in tables if i != best)
    warnings.warn(
        f"{path}: of {len(tables)} tables {tables[best][0]} is used; left out: {others}",
        stacklevel=4,
    )
    return {"hdu" if TABLE_FORMATS[_suffix(path)] == "fits" else "table_id": best}


def is_table(path: str | os.PathLike) -> bool:
    """Whether a file has an ending that `read_table` can read."""
    return _suffix(Path(path)) in TABLE_FORMATS


def _suffix(path: Path) -> str:
    """Ending in lower case, before ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _source(path: Path, form: str):
    """What astropy reads: what is zipped is unpacked before, in bounded memory."""
    if form == "votable":
        return parse_votable(path)
    zipped = is_zipped(path)
    with open_binary(path) as file:
        if form == "fits":
            return BytesIO(file.read()) if zipped else path
        lines = [line if zipped else b"" for line in bounded_lines(file, path)]
    return b"".join(lines).decode("utf-8") + "\n" if zipped else path


def _options(path: Path, suffix: str) -> dict:
    """Options of astropy's reader, for how surveys and the archive write texts.

    All spellings of missing values are masked. The archive's bulk files begin with comments; the
    CSV files of some surveys are separated by bars.
    """
    missing = {"fill_values": [(text, "0") for text in NULLS]}
    if suffix == ".ecsv":
        return missing
    if suffix != ".csv":
        return {}
    with open_binary(path) as file:
        lines = (line for line in bounded_lines(file, path) if not line.startswith(b"#"))
        header = next(lines, b"")
    bars = b"|" in header and b"," not in header
    options = {**missing, "comment": "#", "encoding": "utf-8-sig"}
    return options | ({"delimiter": "|"} if bars else {})


def float_column(column) -> np.ndarray:
    """Values of a table's column as float64, NaN where masked.

    Parameters
    ----------
    column : astropy.table.Column or array_like

    Returns
    -------
    ndarray

    Warns
    -----
    UserWarning
        If it is a column of texts, of which some are no numbers: they count as missing.
    """
    values = np.ma.asarray(getattr(column, "value", column))  # without units
    if values.dtype.kind in "USO":
        return parsed_column(column, float, np.nan, "numbers")
    return np.asarray(np.ma.filled(values.astype(float), np.nan))


def parsed_column(column, kind: Callable, unknown: float, what: str) -> np.ndarray:
    """Values of a column of texts.

    Parameters
    ----------
    column : astropy.table.Column or array_like
    kind : callable
        Text -> value; raises ValueError or OverflowError if it is none.
    unknown : float
        Where there is none.
    what : str
        What the values are, for messages.

    Returns
    -------
    ndarray

    Warns
    -----
    UserWarning
        If some texts are no values: they count as missing.
    """
    cells = np.ma.asarray(column)
    values, bad = np.full(cells.shape, unknown, dtype=type(unknown)), []
    for place in np.ndindex(cells.shape):
        cell = cells[place]
        if np.ma.is_masked(cell):
            continue
        text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
        if text.strip() not in NULLS:
            try:
                values[place] = kind(text)
            except InputError:
                raise
            except (ValueError, OverflowError):
                bad.append(text[:30])
    if bad:
        warnings.warn(
            f"column {getattr(column, 'name', '')}: {len(bad)} of {values.size} cells are no "
            f"{what}, such as {bad[0]!r}; they count as missing",
            stacklevel=3,
        )
    return values


def matched_values(column, rows: np.ndarray, matched: np.ndarray, unknown: float = np.nan):
    """Values of stars from a column of another table (see `match_ids`), where they have a row."""
    values = np.full(len(rows), unknown)
    values[matched] = float_column(column)[rows[matched]]
    return values


class Lookup:
    """Values, sorted once, in which others are looked up.

    Parameters
    ----------
    values : ndarray, shape (n_value,)

    Attributes
    ----------
    n_unique, n_repeated : int
        Different values, and further ones that are equal to one of them.
    """

    def __init__(self, values: np.ndarray):
        self._unique, self._first = np.unique(values, return_index=True)
        self.n_unique = len(self._unique)
        self.n_repeated = len(values) - self.n_unique

    def find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index of the first value equal to each wanted, and whether there is one.

        Parameters
        ----------
        wanted : ndarray, shape (n_wanted,)

        Returns
        -------
        index : ndarray of int, shape (n_wanted,)
        exists : ndarray of bool, shape (n_wanted,)
        """
        if not self.n_unique:
            return np.zeros(len(wanted), dtype=int), np.zeros(len(wanted), dtype=bool)
        place = np.clip(np.searchsorted(self._unique, wanted), 0, self.n_unique - 1)
        return self._first[place], self._unique[place] == wanted
