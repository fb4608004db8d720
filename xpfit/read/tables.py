"""Tables of sources (catalogues, photometry, labels), in every format."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from ..errors import InputError
from ..files import existing_file
from .cells import NULLS
from .columns import count_known
from .formats import Format, recognise


def read_table(path: str | os.PathLike, wanted: Collection[str] = ()) -> Table:
    """Read a table; its content decides on the format, not its name.

    Parameters
    ----------
    path : path-like
        FITS, VOTable, CSV, ECSV and other texts, HDF5, Parquet, Feather, JSON lines or Avro; packed
        with gzip, bzip2, xz or zip, or not. ``FILE[TABLE]`` is one of the tables in a file, by its
        number (of the HDU, in FITS) or name.
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
        If the file is not a readable table, or has not the table that is named.

    Warns
    -----
    UserWarning
        If the file has several tables, with the names of those that are left out.
    """
    path = existing_file(path, empty=False)
    form, _ = recognise(path)
    with readable(path, form):
        name = _choice(form.tables(path), wanted, path)
        table = form.table(path, name)
    table.meta["path"] = str(path)
    return table


@contextmanager
def readable(path: Path, form: Format) -> Iterator[None]:
    """Name the file, and its format, in errors of reading it.

    Raises
    ------
    InputError
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            yield
    except InputError:
        raise
    except Exception as error:  # astropy's readers and their parsers have no common base of errors
        raise InputError(f"{path}: not a readable {form.title} table ({error})") from error


def _choice(tables: dict[str, list[str]], wanted: Collection[str], path: Path) -> str:
    """The table with the most wanted columns."""
    best = max(tables, key=lambda name: count_known(tables[name], wanted))
    others = ", ".join(name for name in tables if name != best)
    if others:
        warnings.warn(
            f"{path}: of {len(tables)} tables {best} is used; left out: {others} (another is "
            f"chosen as {path.name}[NUMBER] or {path.name}[NAME])",
            stacklevel=4,
        )
    return best


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
