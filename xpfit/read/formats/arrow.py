"""Parquet and Feather files, by any writer (needs pyarrow); cells may hold lists."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table, meta

from ...arrow import open_parquet, pyarrow_modules
from ...errors import InputError
from ...files import file_of
from ...integrity import require_plausible_size
from .base import (
    BLOCK_ROWS,
    Format,
    RowType,
    TableFacts,
    chosen,
    masked_column,
    require_integers,
    unpacked,
    without_masks,
)
from .compressed import is_zipped


class Arrow(Format):
    """One table of Arrow's columns."""

    def tables(self, path: Path) -> dict[str, list[str]]:
        """One, without a name."""
        chosen(path, {1: ""})
        with self._opened(path) as file:
            return {"table": without_masks(_schema(file).names)}

    def table(self, path: Path, name: str) -> Table:
        """The table, with units where pandas, astropy or xpfit have written them."""
        pa, _ = pyarrow_modules(InputError)
        with self._opened(path) as file:
            whole = pa.Table.from_batches(self._batches(file, path, None), _schema(file))
            units = _facts(_schema(file)).units
        whole, table = whole.combine_chunks(), Table()
        for column in without_masks(whole.column_names):
            table[column] = _cells(whole, column)
            table[column].unit = units.get(column.lower())
        return table

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Units are in the metadata of the columns (xpfit) or of the schema (astropy)."""
        with self._opened(path) as file:
            return _facts(_schema(file))

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows, in blocks."""
        with self._opened(path) as file:
            names = _schema(file).names
            columns = kind.columns(without_masks(names), path)
            masks = [f"{c}.mask" for c in columns.values() if f"{c}.mask" in names]
            for batch in self._batches(file, path, [*columns.values(), *masks]):
                for start in range(0, batch.num_rows, BLOCK_ROWS):
                    part = batch.slice(start, BLOCK_ROWS)
                    data = {n: np.ma.asarray(_cells(part, c)) for n, c in columns.items()}
                    require_integers(data["source_id"].dtype, path)
                    yield from unpacked(data)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """The open file; whatever is wrong with it is one clear error."""
        if is_zipped(path):
            raise InputError(f"{path}: a packed {self.title} file; unpack it")
        pa, _ = pyarrow_modules(InputError)
        try:
            with self._open(file_of(path)) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: not a readable {self.title} file; truncated or damaged ({error})"
            ) from error

    @abstractmethod
    def _open(self, file: Path):
        """Open a file, as a context manager."""

    @abstractmethod
    def _batches(self, file, path: Path, columns: list[str] | None) -> Iterator:
        """Record batches of some columns, or of all."""


class Parquet(Arrow):
    """Parquet; also a format of prepared spectra and of catalogues."""

    name, title = "parquet", "Parquet"

    def matches(self, head: bytes) -> bool:
        """Parquet's signature."""
        return head.startswith(b"PAR1")

    def _open(self, file: Path):
        return open_parquet(file, InputError)

    def _batches(self, file, path: Path, columns: list[str] | None) -> Iterator:
        yield from file.iter_batches(batch_size=BLOCK_ROWS, columns=columns)


class Feather(Arrow):
    """Feather (version 2, Arrow's file format), by pandas, pyarrow, polars or TOPCAT."""

    name, title = "feather", "Feather"

    def matches(self, head: bytes) -> bool:
        """The signatures of versions 2 and 1."""
        return head.startswith((b"ARROW1", b"FEA1"))

    @contextmanager
    def _open(self, file: Path):
        pa, _ = pyarrow_modules(InputError)
        with file.open("rb") as binary:
            if binary.read(4) == b"FEA1":
                from pyarrow import feather

                yield feather.read_table(file)
                return
            binary.seek(0)
            with pa.ipc.open_file(binary) as reader:
                yield reader

    def _batches(self, file, path: Path, columns: list[str] | None) -> Iterator:
        if hasattr(file, "to_batches"):
            batches = file.to_batches()
        else:
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
        n_bytes = 0
        for batch in batches:
            n_bytes += batch.nbytes
            require_plausible_size(file_of(path), n_bytes)
            yield batch if columns is None else batch.select(columns)


def _schema(file):
    """Schema of an open file."""
    return getattr(file, "schema_arrow", None) or file.schema


def _facts(schema) -> TableFacts:
    """Names and units of the columns."""
    units = {}
    for line in _astropy_header(schema):
        if line.get("unit"):
            units[line["name"].lower()] = str(line["unit"])
    for field in schema:
        unit = (field.metadata or {}).get(b"unit")
        if unit:
            units[field.name.lower()] = unit.decode("utf-8", errors="replace")
    return TableFacts({name.lower() for name in schema.names}, units)


def _astropy_header(schema) -> list[dict]:
    """What astropy says of the columns."""
    text = (schema.metadata or {}).get(b"table_meta_yaml")
    if not text:
        return []
    try:
        lines = text.decode("utf-8").split("\n")
        return list((meta.get_header_from_yaml(lines) or {}).get("datatype", []))
    except (meta.YamlParseError, TypeError, ValueError):  # by another writer
        return []


def _cells(part, name: str) -> MaskedColumn:
    """Values of a column, without those that its column of masks hides."""
    values, mask = _column(_joined(part.column(name))), f"{name}.mask"
    if mask in part.schema.names:
        values.mask = np.ma.getmaskarray(values) | np.asarray(_column(_joined(part.column(mask))))
    return values


def _joined(column):
    """A column in one piece."""
    return column.combine_chunks() if hasattr(column, "chunks") else column


def _column(array) -> MaskedColumn:
    """Values of an Arrow array, masked where there are none."""
    types = _types()
    kind = array.type
    if types.is_dictionary(kind):
        return _column(array.dictionary_decode())
    if isinstance(kind, _extension_type()):
        return _column(array.storage)
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
    if types.is_integer(kind) or types.is_boolean(kind):
        # Whole numbers with gaps would go through floats, and lose digits.
        values = array.fill_null(0 if types.is_integer(kind) else False)
        return MaskedColumn(values.to_numpy(zero_copy_only=False), mask=missing)
    if types.is_floating(kind):
        return MaskedColumn(array.to_numpy(zero_copy_only=False), mask=missing)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return masked_column([c and c.decode("utf-8", "replace") for c in array.to_pylist()])
    if types.is_decimal(kind):
        return masked_column([None if c is None else float(c) for c in array.to_pylist()])
    if hasattr(kind, "value_type"):
        return _lists(array, missing)
    return masked_column([c if c is None else str(c) for c in array.to_pylist()])


def _lists(array, missing: np.ndarray) -> MaskedColumn:
    """Lists, of one length or not, whose missing members are NaN."""
    cells = array.to_numpy(zero_copy_only=False)
    lengths = {np.shape(cell) for cell, gap in zip(cells, missing, strict=True) if not gap}
    if len(lengths) == 1 and not missing.any():
        return MaskedColumn(np.stack([np.asarray(cell) for cell in cells]))
    return masked_column([None if gap else c for c, gap in zip(cells, missing, strict=True)])


def _types():
    """pyarrow's tests of types."""
    pa, _ = pyarrow_modules(InputError)
    return pa.types


def _extension_type():
    """pyarrow's class of types with a meaning of their own, such as tensors."""
    pa, _ = pyarrow_modules(InputError)
    return pa.BaseExtensionType
