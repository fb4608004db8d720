"""Parquet: only recognised here; files of prepared spectra are read by `xpfit.prepare.store`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from .base import Format, RowType


class Parquet(Format):
    """Columns for data frames."""

    name = "parquet"

    def matches(self, head: bytes) -> bool:
        """Parquet's signature."""
        return head.startswith(b"PAR1")

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """None: they are at the end of the file."""
        return []

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Refuse: the archive does not use this format."""
        raise InputError(f"{path}: a Parquet file, not a table of {kind.name}")
