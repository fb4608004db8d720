"""JSON lines and Avro: rows that name their columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
from astropy.table import Table

from ...errors import InputError, TruncatedError
from .base import FLOAT_ID, Format, RowType, TableFacts, chosen, id_of_cell, masked_column
from .compressed import UNPACKING_ERRORS, bounded_lines, open_binary


class Records(Format):
    """One table, whose rows are records with the names of the columns."""

    def tables(self, path: Path) -> dict[str, list[str]]:
        """One, without a name; its columns are those of the first record."""
        chosen(path, {1: ""})
        with self._explained(path), open_binary(path) as file:
            return {"table": list(next(self._records(file, path), {}))}

    def table(self, path: Path, name: str) -> Table:
        """All records; columns that only some of them have are masked in the others."""
        with self._explained(path), open_binary(path) as file:
            records = list(self._records(file, path))
        names = dict.fromkeys(name for record in records for name in record)
        return Table({n: masked_column([record.get(n) for record in records]) for n in names})

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """Names of the columns; neither format states units."""
        return TableFacts({name.lower() for names in self.tables(path).values() for name in names})

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows, one by one."""
        (names,) = self.tables(path).values()
        columns = kind.columns(names, path)
        with self._explained(path), open_binary(path) as file:
            for number, record in enumerate(self._records(file, path), start=1):
                cells = {name: record.get(column) for name, column in columns.items()}
                row = {n: b"" if cell is None else _cell(cell) for n, cell in cells.items()}
                row["source_id"], problem = _source_id(cells["source_id"])
                yield {**row, "problem": f"row {number}: {problem}"} if problem else row

    @contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        """Whatever is wrong with a file is one clear error."""
        try:
            yield
        except InputError:
            raise
        except (*UNPACKING_ERRORS, *self.errors()) as error:
            raise InputError(
                f"{path}: not readable as {self.title}; the file is truncated or damaged ({error})"
            ) from error

    @staticmethod
    def errors() -> tuple[type[Exception], ...]:
        """Errors of the reader at broken files."""
        return (ValueError, TypeError)

    @abstractmethod
    def _records(self, file, path: Path) -> Iterator[dict]:
        """The records in an open file."""


class JSONLines(Records):
    """An object a line (pandas: ``to_json(orient="records", lines=True)``), or lists of them."""

    name, title = "json", "JSON lines"

    def matches(self, head: bytes) -> bool:
        """An object begins with a brace, a list of them with a bracket."""
        return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")

    def _records(self, file, path: Path) -> Iterator[dict]:
        for n, line in enumerate(bounded_lines(file, path), start=1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                record = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise self._broken(path, n, line, error) from error
            if isinstance(record, list) and all(isinstance(row, dict) for row in record):
                yield from record
                continue
            if not isinstance(record, dict) or _is_by_column(record):
                raise InputError(
                    f"{path}, line {n}: JSON, but not an object a row; write the table as JSON "
                    'lines (pandas: to_json(orient="records", lines=True))'
                )
            yield record

    @staticmethod
    def _broken(path: Path, n: int, line: bytes, error: Exception) -> InputError:
        """The error for a line that is no JSON: cut off, if it is the last and has no end."""
        if n == 1:
            return InputError(
                f"{path}: JSON, but not an object a line ({error}); write the table as JSON lines "
                '(pandas: to_json(orient="records", lines=True))'
            )
        if not line.endswith(b"\n"):
            return TruncatedError(
                f"{path}: cut off at row {n}, this row and all after it are lost; fetch the file "
                "again"
            )
        return InputError(f"{path}, line {n}: not JSON ({error}); write the file again")


class Avro(Records):
    """Avro, which GaiaXPy writes and reads."""

    name, title = "avro", "Avro"

    def matches(self, head: bytes) -> bool:
        """Avro's signature."""
        return head.startswith(b"Obj\x01")

    @staticmethod
    def errors() -> tuple[type[Exception], ...]:
        """fastavro lets through whatever its parsers raise."""
        return (Exception,)

    def _records(self, file, path: Path) -> Iterator[dict]:
        import fastavro

        yield from fastavro.reader(file)


def _is_by_column(record: dict) -> bool:
    """Whether an object holds columns, not a row: pandas writes them so by default."""
    return bool(record) and all(isinstance(cell, dict) for cell in record.values())


def _cell(cell):
    """A cell as array or number."""
    return np.array(cell, dtype=float) if isinstance(cell, list) else cell


def _source_id(cell) -> tuple[int, str]:
    """A source id and what is wrong with it; zero where there is none or it is wrong."""
    if isinstance(cell, float | bool):
        return 0, FLOAT_ID.format(cell)
    return id_of_cell("" if cell is None else str(cell))
