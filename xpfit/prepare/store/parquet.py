"""Prepared spectra as Parquet: columns for data frames and clusters (needs pyarrow).

The metadata of the schema hold the attributes of `xpfit.prepare.store.hdf5`'s layout: texts as they
are, JSON for settings, and the arrays of the observation space in NumPy's ``.npy`` format. Ids of
more than one row are listed in the metadata too (`duplicate_ids`), since rows cannot be
changed once they are written; reading flags them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from ...arrow import open_parquet, pyarrow_modules, to_arrow, to_numpy
from ...data import InputFlag, Spectra, space_from_datasets
from ...errors import InputError, OutputError
from . import checksum
from .columns import FORMAT, attributes, from_columns, to_columns
from .ids import ROWS_AT_A_TIME, repeated_ids

SUFFIX = ".parquet"


def write(parts: Iterator[Spectra], path: Path) -> int:
    """Write parts of spectra that were prepared alike.

    Parameters
    ----------
    parts : iterator of Spectra
        At least one.
    path : Path

    Returns
    -------
    int
        Number of stars written.

    Raises
    ------
    OutputError
        If pyarrow is not installed.
    """
    pa, pq = pyarrow_modules(OutputError)
    first = next(parts)
    table, n_star = _table(pa, first, 0), len(first)
    with (
        TemporaryFile(dir=path.parent) as ids,
        pq.ParquetWriter(
            path, table.schema.with_metadata(_metadata(first)), write_page_checksum=True
        ) as writer,
    ):
        writer.write_table(table)
        ids.write(first.source_id.tobytes())
        for part in parts:
            writer.write_table(_table(pa, part, n_star))
            ids.write(part.source_id.tobytes())
            n_star += len(part)
        repeated = repeated_ids(lambda: _blocks(ids), n_star)
        writer.add_key_value_metadata({"duplicate_ids": json.dumps(repeated.tolist())})
    return n_star


def _blocks(ids: IO[bytes]) -> Iterator[np.ndarray]:
    """Ids that were written to a file, block by block."""
    ids.seek(0)
    while block := ids.read(8 * ROWS_AT_A_TIME):
        yield np.frombuffer(block, dtype=np.int64)


def count(path: Path) -> int:
    """Number of stars in a file.

    Raises
    ------
    InputError
        As `iterate`.
    """
    with _opened(path) as (file, _, _, _):
        return file.metadata.num_rows


def iterate(path: Path, chunk_size: int, rows: range) -> Iterator[Spectra]:
    """Read spectra in bounded memory.

    Parameters
    ----------
    path : Path
    chunk_size : int
        Stars at a time.
    rows : range
        Which rows to read, without gaps.

    Yields
    ------
    Spectra

    Raises
    ------
    InputError
        If the file is damaged, of another kind, newer than this version of xpfit, or pyarrow is not
        installed.
    """
    with _opened(path) as (file, space, preparation, repeated):
        groups, start = _groups(file, rows)
        for batch in file.iter_batches(chunk_size, row_groups=groups):
            wanted = batch.slice(max(rows.start - start, 0), None)
            wanted = wanted.slice(0, max(rows.stop - max(start, rows.start), 0))
            before, start = start, start + len(batch)
            if not len(wanted):
                continue
            columns = {
                name: to_numpy(wanted.column(i)) for i, name in enumerate(wanted.schema.names)
            }
            columns = checksum.verified_rows(columns, max(rows.start, before), path)
            twice = np.isin(columns["source_id"], repeated)
            columns["input_flags"] = columns["input_flags"].astype(np.int32)
            columns["input_flags"] |= np.where(twice, int(InputFlag.DUPLICATE_ID), 0)
            yield from_columns(columns, space, preparation)


def _groups(file, rows: range) -> tuple[list[int], int]:
    """Row groups that hold any of the rows, and the row with which they begin."""
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    starts = ends - sizes
    groups = np.flatnonzero((starts < rows.stop) & (ends > rows.start))
    return groups.tolist(), int(starts[groups[0]]) if len(groups) else 0


@contextmanager
def _opened(path: Path) -> Iterator[tuple]:
    """An open file, its space and settings, and ids of several rows.

    What is wrong with the file becomes an `InputError`.
    """
    with FORMAT.explained(path), open_parquet(path, InputError) as file:
        stored = file.metadata.metadata or {}
        metadata = {key.decode(): value for key, value in stored.items()}
        header = {name: metadata[name].decode() for name in FORMAT.header if name in metadata}
        FORMAT.check(header, path, "a Parquet file")
        arrays = {
            name: np.load(BytesIO(value), allow_pickle=False)
            for name, value in metadata.items()
            if name == "wavelength" or name.startswith("space/")
        }
        space = space_from_datasets(metadata["space"].decode(), arrays)
        preparation = json.loads(metadata["preparation"])
        repeated = np.array(json.loads(metadata["duplicate_ids"]), dtype=np.int64)
        yield file, space, preparation, repeated


def _table(pa, spectra: Spectra, first: int):
    """Arrow table; arrays as lists of fixed size, the first star in the given row."""
    columns = to_columns(spectra)
    columns[checksum.COLUMN] = checksum.row_checksums(columns, first)
    return pa.table({name: to_arrow(pa, values) for name, values in columns.items()})


def _metadata(spectra: Spectra) -> dict[str, bytes]:
    """Metadata of the schema."""
    encoded = {key: str(value).encode() for key, value in attributes(spectra).items()}
    for name, values in spectra.space.datasets().items():
        buffer = BytesIO()
        np.save(buffer, values, allow_pickle=False)
        encoded[name] = buffer.getvalue()
    return encoded
