"""Catalogues as Parquet (needs pyarrow): columns with their units, UCDs and descriptions.

Arrays are lists of fixed size. Fields carry `unit`, `ucd` and `description` as metadata; the
table's metadata are in the schema's, as JSON under the key ``xpfit``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..arrays import batches
from ..arrow import open_parquet, pyarrow_modules, to_arrow, to_numpy
from ..errors import InputError, OutputError
from .checksum import Checksums
from .describe import attributes, described_column

META_KEY, SUMS_KEY = b"xpfit", b"xpfit_checksums"

ROWS_PER_GROUP = 10_000
"""Rows that are compressed together and can be read alone."""

GROUPS_AT_A_TIME = 10
"""Groups that are read together: a few hundred megabytes at most."""

DATASET = "catalogue/dataset"
"""Where the rows are in the directory of a run (see `xpfit.catalogue.hats`)."""


def arrow_table(table: Table):
    """Arrow table of a catalogue."""
    pa, _ = pyarrow_modules(OutputError)
    arrays, fields = [], []
    for name, column in table.columns.items():
        arrays.append(to_arrow(pa, np.asarray(column)))
        fields.append(pa.field(name, arrays[-1].type, metadata=attributes(column)))
    schema = pa.schema(fields, metadata={META_KEY: json.dumps(dict(table.meta))})
    return pa.Table.from_arrays(arrays, schema=schema)


def astropy_table(arrow) -> Table:
    """Catalogue of an Arrow table."""
    stored = arrow.schema.metadata or {}
    table = Table(meta=json.loads(stored.get(META_KEY, b"{}")))
    for field, column in zip(arrow.schema, arrow.columns, strict=True):
        texts = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        table[field.name] = described_column(to_numpy(column.combine_chunks()), texts)
    return table


def write(table: Table, path: Path) -> None:
    """Write a catalogue.

    Raises
    ------
    OutputError
        If pyarrow is not installed.
    """
    _, pq = pyarrow_modules(OutputError)
    arrow = arrow_table(table)
    sums = {SUMS_KEY: Checksums([table]).text()}
    arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, **sums})
    pq.write_table(arrow, path, row_group_size=ROWS_PER_GROUP, write_page_checksum=True)


def write_parts(tables: Iterable[Table], path: Path) -> int:
    """Write a catalogue part by part, in bounded memory.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        If there are no parts.
    OutputError
        If pyarrow is not installed.
    """
    _, pq = pyarrow_modules(OutputError)
    sums = Checksums()

    def arrow_tables() -> Iterator:
        for table in tables:
            sums.add(table)
            yield arrow_table(table)

    parts = arrow_tables()
    first = next(parts, None)
    if first is None:
        raise InputError("the catalogue has no rows")
    with pq.ParquetWriter(path, first.schema, write_page_checksum=True) as writer:
        for part in chain([first], parts):
            writer.write_table(part.cast(first.schema), row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata({SUMS_KEY.decode(): sums.text()})
    return sums.n_rows


@contextmanager
def opened(path: Path, problem: str = "not a readable Parquet catalogue") -> Iterator:
    """An open Parquet file.

    Raises
    ------
    InputError
        That states the `problem`, if the file is damaged, or pyarrow is not installed.
    """
    pa, _ = pyarrow_modules(InputError)
    try:
        with open_parquet(path, InputError) as file:
            yield file
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: {problem} ({error})") from error


def column_names(path: Path) -> list[str]:
    """Names of a file's columns."""
    with opened(path) as file:
        return list(file.schema_arrow.names)


def read(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Read a catalogue, or some of its columns.

    Raises
    ------
    InputError
        If the file is damaged, or pyarrow is not installed.
    """
    with opened(path) as file:
        table = astropy_table(file.read(columns))
        Checksums([table]).verify(file.metadata.metadata.get(SUMS_KEY), path)
        return table


def partitions(directory: Path) -> list[Path]:
    """Files of a run's catalogue, in the order of the sky.

    Raises
    ------
    InputError
        If there are none.
    """
    for root in (directory / DATASET, directory / "dataset"):
        files = list(root.glob("Norder=*/Dir=*/Npix=*.parquet"))
        if files:
            return sorted(files, key=_place)
    raise InputError(
        f"{directory}: no catalogue in this directory; give the one of a finished 'xpfit run'"
    )


def _place(path: Path) -> tuple[int, int]:
    """Start of a partition on the HEALPix curve of order 29, and its order."""
    order = int(path.parent.parent.name.removeprefix("Norder="))
    pixel = int(path.stem.removeprefix("Npix="))
    return pixel << 2 * (29 - order), order


def read_directory(directory: Path) -> Table:
    """All rows of a run's catalogue, in memory.

    Raises
    ------
    InputError
        If there is no catalogue, or a file of it is damaged.
    """
    return vstack([read(path) for path in partitions(directory)], metadata_conflicts="silent")


def iterate(path: Path, columns: Sequence[str] | None = None) -> Iterator[Table]:
    """A Parquet file or a run's directory, or some of its columns, in bounded memory.

    Raises
    ------
    InputError
        If there is no catalogue, or a file of it is damaged.
    """
    for part in partitions(path) if path.is_dir() else [path]:
        with opened(part) as file:
            present = file.schema_arrow.names
            wanted = None if columns is None else [n for n in columns if n in present]
            sums = Checksums()
            for groups in batches(file.num_row_groups, GROUPS_AT_A_TIME):
                rows = file.read_row_groups(range(groups.start, groups.stop), wanted)
                table = astropy_table(rows)
                sums.add(table)
                yield table
            sums.verify(file.metadata.metadata.get(SUMS_KEY), part)
