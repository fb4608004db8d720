"""Parquet: only recognised here; `xpfit.prepare.store` reads files of prepared spectra."""

from __future__ import annotations

from .base import Format


class Parquet(Format):
    """Columns for data frames; the archive does not use this format."""

    name = "parquet"

    def matches(self, head: bytes) -> bool:
        """Parquet's signature."""
        return head.startswith(b"PAR1")
