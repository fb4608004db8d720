"""How a text lays out its table: what separates cells, and where names and units are.

Known are ECSV, CSV with any delimiter, tables whose names stand in a comment (TOPCAT's ASCII),
those with lines of units and of dashes below the names (VizieR, Starlink), and IPAC's (IRSA).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from astropy.table import meta

from ...errors import InputError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

DELIMITERS = (b",", b"\t", b";", b"|", b" ")
"""What may separate cells; the first of them that is in the line of column names does."""

_CELLS = {
    d: re.compile(
        rb'(?:^|%(d)b)(?:%(s)b"([^"]*)"|(%(s)b\([^)]*\)|%(s)b\[[^\]]*\]|[^%(d)b]*))'
        % {b"d": re.escape(d) + (b"+" if d == b" " else b""), b"s": b"" if d == b" " else b" *"}
    )
    for d in DELIMITERS
}

_DASHES = re.compile(rb"[-\s;|,]*-[-\s;|,]*")

_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

_SIMPLE = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float16", "float32", "float64", "string"}  # fmt: skip
"""Types of ECSV whose cells are those of any text."""


@dataclass
class Dialect:
    """How a text lays out its table.

    Attributes
    ----------
    names : list of str
    delimiter : bytes
    n_skipped : int
        Lines before the rows, those that are comments or blank not counted.
    stated : dict of str to str
        Units of columns, in lines of their own.
    comments : sequence of bytes
        ECSV's header; empty for other texts.
    is_ipac : bool
    """

    names: list[str]
    delimiter: bytes = b","
    n_skipped: int = 1
    stated: dict[str, str] = field(default_factory=dict)
    comments: Sequence[bytes] = ()
    is_ipac: bool = False

    @cached_property
    def header(self) -> dict:
        """ECSV's; empty if there is none, or it does not keep to the standard."""
        text = [c.decode("utf-8", errors="replace")[2:].rstrip("\r\n") for c in self.comments[1:]]
        try:
            header = meta.get_header_from_yaml(text) or {}
            columns = {c["name"]: c for c in header["datatype"]}
        except (meta.YamlParseError, KeyError, TypeError, ValueError):
            return {}
        return {"columns": columns, "meta": dict(header.get("meta") or {})}

    @property
    def units(self) -> dict[str, str]:
        """By column, of those that have one."""
        columns = self.header.get("columns", {})
        return self.stated or _stated({name: c.get("unit") for name, c in columns.items()})

    @property
    def types(self) -> dict[str, str] | None:
        """By column, where ECSV states them; None if some are not simple."""
        columns = self.header.get("columns", {})
        is_simple = "__serialized_columns__" not in self.header.get("meta", {}) and all(
            c.get("datatype") in _SIMPLE and "subtype" not in c for c in columns.values()
        )
        return {name: c["datatype"] for name, c in columns.items()} if is_simple else None


def dialect_of(lines: Sequence[bytes], path: Path) -> Dialect:
    """How a text lays out its table.

    Parameters
    ----------
    lines : sequence of bytes
        The first of the text, comments included.
    path : Path
        For messages.

    Returns
    -------
    Dialect

    Raises
    ------
    InputError
        If there is no line with the names of columns.
    """
    comments = [line for line in lines if line.startswith(b"#")]
    content = [line for line in lines if line.strip() and not line.startswith(b"#")]
    if not content:
        return Dialect([])
    if content[0].startswith((b"\\", b"|")) and _is_ipac(content):
        return _ipac(content)
    delimiter = delimiter_of(content[0])
    names = _texts(split_line(content[0], delimiter))
    if any(_NUMBER.fullmatch(name.encode()) for name in names):
        return _named_in_comment(names, comments, delimiter, path)
    if comments and comments[0].startswith(b"# %ECSV"):
        return Dialect(names, delimiter, comments=comments)
    if len(content) > 1 and _DASHES.fullmatch(content[1]):
        return Dialect(names, delimiter, 2)
    if len(content) > 2 and _DASHES.fullmatch(content[2]):
        units = _texts(split_line(content[1], delimiter))
        return Dialect(names, delimiter, 3, _stated(dict(zip(names, units, strict=False))))
    return Dialect(names, delimiter)


def _named_in_comment(names: list[str], comments: list[bytes], delimiter, path: Path) -> Dialect:
    """The dialect of a text whose first line is a row."""
    line = comments[-1].lstrip(b"#") if comments else b""
    above = _texts(split_line(line.strip(), delimiter))
    if len(above) == len(names) and not _NUMBER.fullmatch(above[0].encode()):
        return Dialect(above, delimiter, 0)
    raise InputError(
        f"{path}: no line with the names of the columns (the first is {', '.join(names)[:60]!r}); "
        "add one"
    )


def _is_ipac(content: Sequence[bytes]) -> bool:
    """Whether lines are those of IPAC's format: keywords, names and types between bars."""
    bars = [line.strip() for line in content if not line.startswith(b"\\")][:2]
    return len(bars) == 2 and all(b.startswith(b"|") and b.endswith(b"|") for b in bars)


def _ipac(content: Sequence[bytes]) -> Dialect:
    """The dialect of IPAC's format."""
    bars = [line for line in content if line.startswith(b"|")]
    names = _texts(cell.strip() for cell in bars[0].strip().strip(b"|").split(b"|"))
    units = {}
    if len(bars) > 2:
        cells = _texts(cell.strip() for cell in bars[2].strip().strip(b"|").split(b"|"))
        units = _stated(dict(zip(names, cells, strict=False)))
    return Dialect(names, b"|", len(bars), units, is_ipac=True)


def _stated(units: dict) -> dict[str, str]:
    """Units of the columns that have one."""
    return {name: str(unit) for name, unit in units.items() if unit and str(unit).strip("-")}


def _texts(cells: Iterable[bytes]) -> list[str]:
    """Cells as texts."""
    return [cell.decode("utf-8", errors="replace") for cell in cells]


def delimiter_of(header: bytes) -> bytes:
    """What separates the names of columns; a comma if there is but one."""
    line = header.strip()
    return next((d for d in DELIMITERS if d in line), DELIMITERS[0])


def split_line(line: bytes, delimiter: bytes = DELIMITERS[0]) -> list[bytes]:
    """Cells of a line; delimiters within quotes or brackets do not split."""
    if delimiter == b" ":
        line = line.strip()
    if b'""' in line and b'""' in line.replace(delimiter + b'""' + delimiter, b""):
        # Quotes within quotes, which the fast way does not read.
        text = line.decode("utf-8", errors="surrogateescape")
        (cells,) = csv.reader([text], delimiter=delimiter.decode(), skipinitialspace=True)
        return [cell.encode("utf-8", errors="surrogateescape").strip() for cell in cells]
    return [(quoted or plain).strip() for quoted, plain in _CELLS[delimiter].findall(line)]
