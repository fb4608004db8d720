"""Rows of chunks -> the catalogue, partitioned over the sky in the HATS format.

HATS (IVOA Note "HATS: a standard for the Hierarchical Adaptive Tiling Scheme in the Virtual
Observatory") keeps a catalogue in Parquet files, one for each cell of an adaptive HEALPix grid:
``dataset/Norder=K/Dir=D/Npix=N.parquet``. LSDB opens it, and crossmatches it with Gaia's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..arrow import pyarrow_modules
from ..errors import OutputError
from ..files import atomic_output
from ..releases import id_column_of
from . import parquet
from .columns import duplicate_flags
from .run.work import HEALPIX_COLUMN, Part, sorted_rows, write_rows

FINEST = 29
"""Order of the cells in the column `_healpix_29`."""

COUNTED_ORDER = 7
"""Grid on which all rows are counted: half a degree, ten thousand of two billion sources."""

MAX_ROWS = 250_000
"""A cell with more rows is split."""

MAX_BYTES = 500_000_000
"""Largest file that is aimed at: cells have fewer rows if these are long."""

MAX_COLLECTED = 1000
"""Partitions up to which their footers (1 MB each in memory) are collected in one file, which HATS
leaves to choice."""

PIXELS_PER_DIRECTORY = 10_000
"""Prescribed by HATS."""


@dataclass(frozen=True)
class Partition:
    """A cell of the sky, and the files that hold its rows.

    Attributes
    ----------
    order, pixel : int
        HEALPix cell (nested).
    slices : tuple of (str, int, int)
        Files of rows, and the first and the last but one row of each.
    """

    order: int
    pixel: int
    slices: tuple[tuple[str, int, int], ...]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(stop - start for _, start, stop in self.slices)

    @property
    def name(self) -> str:
        """Name of its file in the catalogue."""
        directory = self.pixel // PIXELS_PER_DIRECTORY * PIXELS_PER_DIRECTORY
        return f"dataset/Norder={self.order}/Dir={directory}/Npix={self.pixel}.parquet"


def most_rows(parts: Sequence[Part]) -> int:
    """Rows of a cell that make no file larger than `MAX_BYTES`, at most `MAX_ROWS`.

    Parameters
    ----------
    parts : sequence of Part
        Files of the same rows.

    Returns
    -------
    int
    """
    bytes_per_row = sum(part.size for part in parts) / sum(part.rows for part in parts)
    return max(1, min(MAX_ROWS, int(MAX_BYTES / bytes_per_row)))


def plan_partitions(paths: Sequence[Path], max_rows: int = MAX_ROWS) -> list[Partition]:
    """Divide the sky so that no cell has too many rows.

    Parameters
    ----------
    paths : sequence of Path
        Files of rows that are sorted along the HEALPix curve.
    max_rows : int

    Returns
    -------
    list of Partition
        In the order of the sky; cells without rows are left out.

    Raises
    ------
    InputError
        If a file is damaged.

    Notes
    -----
    Memory grows with the number of cells of order 7 that each file has rows in: files of
    neighbouring stars, as those of inputs in the order of source ids, have few.
    """
    shift = 2 * (FINEST - COUNTED_ORDER)
    counts = np.zeros(12 * 4**COUNTED_ORDER, dtype=np.int64)
    files = []
    for path in paths:
        cells = np.asarray(parquet.read(path, [HEALPIX_COLUMN])[HEALPIX_COLUMN]) >> shift
        pixels, first = np.unique(cells, return_index=True)
        begins = np.append(first, len(cells)).astype(np.int32)
        files.append((str(path), pixels.astype(np.int32), begins))
        counts[pixels] += np.diff(begins)
    cells = _cells(counts, max_rows)
    slices: list[list] = [[] for _ in cells]
    begins = np.array([pixel << 2 * (COUNTED_ORDER - order) for order, pixel in cells])
    for path, pixels, first in files:
        place = np.searchsorted(begins, pixels, side="right") - 1
        for k in np.unique(place):
            held = np.flatnonzero(place == k)
            slices[k].append((path, int(first[held[0]]), int(first[held[-1] + 1])))
    coarse = (Partition(*cell, tuple(s)) for cell, s in zip(cells, slices, strict=True))
    return [partition for cell in coarse for partition in _divided(cell, max_rows)]


def _divided(partition: Partition, max_rows: int) -> list[Partition]:
    """A partition, or the finer cells into which one of too many rows is divided."""
    if partition.n_rows <= max_rows:
        return [partition]
    held = []
    for path, start, stop in partition.slices:
        values = np.asarray(_rows(Path(path), start, stop, [HEALPIX_COLUMN])[HEALPIX_COLUMN])
        held.append((path, start, values))
    return _finer(partition.order, partition.pixel, held, max_rows)


def _finer(order: int, pixel: int, held: list, max_rows: int) -> list[Partition]:
    """Cells with at most `max_rows` rows, of files (path, first row, sorted HEALPix cells)."""
    slices = tuple((path, start, start + len(v)) for path, start, v in held if len(v))
    cell = Partition(order, pixel, slices)
    if cell.n_rows <= max_rows or order == FINEST:
        return [cell] if slices else []
    children = []
    for child in range(4 * pixel, 4 * pixel + 4):
        limits = [np.int64(k) << 2 * (FINEST - order - 1) for k in (child, child + 1)]
        places = [(path, start, v, np.searchsorted(v, limits)) for path, start, v in held]
        inside = [(path, start + int(a), v[a:b]) for path, start, v, (a, b) in places]
        children += _finer(order + 1, child, inside, max_rows)
    return children


def _cells(counts: np.ndarray, max_rows: int) -> list[tuple[int, int]]:
    """Largest cells (order, pixel) with at most `max_rows` rows, if there are any of the grid."""
    totals = {COUNTED_ORDER: counts}
    for order in range(COUNTED_ORDER - 1, -1, -1):
        totals[order] = totals[order + 1].reshape(-1, 4).sum(axis=1)
    cells = []
    waiting = [(0, pixel) for pixel in range(12)]
    while waiting:
        order, pixel = waiting.pop()
        n = totals[order][pixel]
        if n > max_rows and order < COUNTED_ORDER:
            waiting += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif n:
            cells.append((order, pixel))
    return sorted(cells, key=lambda cell: cell[1] << 2 * (COUNTED_ORDER - cell[0]))


def write_partition(job: None, partition: Partition, directory: str) -> Part:
    """Gather the rows of a cell into its file; repeated sources are flagged.

    Parameters
    ----------
    job : None
        Nothing is shared by all partitions.
    partition : Partition
    directory : str
        Of the catalogue.

    Returns
    -------
    Part

    Raises
    ------
    InputError
        If a file of rows is damaged.
    OutputError
        If the file cannot be written.
    """
    tables = [_rows(Path(path), start, stop) for path, start, stop in partition.slices]
    table = sorted_rows(vstack(tables, metadata_conflicts="silent"))
    table["fit_flags"] |= duplicate_flags(np.asarray(table[id_column_of(table.colnames)]))
    path = Path(directory) / partition.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_rows(table, path)


def _rows(path: Path, start: int, stop: int, columns: list[str] | None = None) -> Table:
    """A range of rows of a file; only the row groups that hold them are read."""
    first, last = start // parquet.ROWS_PER_GROUP, (stop - 1) // parquet.ROWS_PER_GROUP
    with parquet.opened(path, "damaged, so delete it and run again") as file:
        table = parquet.astropy_table(file.read_row_groups(range(first, last + 1), columns))
    offset = first * parquet.ROWS_PER_GROUP
    # A copy, or the rows would keep all of their groups in memory.
    return table[start - offset : stop - offset].copy()


def write_hats_metadata(directory: Path, partitions: Sequence[Partition], name: str) -> None:
    """Write the metadata of a HATS catalogue.

    Parameters
    ----------
    directory : Path
        Of the catalogue.
    partitions : sequence of Partition
    name : str
        Of the catalogue.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    _, pq = pyarrow_modules(OutputError)
    files: dict[str, list | None] = {"_common_metadata": None}
    if len(partitions) <= MAX_COLLECTED:
        files["_metadata"] = [pq.read_metadata(directory / p.name) for p in partitions]
        for footer, partition in zip(files["_metadata"], partitions, strict=True):
            footer.set_file_path(partition.name.removeprefix("dataset/"))
    else:  # that of an earlier attempt would name other files
        (directory / "dataset" / "_metadata").unlink(missing_ok=True)
    schema = pq.read_schema(directory / partitions[0].name)
    for file, footers in files.items():
        with atomic_output(directory / "dataset" / file, overwrite=True) as part:
            pq.write_metadata(schema, part, metadata_collector=footers)
    lines = ["Norder,Npix"] + [f"{p.order},{p.pixel}" for p in partitions]
    properties = "".join(f"{key}={value}\n" for key, value in _properties(partitions, name))
    for file, text in (
        ("partition_info.csv", "\n".join(lines) + "\n"),
        ("hats.properties", properties),
        ("properties", properties),
    ):
        with atomic_output(directory / file, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")


def _properties(partitions: Sequence[Partition], name: str) -> list[tuple[str, object]]:
    """Keys and values of a HATS catalogue."""
    return [
        ("obs_collection", name),
        ("dataproduct_type", "object"),
        ("hats_nrows", sum(p.n_rows for p in partitions)),
        ("hats_col_ra", "ra"),
        ("hats_col_dec", "dec"),
        ("hats_col_healpix", HEALPIX_COLUMN),
        ("hats_col_healpix_order", FINEST),
        ("hats_max_rows", max(p.n_rows for p in partitions)),
        ("hats_order", max(p.order for p in partitions)),
        ("moc_sky_fraction", f"{sum(4.0**-p.order for p in partitions) / 12.0:.5f}"),
        ("hats_builder", "xpfit"),
        ("hats_version", "v1.0"),
    ]
