"""CSV and ECSV, gzipped or not."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError, TruncatedError
from ..cells import NULLS
from .base import Format, RowType
from .compressed import bounded_lines, open_binary

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CELL = re.compile(rb'(?:^|,)(?:\s*"([^"]*)"|(\s*\([^)]*\)|\s*\[[^\]]*\]|[^,]*))')


class Text(Format):
    """Cells between commas; cells of arrays are written ``(a, b)`` or ``[a, b]``."""

    name = "text"

    def matches(self, head: bytes) -> bool:
        """Anything may be text: this format comes last."""
        return True

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Cells of the first line that is no comment."""
        lines = head.removeprefix(BYTE_ORDER_MARK).splitlines()
        line = next((n for n in lines if n.strip() and not n.startswith(b"#")), b"")
        return [name.decode("utf-8", errors="replace") for name in split_line(line)]

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows whose cells are texts (bytes), with the line for messages."""
        number = 0
        try:
            with open_binary(path) as binary:
                lines = _lines(bounded_lines(binary, path))
                header = [name.decode("utf-8") for name in split_line(next(lines, b""))]
                columns = kind.columns(header, path)
                place = {name: header.index(columns[name]) for name in columns}
                for line in lines:
                    number += 1
                    cells = split_line(line.rstrip(b"\n"))
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
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            if number:
                raise _cut_off(path, number + 1, str(error)) from error
            raise InputError(
                f"{path}: not readable as text; the file is truncated, damaged or of another kind "
                f"({error})"
            ) from error


def split_line(line: bytes) -> list[bytes]:
    """Cells of a line; commas within quotes or brackets do not split."""
    return [(quoted or plain).strip() for quoted, plain in _CELL.findall(line)]


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
