"""CSV and ECSV, gzipped or not."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ..cells import NULLS
from .base import Format, RowType
from .compressed import open_binary

_CELL = re.compile(rb'(?:^|,)(?:\s*"([^"]*)"|(\s*\([^)]*\)|\s*\[[^\]]*\]|[^,]*))')


class Text(Format):
    """Cells between commas; cells of arrays are written ``(a, b)`` or ``[a, b]``."""

    name = "text"

    def matches(self, head: bytes) -> bool:
        """Anything may be text: this format comes last."""
        return True

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Cells of the first line that is no comment."""
        line = next((n for n in head.splitlines() if not n.startswith(b"#")), b"")
        return [name.decode("utf-8", errors="replace") for name in split_line(line)]

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows whose cells are texts (bytes), with the line for messages."""
        try:
            with open_binary(path) as binary:
                lines = (line.rstrip(b"\r\n") for line in binary if not line.startswith(b"#"))
                header = [name.decode("utf-8") for name in split_line(next(lines, b""))]
                columns = kind.columns(header, path)
                place = {name: header.index(columns[name]) for name in columns}
                for number, line in enumerate(filter(None, lines), start=1):
                    cells = split_line(line)
                    if len(cells) != len(header):
                        raise InputError(
                            f"{path}, row {number}: {len(cells)} cells for {len(header)} columns; "
                            "the file is truncated or damaged"
                        )
                    row = {name: cells[i] for name, i in place.items()}
                    yield {**row, "source_id": _source_id(row["source_id"], path, number)}
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: not readable as text; the file is truncated, damaged or of another kind "
                f"({error})"
            ) from error


def split_line(line: bytes) -> list[bytes]:
    """Cells of a line; commas within quotes or brackets do not split."""
    return [(quoted or plain).strip() for quoted, plain in _CELL.findall(line)]


def _source_id(cell: bytes, path: Path, number: int) -> int:
    """Source id from text; zero where missing."""
    text = cell.decode("utf-8")
    if text in NULLS:
        return 0
    try:
        value = int(text)
    except ValueError:
        raise InputError(
            f"{path}, row {number}: source_id {text[:30]!r} is not an integer; ids that went "
            "through floats have lost digits: fetch the table again"
        ) from None
    if not 0 <= value < 2**63:
        raise InputError(f"{path}, row {number}: source_id {text[:30]} does not fit 64 bits")
    return value
