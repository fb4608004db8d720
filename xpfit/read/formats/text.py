"""CSV, ECSV and other texts, packed or not."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from astropy.io import ascii
from astropy.table import Table

from ...errors import InputError, TruncatedError
from ...files import file_of
from ..cells import NULLS
from .base import Format, RowType, TableFacts, chosen, id_of_cell
from .compressed import HEAD, UNPACKING_ERRORS, bounded_lines, is_zipped, open_binary
from .dialects import BYTE_ORDER_MARK, Dialect, dialect_of, split_line

MAX_HEADER_LINES = 3000
"""Comments before the names of columns are not longer."""

BLOCK = 1 << 20
"""Bytes that are searched at a time."""

N_CONTENT = 4
"""Lines of names, types, units and dashes at most, or the first row."""

_MISSING = [(text, "0") for text in NULLS]


class Text(Format):
    """Cells between delimiters; cells of arrays are written ``(a, b)`` or ``[a, b]``."""

    name, title = "text", "text"

    def matches(self, head: bytes) -> bool:
        """Anything may be text: this format comes last."""
        return True

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names in the line that has them."""
        return _dialect_in(head, path).names if head else super().column_names(path, head)

    def tables(self, path: Path) -> dict[str, list[str]]:
        """One, without a name."""
        chosen(path, {1: ""})
        return {"table": _dialect(path).names}

    def table(self, path: Path, name: str) -> Table:
        """As astropy reads it, with the units that the text states."""
        dialect = _dialect(path)
        options = {"fill_values": _MISSING, "guess": False}
        if not dialect.names or "\ufffd" in "".join(dialect.names):
            raise InputError(f"{path}: no line with the names of columns; empty or damaged")
        try:
            source = _source(path)
            if _is_empty(path, dialect):
                return Table(names=dialect.names)
            if dialect.is_ipac:
                return ascii.read(source, format="ipac", guess=False)
            if dialect.header and dialect.types is None:
                return ascii.read(source, format="ecsv", **options)
            return _simple_table(source, dialect, options)
        except (UnicodeDecodeError, *UNPACKING_ERRORS) as error:
            raise _unreadable(path, error) from error
        except (ascii.InconsistentTableError, ValueError, TypeError) as error:
            raise InputError(f"{path}: not a readable table ({error}); write it again") from error

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """ECSV states units and metadata in its comments."""
        dialect = _dialect(path)
        names = {name.lower() for name in dialect.names}
        units = {name.lower(): unit for name, unit in dialect.units.items()}
        sampling = dialect.header.get("meta", {}).get("sampling")
        return TableFacts(names, units, None if sampling is None else np.array(sampling, float))

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows whose cells are texts (bytes), with the line for messages."""
        number = 0
        try:
            with open_binary(path) as binary:
                lines = _parts(bounded_lines(binary, path))
                first, broken = _first_lines(lines)
                dialect, lines = dialect_of(first, path), _content(_again(first, broken, lines))
                header = dialect.names
                columns = kind.columns(header, path)
                place = {name: header.index(columns[name]) for name in columns}
                for line in islice(lines, dialect.n_skipped, None):
                    number += 1
                    cells = split_line(line, dialect.delimiter)
                    damaged = len(cells) != len(header) or b"\0" in line
                    if damaged and not line.endswith(b"\n"):
                        raise _cut_off(path, number, "the row is incomplete")
                    row = {name: cells[i] if i < len(cells) else b"" for name, i in place.items()}
                    source_id, problem = id_of_cell(
                        row["source_id"].decode("utf-8", errors="replace")
                    )
                    if damaged:
                        row = dict.fromkeys(place, b"")
                        problem = f"{len(cells)} cells for {len(header)} columns"
                    if problem:
                        row["problem"] = f"row {number}: {problem}"
                    yield {**row, "source_id": source_id}
        except (*UNPACKING_ERRORS, UnicodeDecodeError) as error:
            if number:
                raise _cut_off(path, number + 1, str(error)) from error
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    """The error for what is no text."""
    return InputError(
        f"{path}: not readable as text; the file is truncated, damaged or of another kind ({error})"
    )


def _dialect(path: Path) -> Dialect:
    """Dialect of a file."""
    try:
        with open_binary(path) as file:
            return dialect_of(_first_lines(_parts(bounded_lines(file, path)))[0], path)
    except UNPACKING_ERRORS as error:
        raise _unreadable(path, error) from error


def _first_lines(lines: Iterator[bytes]) -> tuple[list[bytes], Exception | None]:
    """The lines by which a dialect is known, as far as they can be read, and the error beyond."""
    first, n_content = [], 0
    try:
        for line in islice(lines, MAX_HEADER_LINES):
            first.append(line)
            n_content += bool(line.strip()) and not line.startswith((b"#", b"\\"))
            if n_content == N_CONTENT:
                break
    except UNPACKING_ERRORS as error:
        if not n_content:
            raise
        return first, error
    return first, None


def _again(first: list[bytes], broken: Exception | None, lines: Iterator) -> Iterator[bytes]:
    """All lines, of which the first have been read already."""
    yield from first
    if broken is not None:
        raise broken
    yield from lines


def _dialect_in(head: bytes, path: Path) -> Dialect:
    """Dialect of a text that begins so."""
    lines = list(_parts(head.splitlines(keepends=True)))
    return dialect_of(lines[:-1] if len(head) == HEAD and len(lines) > 1 else lines, path)


def _source(path: Path) -> str:
    """What astropy reads: the file, or the text of a packed one, which is unpacked once.

    Raises
    ------
    InputError
        If there are zeros in it, at which astropy's reader would stop without a word.

    Warns
    -----
    UserWarning
        If the last line has no end, so that its last cell may be cut off.
    """
    packed, last, parts = is_zipped(path), b"\n", []
    with open_binary(path) as file:
        for part in bounded_lines(file, path) if packed else iter(lambda: file.read(BLOCK), b""):
            last = part[-1:]
            if b"\0" in part:
                raise InputError(
                    f"{path}: zeros among the text; the file is damaged, incompletely copied, or "
                    "not in UTF-8: write it again"
                )
            if packed:
                parts.append(part)
    if last not in b"\r\n":
        warnings.warn(
            f"{path}: the last line has no end; if the file is cut off there, its last cell is "
            "wrong",
            stacklevel=3,
        )
    return b"".join(_parts(parts)).decode("utf-8") + "\n" if packed else str(file_of(path))


def _is_empty(path: Path, dialect: Dialect) -> bool:
    """Whether a text has no rows."""
    with open_binary(path) as file:
        lines = _content(_parts(bounded_lines(file, path)))
        return next(islice(lines, dialect.n_skipped, None), None) is None


def _simple_table(source: str, dialect: Dialect, options: dict) -> Table:
    """A table of numbers and texts, by astropy's fast reader."""
    types = dialect.types or {}
    converters = {
        name: [ascii.convert_numpy("str" if kind == "string" else kind)]
        for name, kind in types.items()
        if name in dialect.names
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = ascii.read(
            source, format="no_header", names=dialect.names, data_start=dialect.n_skipped,
            comment="#", delimiter=dialect.delimiter.decode(), encoding="utf-8-sig",
            converters=converters, **options,
        )  # fmt: skip
    for name, unit in dialect.units.items():
        if name in table.colnames:
            table[name].unit = unit
    table.meta = dict(dialect.header.get("meta", {}))
    return table


def _content(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that are neither comments nor blank."""
    return (line for line in lines if line.strip() and not line.startswith(b"#"))


def _parts(binary: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, ended by a line feed as far as they are whole, without the byte-order mark."""
    is_first = True
    for line in binary:
        if is_first:
            line, is_first = line.removeprefix(BYTE_ORDER_MARK), False
        yield from _universal(line) if b"\r" in line else (line,)


def _universal(line: bytes) -> list[bytes]:
    """A line that has carriage returns, split at them."""
    return line.replace(b"\r\n", b"\n").replace(b"\r", b"\n").splitlines(keepends=True)


def _cut_off(path: Path, number: int, why: str) -> TruncatedError:
    """The error for a text that ends, or becomes unreadable, at a row."""
    return TruncatedError(
        f"{path}: cut off or damaged at row {number} ({why}), this row and all after it are lost; "
        "fetch the file again"
    )
