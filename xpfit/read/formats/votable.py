"""VOTables, text or binary, gzipped or not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from astropy.io import votable

from ...errors import InputError
from .base import Format, RowType, require_integers, unpacked
from .compressed import open_binary

_FIELD = re.compile(rb'<FIELD[^>]*?\bname\s*=\s*["\']([^"\']*)["\']', re.IGNORECASE)


class VOTable(Format):
    """XML of the Virtual Observatory; astropy reads it whole."""

    name = "votable"

    def matches(self, head: bytes) -> bool:
        """XML begins with a tag."""
        return head.lstrip().startswith(b"<")

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the fields."""
        return [name.decode("utf-8", errors="replace") for name in _FIELD.findall(head)]

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Rows of the first table."""
        try:
            with open_binary(path) as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                first = votable.parse(file, verify="ignore").get_first_table()
        except Exception as error:  # the XML parser has no base class of errors
            raise InputError(
                f"{path}: not a readable VOTable; truncated, damaged or of another kind ({error})"
            ) from error
        columns = kind.columns(first.array.dtype.names or (), path)
        require_integers(first.array.dtype[columns["source_id"]], path)
        yield from unpacked({name: first.array[column] for name, column in columns.items()})
