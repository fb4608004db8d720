"""Rows of archive tables whose cells hold arrays, in every format that they come in.

CSV and ECSV, FITS, VOTable (gzipped or not) and HDF5 with one dataset per column: each is read row
by row or block by block, so that all but VOTables fit in memory whatever their length.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import orjson
from astropy.io import votable
from astropy.table import Table

from ..errors import InputError
from .fits import broken_fits_explained, open_table

NULLS = ("", "null", "None", "nan", "NaN", "--", "()", "[]")
"""Cells that stand for a missing value."""

BLOCK_ROWS = 500
"""Rows of FITS and HDF5 tables that are unpacked together."""

HEAD = 65536
"""Bytes at the start of a file that hold the names of its columns."""

_CELL = re.compile(rb'(?:^|,)(?:\s*"([^"]*)"|(\s*\([^)]*\)|\s*\[[^\]]*\]|[^,]*))')
_FIELD = re.compile(rb'<FIELD[^>]*?\bname\s*=\s*["\']([^"\']*)["\']', re.IGNORECASE)


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

    def columns(self, names: Sequence[str], path: Path) -> dict[str, str]:
        """Map the columns to their names in a file.

        Raises
        ------
        InputError
            If a required one is missing.
        """
        lower = {name.lower(): name for name in names if name}
        missing = [name for name in self.required if name not in lower]
        if missing:
            raise InputError(
                f"{path}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
                f"this is not a table of {self.name}"
            )
        return {n: lower[n] for n in (*self.required, *self.optional) if n in lower}


def iterate_rows(path: Path, kind: RowType) -> Iterator[dict]:
    """Read a table row by row.

    Parameters
    ----------
    path : Path
        The content decides on the format, not the name.
    kind : RowType

    Yields
    ------
    dict
        Cells by column, as the format has them; `source_id` is an int, zero where missing.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is truncated, damaged or of another kind, lacks columns, or its ids are not
        integers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; fetch or write it again")
    readers = {"fits": _fits_rows, "votable": _votable_rows, "text": _text_rows, "hdf5": _hdf5_rows}
    yield from readers[sniff(path)](path, kind)


def chunked(rows: Iterator[dict], size: int, path: Path) -> Iterator[list[dict]]:
    """Rows in lists of some size.

    Raises
    ------
    InputError
        If there are no rows.
    """
    chunk = list(islice(rows, size))
    if not chunk:
        raise InputError(f"{path}: the table has no rows")
    while chunk:
        yield chunk
        chunk = list(islice(rows, size))


def source_table(rows: list[dict], path: Path) -> Table:
    """Table of the ids of some rows, masked where missing; to be filled with their data."""
    ids = np.array([row["source_id"] for row in rows], dtype=np.int64)
    return Table({"source_id": np.ma.masked_less_equal(ids, 0)}, meta={"path": str(path)})


def column_names(path: Path) -> list[str]:
    """Names of a table's columns, in lower case, without reading the table.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        Empty if the file is empty or not there.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        return []
    kind = sniff(path)
    if kind == "fits":
        with broken_fits_explained(path), open_table(path) as hdu:
            return [name.lower() for name in hdu.columns.names]
    if kind == "hdf5":
        try:
            with h5py.File(path, "r") as file:
                return [name.lower() for name in _datasets(file)]
        except OSError:
            return []
    try:
        with _open_binary(path) as file:
            head = file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return []
    if kind == "votable":
        names = _FIELD.findall(head)
    else:
        names = _split(next((n for n in head.splitlines() if not n.startswith(b"#")), b""))
    return [name.decode("utf-8", errors="replace").lower() for name in names]


def sniff(path: Path) -> str:
    """Format of a file by its first bytes."""
    try:
        with _open_binary(path) as file:
            head = file.read(512)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the file is truncated or damaged ({error})") from error
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    if head.lstrip().startswith(b"<"):
        return "votable"
    return "text"


def _open_binary(path: Path):
    """Open a file, through gzip if it is zipped whatever its name."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _text_rows(path: Path, kind: RowType) -> Iterator[dict]:
    """Rows of a CSV or ECSV file as texts, with the line for messages."""
    try:
        with _open_binary(path) as binary:
            lines = (line.rstrip(b"\r\n") for line in binary if not line.startswith(b"#"))
            header = [name.decode("utf-8") for name in _split(next(lines, b""))]
            columns = kind.columns(header, path)
            place = {name: header.index(columns[name]) for name in columns}
            for number, line in enumerate(filter(None, lines), start=1):
                cells = _split(line)
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}, row {number}: {len(cells)} cells for {len(header)} columns; the "
                        "file is truncated or damaged"
                    )
                row = {name: cells[i] for name, i in place.items()}
                yield {**row, "source_id": _text_id(row["source_id"], path, number)}
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not readable as text; the file is truncated, damaged or of another kind "
            f"({error})"
        ) from error


def _split(line: bytes) -> list[bytes]:
    """Cells of a line; commas within quotes or brackets do not split."""
    return [(quoted or plain).strip() for quoted, plain in _CELL.findall(line)]


def _text_id(cell: bytes, path: Path, number: int) -> int:
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


def _fits_rows(path: Path, kind: RowType) -> Iterator[dict]:
    """Rows of a FITS table, with variable or fixed lengths of arrays."""
    with ExitStack() as stack:
        with broken_fits_explained(path):
            hdu = stack.enter_context(open_table(path))
            columns = kind.columns(hdu.columns.names, path)
            _require_integers(hdu.data.dtype[columns["source_id"]], path)
            n_rows = len(hdu.data)
        for start in range(0, n_rows, BLOCK_ROWS):
            with broken_fits_explained(path):
                part = hdu.data[start : start + BLOCK_ROWS]
                data = {name: part.field(column) for name, column in columns.items()}
                rows = [{name: v[i] for name, v in data.items()} for i in range(len(part))]
            for row in rows:
                yield {**row, "source_id": int(row["source_id"])}


def _votable_rows(path: Path, kind: RowType) -> Iterator[dict]:
    """Rows of a VOTable (text or binary); it is read whole, as the format asks for."""
    try:
        with _open_binary(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = votable.parse(file, verify="ignore").get_first_table()
    except Exception as error:  # the XML parser has no base class of errors
        raise InputError(
            f"{path}: not a readable VOTable; truncated, damaged or of another kind ({error})"
        ) from error
    columns = kind.columns(first.array.dtype.names or (), path)
    _require_integers(first.array.dtype[columns["source_id"]], path)
    for record in first.array:
        row = {name: record[column] for name, column in columns.items()}
        missing = np.ma.is_masked(row["source_id"])
        yield {**row, "source_id": 0 if missing else int(row["source_id"])}


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Datasets by name, at the top of a file or in its only group."""
    node = file
    if len(file) == 1 and isinstance(next(iter(file.values())), h5py.Group):
        node = next(iter(file.values()))
    return {name: item for name, item in node.items() if isinstance(item, h5py.Dataset)}


def _hdf5_rows(path: Path, kind: RowType) -> Iterator[dict]:
    """Rows of an HDF5 file with one dataset per column, as the archive's mirrors have it."""
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(file)
            columns = {name: datasets[c] for name, c in kind.columns(datasets, path).items()}
            _require_integers(columns["source_id"].dtype, path)
            lengths = {name: len(values) for name, values in columns.items()}
            n_rows = lengths["source_id"]
            if set(lengths.values()) != {n_rows}:
                raise InputError(f"{path}: the datasets have different lengths: {lengths}")
            for start in range(0, n_rows, BLOCK_ROWS):
                part = {name: v[start : start + BLOCK_ROWS] for name, v in columns.items()}
                for i in range(len(part["source_id"])):
                    row = {name: values[i] for name, values in part.items()}
                    yield {**row, "source_id": int(row["source_id"])}
    except (OSError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: not a readable HDF5 file; truncated or damaged ({error})"
        ) from error


def _require_integers(dtype: np.dtype, path: Path) -> None:
    """Refuse ids of another type than 64-bit integers."""
    if dtype.kind not in "iu" or dtype.itemsize != 8:
        raise InputError(
            f"{path}: source_id has type {dtype}; Gaia ids need 64-bit integers (other types lose "
            "digits): fetch the table again"
        )


def array_column(
    rows: list[dict], name: str, sizes: dict[str, int], problems: list[str]
) -> np.ndarray:
    """Arrays of one column.

    Parameters
    ----------
    rows : list of dict
        From `iterate_rows`.
    name : str
    sizes : dict of str to int
        Remembers each array's length from the first row that has one.
    problems : list of str
        What is wrong with each row; filled in here.

    Returns
    -------
    ndarray, shape (n_row, size)
        NaN where missing or bad.
    """
    cells = []
    for i, row in enumerate(rows):
        try:
            cells.append(_array(row[name]))
        except ValueError as error:
            cells.append(np.empty(0))
            problems[i] = problems[i] or f"{name}: {error}"
    size = sizes.get(name) or next((len(cell) for cell in cells if len(cell)), 0)
    if size:
        sizes[name] = size
    column = np.full((len(rows), size), np.nan)
    for i, cell in enumerate(cells):
        if len(cell) == size:
            column[i] = cell
        elif len(cell):
            problems[i] = problems[i] or f"{name}: {len(cell)} values, expected {size}"
    return column


def _array(cell) -> np.ndarray:
    """Values of one array cell as float64; empty where missing."""
    if isinstance(cell, bytes):
        return _parse_array(cell)
    if np.ma.is_masked(cell):
        return np.empty(0) if np.all(np.ma.getmaskarray(cell)) else np.ma.filled(cell, np.nan)
    return np.asarray(cell, dtype=float).ravel()


def _parse_array(text: bytes) -> np.ndarray:
    """Values of an array cell, written ``(a, b)`` or ``[a, b]``."""
    if len(text) < 5 and text.decode("utf-8") in NULLS:
        return np.empty(0)
    if text[:1] + text[-1:] not in (b"()", b"[]"):
        raise ValueError(f"an array in brackets was expected, not {text[:20]!r}")
    inner = text[1:-1]
    try:
        values = orjson.loads(b"[" + inner + b"]")
        return np.fromiter(values, dtype=float, count=len(values))
    except (orjson.JSONDecodeError, TypeError, ValueError):
        pass  # JSON knows neither NaN nor numbers like "1." and ".5"
    try:
        return np.array(inner.replace(b"null", b"nan").split(b","), dtype=float)
    except ValueError:
        raise ValueError("not numbers between commas") from None


def number(cell) -> float:
    """A scalar cell as float; NaN where missing or not a number."""
    if np.ma.is_masked(cell):
        return np.nan
    try:
        return float(cell)
    except ValueError:
        return np.nan
