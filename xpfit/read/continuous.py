"""XP continuous spectra in every format of the Gaia archive, as astropy Tables.

A spectrum is 55 + 55 coefficients (fewer in later releases: the number comes from the data) with
errors and correlations, the upper triangle without the diagonal, column by column. Files are read
in chunks, so that text and FITS files of any length fit in memory.
"""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson
from astropy.io import votable
from astropy.table import Table

from ..errors import InputError
from .fits import broken_fits_explained, open_table

XP_BANDS = ("bp", "rp")
"""The two spectrophotometers."""

ARRAY_COLUMNS = ("coefficients", "coefficient_errors", "coefficient_correlations")
"""Columns of each band that hold one array per source."""

CHUNK_SIZE = 2000
"""Sources that are read at a time: 50 MB."""

CONTINUOUS_COLUMNS = ("source_id", *(f"{b}_{c}" for b in XP_BANDS for c in ARRAY_COLUMNS))
"""Columns without which a spectrum cannot be used."""

OPTIONAL_COLUMNS = tuple(
    f"{band}_{name}" for band in XP_BANDS for name in ("n_relevant_bases", "standard_deviation")
)
"""Columns of the archive that are passed on where a file has them, NaN elsewhere."""

NULLS = ("", "null", "None", "nan", "NaN", "--", "()", "[]")
"""Cells that stand for a missing value."""

_FITS_ROWS = 500  # rows whose arrays are unpacked together

_CELL = re.compile(rb'(?:^|,)(?:\s*"([^"]*)"|(\s*\([^)]*\)|\s*\[[^\]]*\]|[^,]*))')


def read_continuous(path: str | os.PathLike, chunk_size: int = CHUNK_SIZE) -> Iterator[Table]:
    """Read XP continuous spectra from CSV, ECSV, FITS or VOTable, gzipped or not.

    Parameters
    ----------
    path : path-like
        An archive file of one source or many, the archive's bulk files
        (``XpContinuousMeanSpectrum_*.csv.gz``) included. The content decides on the format, not
        the name.
    chunk_size : int
        Sources per table.

    Yields
    ------
    astropy.table.Table
        `source_id` (int64, masked where missing); for each band b = ``bp``, ``rp``
        ``b_coefficients`` and ``b_coefficient_errors`` (n_source, n_coefficient),
        ``b_coefficient_correlations`` (n_source, n (n - 1) / 2), ``b_n_relevant_bases`` and
        ``b_standard_deviation``, all float64 and NaN where missing; and `problem`, a text that is
        empty for a good row and says otherwise what is wrong with it. Such a row, all NaN in the
        band concerned, does not stop the others.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is empty, truncated, of another kind, lacks columns, has ids that are not
        integers, or has no rows.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; fetch or write it again")
    kind = _sniff(path)
    rows = {"fits": _fits_rows, "votable": _votable_rows, "text": _text_rows}[kind](path)
    n_rows, chunk = 0, []
    sizes: dict[str, int] = {}
    for row in rows:
        chunk.append(row)
        n_rows += 1
        if len(chunk) == chunk_size:
            yield _table(chunk, sizes, path)
            chunk = []
    if chunk:
        yield _table(chunk, sizes, path)
    if not n_rows:
        raise InputError(f"{path}: the table has no rows")


def is_continuous(path: str | os.PathLike) -> bool:
    """Whether a readable table holds XP continuous spectra, by its columns."""
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        return False
    kind = _sniff(path)
    if kind != "fits":
        return True  # nothing else that xpfit fits comes as text or VOTable
    with broken_fits_explained(path), open_table(path) as hdu:
        return "bp_coefficients" in hdu.columns.names


def _sniff(path: Path) -> str:
    """Format of a file by its first bytes."""
    try:
        with _open_binary(path) as file:
            head = file.read(512)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the file is truncated or damaged ({error})") from error
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


def _require_columns(names, path: Path) -> None:
    """Refuse a table of another type, naming what it lacks."""
    missing = [name for name in CONTINUOUS_COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"{path}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            "this is not a table of XP continuous spectra (XP_CONTINUOUS, retrieval type of "
            "Gaia's datalink)"
        )


def _canonical(names) -> dict[str, str]:
    """Map the columns of the archive to their names in a file, whatever their case."""
    lower = {name.lower(): name for name in names if name}
    return {n: lower[n] for n in (*CONTINUOUS_COLUMNS, *OPTIONAL_COLUMNS) if n in lower}


def _text_rows(path: Path) -> Iterator[dict]:
    """Rows of a CSV or ECSV file as texts, with the line for messages."""
    try:
        with _open_binary(path) as binary:
            lines = (line.rstrip(b"\r\n") for line in binary if not line.startswith(b"#"))
            header = [name.decode("utf-8") for name in _split(next(lines, b""))]
            columns = _canonical(header)
            _require_columns(columns, path)
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


def _fits_rows(path: Path) -> Iterator[dict]:
    """Rows of a FITS table, with variable or fixed lengths of arrays."""
    with ExitStack() as stack:
        with broken_fits_explained(path):
            hdu = stack.enter_context(open_table(path))
            columns = _canonical(hdu.columns.names)
            _require_columns(columns, path)
            _require_integers(hdu.data.dtype[columns["source_id"]], path)
            n_rows = len(hdu.data)
        for start in range(0, n_rows, _FITS_ROWS):
            with broken_fits_explained(path):
                part = hdu.data[start : start + _FITS_ROWS]
                data = {name: part.field(column) for name, column in columns.items()}
                rows = [{name: v[i] for name, v in data.items()} for i in range(len(part))]
            for row in rows:
                yield {**row, "source_id": int(row["source_id"])}


def _votable_rows(path: Path) -> Iterator[dict]:
    """Rows of a VOTable (text or binary); it is read whole, as the format asks for."""
    try:
        with _open_binary(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = votable.parse(file, verify="ignore").get_first_table()
    except Exception as error:  # the XML parser has no base class of errors
        raise InputError(
            f"{path}: not a readable VOTable; truncated, damaged or of another kind ({error})"
        ) from error
    columns = _canonical(first.array.dtype.names or ())
    _require_columns(columns, path)
    _require_integers(first.array.dtype[columns["source_id"]], path)
    for record in first.array:
        row = {name: record[column] for name, column in columns.items()}
        missing = np.ma.is_masked(row["source_id"])
        yield {**row, "source_id": 0 if missing else int(row["source_id"])}


def _require_integers(dtype: np.dtype, path: Path) -> None:
    """Refuse ids of another type than 64-bit integers."""
    if dtype.kind not in "iu" or dtype.itemsize != 8:
        raise InputError(
            f"{path}: source_id has type {dtype}; Gaia ids need 64-bit integers (other types lose "
            "digits): fetch the table again"
        )


def _table(rows: list[dict], sizes: dict[str, int], path: Path) -> Table:
    """Table of some rows; `sizes` remembers each array's length from the first row that has one."""
    problems = [""] * len(rows)
    table = Table(meta={"path": str(path)})
    ids = np.array([row["source_id"] for row in rows], dtype=np.int64)
    table["source_id"] = np.ma.masked_less_equal(ids, 0)
    for band in XP_BANDS:
        for column in ARRAY_COLUMNS:
            name = f"{band}_{column}"
            table[name] = _array_column(rows, name, sizes, problems)
        n, n_pairs = (table[f"{band}_{c}"].shape[1] for c in (ARRAY_COLUMNS[0], ARRAY_COLUMNS[2]))
        if n_pairs != n * (n - 1) // 2 and n_pairs:
            raise InputError(
                f"{path}: {n_pairs} correlations for {n} {band} coefficients; expected "
                f"{n * (n - 1) // 2}"
            )
    for name in OPTIONAL_COLUMNS:
        table[name] = [_number(row.get(name, b"")) for row in rows]
    table["problem"] = problems
    return table


def _array_column(rows, name, sizes, problems) -> np.ndarray:
    """One array per row, NaN where missing or bad; what is bad is added to `problems`."""
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
        return np.array(orjson.loads(b"[" + inner + b"]"), dtype=float)
    except (orjson.JSONDecodeError, TypeError, ValueError):
        pass  # JSON knows neither NaN nor numbers like "1." and ".5"
    try:
        return np.array(inner.replace(b"null", b"nan").split(b","), dtype=float)
    except ValueError:
        raise ValueError("not numbers between commas") from None


def _number(cell) -> float:
    """A scalar cell as float; NaN where missing or not a number."""
    if np.ma.is_masked(cell):
        return np.nan
    try:
        return float(cell)
    except ValueError:
        return np.nan
