"""What a format of tables is: how to recognise it, name its columns and read its rows."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.table import MaskedColumn, Table

from ...errors import InputError
from ...files import file_of
from ..cells import NULLS
from .compressed import table_in

Name = TypeVar("Name")

BLOCK_ROWS = 500
"""Rows of FITS and HDF5 tables that are unpacked together."""


@dataclass(frozen=True)
class RowType:
    """Which columns make up a row.

    Parameters
    ----------
    name : str
        What the table is, for messages.
    required, optional : tuple of str
        Columns in the archive's spelling; files may spell them in other cases.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a table of these columns is one of the kind."""
        lower = {name.lower() for name in names if name}
        return lower.issuperset(self.required)

    def columns(self, names: Sequence[str], path: Path) -> dict[str, str]:
        """Map the columns to their names in a file.

        Raises
        ------
        InputError
            If a required one is missing.
        """
        lower = {name.lower(): name for name in names if name}
        require_columns(self.required, lower, path, f"this is not a table of {self.name}")
        return {n: lower[n] for n in (*self.required, *self.optional) if n in lower}


@dataclass
class TableFacts:
    """What a file states of its tables of one kind.

    Attributes
    ----------
    names : set of str
        Of its columns, in lower case.
    units : dict of str to str
        By column, in lower case, of those that have one.
    sampling : ndarray, optional
        Wavelengths of sampled spectra, in nm.
    """

    names: set[str] = field(default_factory=set)
    units: dict[str, str] = field(default_factory=dict)
    sampling: np.ndarray | None = None


def common_facts(path: Path, tables: Sequence[TableFacts]) -> TableFacts:
    """What several tables of a file state, which must be the same.

    Raises
    ------
    InputError
        If they state different units or wavelengths.
    """
    first = tables[0]
    for other in tables[1:]:
        same_grid = (first.sampling is None) == (other.sampling is None) and (
            first.sampling is None or np.array_equal(first.sampling, other.sampling)
        )
        if first.units != other.units or not same_grid:
            raise InputError(
                f"{path}: its tables state different units or wavelengths; give them as files of "
                "their own"
            )
    return first


def warn_of_unused(path: Path, unused: Sequence[str], kind: RowType) -> None:
    """Name the tables of a file that are not read."""
    if unused:
        warnings.warn(
            f"{path}: not used, since they are no tables of {kind.name}: {', '.join(unused)}",
            stacklevel=3,
        )


class Format(ABC):
    """A format of tables, whose cells may hold arrays.

    Attributes
    ----------
    name, title : str
        For programs and for people.

    Notes
    -----
    Paths may name one of the tables of a file (`xpfit.files.split_choice`).
    """

    name: str
    title: str

    @abstractmethod
    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (unzipped) is of this format."""

    @abstractmethod
    def tables(self, path: Path) -> dict[str, list[str]]:
        """Names of the columns of each table, by the name of the table, without reading it.

        Raises
        ------
        InputError
            If the file is damaged, has no table, or not the one that the path names.
        """

    @abstractmethod
    def table(self, path: Path, name: str) -> Table:
        """One of the `tables`, masked where values are missing, with what is stated of it.

        Raises
        ------
        InputError
            If the file is damaged.
        """

    def columns_of(self, path: Path, name: str, columns: Container[str]) -> Table:
        """Some columns of one of the tables, where the format can read these alone."""
        return self.table(path, name)

    def names_in_head(self, head: bytes) -> list[str]:
        """Names of columns in the first bytes of a file; perhaps not of all, perhaps none."""
        return []

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the columns of all tables; `head` as for `matches`."""
        return [name for names in self.tables(path).values() for name in names]

    def release(self, path: Path) -> str:
        """Data release that a file states for all that is in it; empty if it states none."""
        return ""

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """What a file states of its tables of a kind; as far as the format can state anything.

        Raises
        ------
        InputError
            If the tables state different units or wavelengths.
        """
        return TableFacts({name.lower() for name in self.column_names(path, b"")})

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Read all tables of a kind row by row (see `xpfit.read.rows.iterate_rows`)."""
        tables = self.tables(path)
        used = of_kind(tables, kind)
        warn_of_unused(path, [name for name in tables if name not in used], kind)
        for name in used:
            table = self.table(path, name)
            columns = kind.columns(table.colnames, path)
            require_integers(table[columns["source_id"]].dtype, path)
            yield from unpacked({n: np.ma.asarray(table[c]) for n, c in columns.items()})


def of_kind(tables: Mapping[Name, Sequence[str]], kind: RowType) -> list[Name]:
    """Tables that have the columns of a kind; the first, for its errors, if there is none."""
    return [name for name, names in tables.items() if kind.fits(names)] or [next(iter(tables))]


def chosen(path: Path, names: Mapping[int, str]) -> list[int]:
    """Numbers of the tables that are meant by a path.

    Parameters
    ----------
    path : Path
        ``FILE``, or ``FILE[TABLE]``.
    names : mapping of int to str
        Of all tables in the file, by number; may be empty.

    Returns
    -------
    list of int
        All, unless one is chosen.

    Raises
    ------
    InputError
        If there is no table, or not the one that is chosen.
    """
    file, choice = file_of(path), table_in(path)
    if not names:
        raise InputError(f"{file}: no table in this file; give a file of spectra, or a table")
    if not choice:
        return list(names)
    found = [n for n, name in names.items() if choice in (str(n), name)]
    found = found or [n for n, name in names.items() if choice.lower() == name.lower()]
    if not found:
        known = ", ".join(f"{n} {name}".strip() for n, name in names.items())
        raise InputError(f"{file}: no table {choice} in this file; it has {known}")
    return found


def without_masks(names: Sequence[str]) -> list[str]:
    """Names of columns but those in which astropy keeps the masks of others (``NAME.mask``)."""
    known = set(names)
    return [n for n in names if not (n.endswith(".mask") and n.removesuffix(".mask") in known)]


def masked_column(cells: Sequence) -> MaskedColumn:
    """A column of Python objects: numbers, texts or arrays; None where there is none."""
    missing = np.array([cell is None for cell in cells], dtype=bool)
    known = [cell for cell in cells if cell is not None]
    if any(isinstance(cell, list | dict | np.ndarray) for cell in known):
        column = np.ma.empty(len(cells), dtype=object)
        for i, cell in enumerate(cells):
            column[i] = np.ma.masked if cell is None else np.asarray(cell)
        return MaskedColumn(column)
    values = np.array(known) if known else np.zeros(0)
    if values.dtype == object or (values.dtype.kind in "US" and not isinstance(known[0], str)):
        values = np.array([str(cell) for cell in known])
    full = np.zeros(len(cells), dtype=values.dtype)
    full[~missing] = values
    return MaskedColumn(full, mask=missing)


def unpacked(block: Mapping[str, Sequence]) -> Iterator[dict]:
    """Rows of a block of columns; ids as int, zero where masked."""
    for i, cell in enumerate(block["source_id"]):
        row = {name: values[i] for name, values in block.items()}
        yield {**row, "source_id": 0 if np.ma.is_masked(cell) else int(cell)}


def require_columns(
    names: Iterable[str], present: Container[str], path: str | os.PathLike, remedy: str
) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    InputError
        If one is not among those present; the message ends with the remedy.
    """
    missing = [name for name in names if name not in present]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise InputError(f"{path}: missing column{plural} {', '.join(missing)}; {remedy}")


def require_integers(dtype: np.dtype, path: Path, name: str = "source_id") -> None:
    """Refuse ids of another type than 64-bit integers.

    Raises
    ------
    InputError
        If they are of another type.
    """
    if dtype.kind not in "iu" or dtype.itemsize != 8:
        raise InputError(
            f"{path}: {name} has type {dtype}; Gaia ids need 64-bit integers (other types lose "
            "digits): fetch or write the table again"
        )


FLOAT_ID = (
    "source_id {!r:.30} is not an integer; ids that went through floats have lost digits: fetch "
    "the table again"
)
"""What is wrong with an id of another type."""


def id_of_cell(text: str) -> tuple[int, str]:
    """A source id in a cell, and what is wrong with it; zero where missing or wrong."""
    if text in NULLS:
        return 0, ""
    try:
        value = int(text)
    except ValueError:
        return 0, FLOAT_ID.format(text)
    if not 0 <= value < 2**63:
        return 0, f"source_id {text[:30]} does not fit 64 bits"
    return value, ""
