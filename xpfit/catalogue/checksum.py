"""Checksums of catalogues: the CRC-32 of each column, the same in every format."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Iterable
from os import PathLike

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..integrity import verifying

KEY = "XPSUM"
"""Under which files keep the checksums: JSON with the number of rows, and CRCs by column."""


class Checksums:
    """Checksums of a catalogue, which may be written or read part by part.

    Attributes
    ----------
    n_rows : int
    columns : dict of str to int
        CRC-32 of each column.
    """

    def __init__(self, tables: Iterable[Table] = ()):
        self.n_rows, self.columns = 0, {}
        for table in tables:
            self.add(table)

    def add(self, table: Table) -> None:
        """Add a part."""
        self.n_rows += len(table)
        for name in table.colnames:
            content = _content(table[name])
            self.columns[name] = zlib.crc32(content, self.columns.get(name, 0))

    def text(self) -> str:
        """As files keep it."""
        return json.dumps(
            {"rows": self.n_rows, "columns": {k: f"{v:08x}" for k, v in self.columns.items()}}
        )

    def verify(self, text: str | bytes | None, path: str | PathLike) -> None:
        """Compare with what a file says.

        Parameters
        ----------
        text : str or bytes or None
            As `text` gives it; None for files of earlier versions and of others.
        path : path-like

        Raises
        ------
        InputError
            If a column differs.

        Warns
        -----
        UserWarning
            If the file has other rows, which another program has chosen.
        """
        if text is None or not verifying():
            return
        try:
            known = json.loads(text)
            n_rows, columns = int(known["rows"]), dict(known["columns"])
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{path}: damaged checksums ({error})") from error
        if n_rows != self.n_rows:
            warnings.warn(
                f"{path}: {self.n_rows} rows; xpfit wrote {n_rows}, so that its checksums cannot "
                "be verified",
                stacklevel=4,
            )
            return
        wrong = [k for k, v in self.columns.items() if columns.get(k, f"{v:08x}") != f"{v:08x}"]
        if wrong:
            raise InputError(
                f"{path}: the checksum of {', '.join(wrong[:5])} does not match, the file is "
                "damaged or was changed by another program (--no-verify reads it as it is, and "
                "'xpfit convert --no-verify' writes it with new checksums)"
            )


def _content(column) -> bytes:
    """Values of a column as bytes, whatever types and byte order a format gives them."""
    values = np.ma.asarray(column)
    if values.dtype.kind == "f":
        numbers = np.ma.filled(values, np.nan).astype("<f8") + 0.0  # no negative zeros
        numbers[np.isnan(numbers)] = np.nan
        return numbers.tobytes()
    if values.dtype.kind in "iub":
        return np.ma.filled(values, 0).astype("<i8").tobytes()
    texts = (_text(value) for value in np.ma.filled(values.astype(object), "").ravel())
    return "".join(f"{text}\n" for text in texts).encode()


def _text(value: object) -> str:
    """A cell as text, without the blanks at its end that some formats do not keep."""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).rstrip()
