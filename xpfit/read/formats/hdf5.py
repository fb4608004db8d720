"""HDF5: one dataset per column (mirrors of Gaia), compound datasets (astropy, h5py), pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from astropy.table import MaskedColumn, Table, meta

from ...data.hdf5 import open_hdf5
from ...errors import InputError
from ...files import file_of
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
    without_masks,
)
from .pandas_hdf5 import frame_columns, is_frame

META_SUFFIX = ".__table_column_meta__"
"""Of datasets in which astropy keeps units."""

Values = Callable[[slice], np.ndarray]
"""Cells of some rows of a column."""


@dataclass
class Stored:
    """A table in a file.

    Attributes
    ----------
    columns : dict of str to callable
        Rows, as a slice, -> cells.
    lengths : dict of str to int
    units : dict of str to str
        By the names of columns in lower case.
    """

    columns: dict[str, Values]
    lengths: dict[str, int]
    units: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of the columns, without those of masks."""
        return without_masks(list(self.columns))

    def length(self, path: Path) -> int:
        """Number of rows.

        Raises
        ------
        InputError
            If columns have different ones.
        """
        if len(set(self.lengths.values())) != 1:
            raise InputError(f"{path}: the datasets have different lengths: {self.lengths}")
        return next(iter(self.lengths.values()))

    def cells(self, name: str, rows: slice) -> np.ma.MaskedArray:
        """Cells of a column, without those that its column of masks hides."""
        mask = self.columns.get(f"{name}.mask")
        values = np.asarray(self.columns[name](rows))
        hidden = np.ma.nomask if mask is None else np.asarray(mask(rows), dtype=bool)
        return np.ma.MaskedArray(values, hidden)


class HDF5(Format):
    """Tables in one of several layouts; also the format of prepared spectra and models."""

    name, title = "hdf5", "HDF5"

    def matches(self, head: bytes) -> bool:
        """HDF5's signature."""
        return head.startswith(b"\x89HDF\r\n\x1a\n")

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the columns; none if the file is damaged or has no table."""
        try:
            return super().column_names(path, head)
        except InputError:
            return []

    def release(self, path: Path) -> str:
        """The attribute ``release``, which `xpfit download` writes."""
        with _opened_file(path) as file:
            return _text(file.attrs.get("release", ""))

    def tables(self, path: Path) -> dict[str, list[str]]:
        """By their places in the file."""
        with _opened(path) as tables:
            return {name: stored.names for name, stored in tables.items()}

    def table(self, path: Path, name: str) -> Table:
        """One of them, with the units that astropy has written."""
        with _opened(path) as tables:
            stored, table = tables[name], Table()
            rows = slice(0, stored.length(path))
            for column in stored.names:
                values = stored.cells(column, rows)
                if values.dtype.kind == "S":
                    values = np.ma.MaskedArray(np.char.decode(values.data, "utf-8"), values.mask)
                table[column] = MaskedColumn(values, unit=stored.units.get(column.lower()))
            return table

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Astropy writes units beside its tables."""
        with _opened(path) as tables:
            used = of_kind({name: stored.names for name, stored in tables.items()}, kind)
            facts = [({n.lower() for n in tables[t].names}, tables[t].units) for t in used]
        return common_facts(path, [TableFacts(names, units) for names, units in facts])

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of all tables that have the columns, read in blocks."""
        with _opened(path) as tables:
            used = of_kind({name: stored.names for name, stored in tables.items()}, kind)
            warn_of_unused(path, [name for name in tables if name not in used], kind)
            for stored in (tables[name] for name in used):
                columns = kind.columns(stored.names, path)
                lengths = {name: stored.lengths[column] for name, column in columns.items()}
                n_row = Stored({}, lengths).length(path)
                for start in range(0, n_row, BLOCK_ROWS):
                    rows = slice(start, min(start + BLOCK_ROWS, n_row))
                    part = {n: stored.cells(column, rows) for n, column in columns.items()}
                    require_integers(part["source_id"].dtype, path)
                    yield from unpacked(part)


def _of_kind(tables: dict[str, Stored], kind: RowType) -> list[str]:
    """As `of_kind`."""
    return of_kind({name: stored.names for name, stored in tables.items()}, kind)


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Stored]]:
    """Tables of a file, or the one that the path names."""
    with _opened_file(path) as file:
        own = str(file.attrs.get("format", ""))
        if own.startswith("xpfit-") and own != "xpfit-catalogue":
            raise InputError(f"{path}: this is a file of xpfit ({own[6:]}), not a table")
        tables = dict(_tables_in(file))
        numbers = chosen(path, dict(enumerate(tables, start=1)))
        yield {name: tables[name] for n, name in enumerate(tables, start=1) if n in numbers}


@contextmanager
def _opened_file(path: Path) -> Iterator[h5py.File]:
    """An open file; whatever is wrong with it is one clear error."""
    try:
        with open_hdf5(file_of(path)) as file:
            yield file
    except BlockingIOError as error:
        raise _locked(path) from error
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if "lock" in str(error):
            raise _locked(path) from error
        raise InputError(
            f"{path}: not a readable HDF5 file; truncated or damaged ({error})"
        ) from error


def _locked(path: Path) -> InputError:
    """The error for a file that another program is writing."""
    return InputError(f"{path}: another program has this file open for writing; try again later")


def _tables_in(group: h5py.Group) -> Iterator[tuple[str, Stored]]:
    """All tables in a group and the groups in it, by their places."""
    place = group.name.strip("/")
    if is_frame(group):
        columns, n_row = frame_columns(group)
        yield place or "/", Stored(columns, dict.fromkeys(columns, n_row))
        return
    sets = {name: node for name, node in group.items() if isinstance(node, h5py.Dataset)}
    for name, node in sets.items():
        if node.dtype.names and node.ndim == 1:
            yield f"{place}/{name}".strip("/"), _compound(node, sets.get(f"{name}{META_SUFFIX}"))
    plain = {
        name: node
        for name, node in sets.items()
        if node.dtype.names is None and node.ndim and not name.endswith(META_SUFFIX)
    }
    if plain:
        columns = {name: node.__getitem__ for name, node in plain.items()}
        units = {n.lower(): _text(v.attrs["unit"]) for n, v in plain.items() if "unit" in v.attrs}
        yield place or "/", Stored(columns, {n: len(v) for n, v in plain.items()}, units)
    for node in group.values():
        if isinstance(node, h5py.Group):
            yield from _tables_in(node)


def _compound(node: h5py.Dataset, about: h5py.Dataset | None) -> Stored:
    """A dataset with named fields, with what astropy says of them."""

    def cells(name: str) -> Values:
        return lambda rows: node.fields(name)[rows]

    columns = {name: cells(name) for name in node.dtype.names}
    lengths = dict.fromkeys(columns, len(node))
    return Stored(columns, lengths, _units(about[()]) if about is not None else {})


def _units(lines: np.ndarray) -> dict[str, str]:
    """Units in astropy's description of columns."""
    try:
        header = meta.get_header_from_yaml([_text(line) for line in lines]) or {}
    except (meta.YamlParseError, TypeError, ValueError):  # by another writer
        return {}
    columns = header.get("datatype", [])
    return {c["name"].lower(): str(c["unit"]) for c in columns if c.get("unit")}


def _text(value) -> str:
    """An attribute or cell as text."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
