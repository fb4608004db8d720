"""CSV and ECSV, gzipped or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
from astropy.table import meta

from ...errors import InputError, TruncatedError
from ..cells import NULLS
from .base import Format, RowType, TableFacts
from .compressed import UNPACKING_ERRORS, bounded_lines, open_binary, read_head

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

DELIMITERS = (b",", b"\t", b";", b"|", b" ")
"""What may separate cells; the first of them that is in the line of column names does."""

_CELLS = {
    d: re.compile(
        rb'(?:^|%(d)b)(?:%(s)b"([^"]*)"|(%(s)b\([^)]*\)|%(s)b\[[^\]]*\]|[^%(d)b]*))'
        % {b"d": re.escape(d), b"s": b"" if d == b" " else b" *"}
    )
    for d in DELIMITERS
}


class Text(Format):
    """Cells between `DELIMITERS`; cells of arrays are written ``(a, b)`` or ``[a, b]``."""

    name = "text"

    def matches(self, head: bytes) -> bool:
        """Anything may be text: this format comes last."""
        return True

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Cells of the first line that is no comment."""
        lines = head.removeprefix(BYTE_ORDER_MARK).splitlines()
        line = next((n for n in lines if n.strip() and not n.startswith(b"#")), b"")
        cells = split_line(line, delimiter_of(line))
        return [name.decode("utf-8", errors="replace") for name in cells]

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """ECSV states units and metadata in its comments."""
        with open_binary(path) as file:
            lines = bounded_lines(file, path)
            comments = list(takewhile(lambda line: line.startswith(b"#"), lines))
        names = {name.lower() for name in self.column_names(path, read_head(path))}
        if not comments or not comments[0].startswith(b"# %ECSV"):
            return TableFacts(names)
        text = [c.decode("utf-8", errors="replace")[2:].rstrip("\n") for c in comments[1:]]
        try:
            header = meta.get_header_from_yaml(text) or {"datatype": []}
        except (meta.YamlParseError, TypeError, ValueError):  # not as ECSV's standard has it
            return TableFacts(names)
        units = {c["name"].lower(): str(c["unit"]) for c in header["datatype"] if c.get("unit")}
        sampling = dict(header.get("meta") or {}).get("sampling")
        return TableFacts(names, units, None if sampling is None else np.array(sampling, float))

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows whose cells are texts (bytes), with the line for messages."""
        number = 0
        try:
            with open_binary(path) as binary:
                lines = _lines(bounded_lines(binary, path))
                first = next(lines, b"")
                delimiter = delimiter_of(first)
                header = [name.decode("utf-8") for name in split_line(first, delimiter)]
                columns = kind.columns(header, path)
                place = {name: header.index(columns[name]) for name in columns}
                for line in lines:
                    number += 1
                    cells = split_line(line.rstrip(b"\n"), delimiter)
                    damaged = len(cells) != len(header)
                    if damaged and not line.endswith(b"\n"):
                        raise _cut_off(path, number, "the row is incomplete")
                    row = {name: cells[i] if i < len(cells) else b"" for name, i in place.items()}
                    source_id, problem = _source_id(row["source_id"])
                    if damaged:
                        row = dict.fromkeys(place, b"")
                        problem = f"{len(cells)} cells for {len(header)} columns"
                    if problem:
                        row["problem"] = f"row {number}: {problem}"
                    yield {**row, "source_id": source_id}
        except (*UNPACKING_ERRORS, UnicodeDecodeError) as error:
            if number:
                raise _cut_off(path, number + 1, str(error)) from error
            raise InputError(
                f"{path}: not readable as text; the file is truncated, damaged or of another kind "
                f"({error})"
            ) from error


def delimiter_of(header: bytes) -> bytes:
    """What separates the names of columns; a comma if there is but one."""
    line = header.strip()
    return next((d for d in DELIMITERS if d in line), DELIMITERS[0])


def split_line(line: bytes, delimiter: bytes = DELIMITERS[0]) -> list[bytes]:
    """Cells of a line; delimiters within quotes or brackets do not split."""
    return [(quoted or plain).strip() for quoted, plain in _CELLS[delimiter].findall(line)]


def _lines(binary: Iterator[bytes]) -> Iterator[bytes]:
    """Lines that are neither comments nor blank, ended by a line feed as far as they are whole.

    A byte-order mark is left out; line ends of all systems are read.
    """
    is_first = True
    for line in binary:
        if is_first:
            line, is_first = line.removeprefix(BYTE_ORDER_MARK), False
        for part in _universal(line) if b"\r" in line else (line,):
            if part.strip() and not part.startswith(b"#"):
                yield part


def _universal(line: bytes) -> list[bytes]:
    """A line that has carriage returns, split at them."""
    return line.replace(b"\r\n", b"\n").replace(b"\r", b"\n").splitlines(keepends=True)


def _cut_off(path: Path, number: int, why: str) -> TruncatedError:
    """The error for a text that ends, or becomes unreadable, at a row."""
    return TruncatedError(
        f"{path}: cut off or damaged at row {number} ({why}), this row and all after it are lost; "
        "fetch the file again"
    )


def _source_id(cell: bytes) -> tuple[int, str]:
    """Source id from text, and what is wrong with it; zero where missing or wrong."""
    text = cell.decode("utf-8", errors="replace")
    if text in NULLS:
        return 0, ""
    try:
        value = int(text)
    except ValueError:
        return 0, (
            f"source_id {text[:30]!r} is not an integer; ids that went through floats have lost "
            "digits: fetch the table again"
        )
    if not 0 <= value < 2**63:
        return 0, f"source_id {text[:30]} does not fit 64 bits"
    return value, ""
