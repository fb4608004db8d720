"""HDF5 with one dataset per column, at the top or in the only group, as mirrors of Gaia have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py

from ...data.hdf5 import open_hdf5
from ...errors import InputError
from .base import BLOCK_ROWS, Format, RowType, require_integers, unpacked


class HDF5(Format):
    """One dataset per column; also the format of prepared spectra."""

    name = "hdf5"

    def matches(self, head: bytes) -> bool:
        """HDF5's signature."""
        return head.startswith(b"\x89HDF\r\n\x1a\n")

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the datasets; none if the file is damaged."""
        try:
            with open_hdf5(path) as file:
                return list(_datasets(file))
        except OSError:
            return []

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows, read in blocks."""
        try:
            with open_hdf5(path) as file:
                datasets = _datasets(file)
                columns = {name: datasets[c] for name, c in kind.columns(datasets, path).items()}
                require_integers(columns["source_id"].dtype, path)
                lengths = {name: len(values) for name, values in columns.items()}
                n_rows = lengths["source_id"]
                if set(lengths.values()) != {n_rows}:
                    raise InputError(f"{path}: the datasets have different lengths: {lengths}")
                for start in range(0, n_rows, BLOCK_ROWS):
                    part = {name: v[start : start + BLOCK_ROWS] for name, v in columns.items()}
                    yield from unpacked(part)
        except (OSError, TypeError, RuntimeError) as error:
            raise InputError(
                f"{path}: not a readable HDF5 file; truncated or damaged ({error})"
            ) from error


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Datasets by name, at the top of a file or in its only group."""
    node = file
    if len(file) == 1 and isinstance(next(iter(file.values())), h5py.Group):
        node = next(iter(file.values()))
    return {name: item for name, item in node.items() if isinstance(item, h5py.Dataset)}
