"""What a format of tables is: how to recognise it, name its columns and read its rows."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import InputError

BLOCK_ROWS = 500
"""Rows of FITS and HDF5 tables that are unpacked together."""


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

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a table of these columns is one of the kind."""
        lower = {name.lower() for name in names if name}
        return lower.issuperset(self.required)

    def columns(self, names: Sequence[str], path: Path) -> dict[str, str]:
        """Map the columns to their names in a file.

        Raises
        ------
        InputError
            If a required one is missing.
        """
        lower = {name.lower(): name for name in names if name}
        require_columns(self.required, lower, path, f"this is not a table of {self.name}")
        return {n: lower[n] for n in (*self.required, *self.optional) if n in lower}


@dataclass
class TableFacts:
    """What a file states of its tables of one kind.

    Attributes
    ----------
    names : set of str
        Of its columns, in lower case.
    units : dict of str to str
        By column, in lower case, of those that have one.
    sampling : ndarray, optional
        Wavelengths of sampled spectra, in nm.
    """

    names: set[str] = field(default_factory=set)
    units: dict[str, str] = field(default_factory=dict)
    sampling: np.ndarray | None = None


def common_facts(path: Path, tables: Sequence[TableFacts]) -> TableFacts:
    """What several tables of a file state, which must be the same.

    Raises
    ------
    InputError
        If they state different units or wavelengths.
    """
    first = tables[0]
    for other in tables[1:]:
        same_grid = (first.sampling is None) == (other.sampling is None) and (
            first.sampling is None or np.array_equal(first.sampling, other.sampling)
        )
        if first.units != other.units or not same_grid:
            raise InputError(
                f"{path}: its tables state different units or wavelengths; give them as files of "
                "their own"
            )
    return first


def warn_of_unused(path: Path, unused: Sequence[str], kind: RowType) -> None:
    """Name the tables of a file that are not read."""
    if unused:
        warnings.warn(
            f"{path}: not used, since they are no tables of {kind.name}: {', '.join(unused)}",
            stacklevel=3,
        )


class Format(ABC):
    """A format of tables whose cells hold arrays.

    Attributes
    ----------
    name : str
    """

    name: str

    @abstractmethod
    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (unzipped) is of this format."""

    def column_names(self, path: Path, head: bytes) -> list[str]:
        """Names of the columns, without reading the table; `head` as for `matches`."""
        return []

    def facts(self, path: Path, kind: RowType) -> TableFacts:
        """What a file states of its tables of a kind; as far as the format can state anything.

        Raises
        ------
        InputError
            If the tables state different units or wavelengths.
        """
        return TableFacts()

    def rows(self, path: Path, kind: RowType) -> Iterator[dict]:
        """Read a table row by row (see `xpfit.read.rows.iterate_rows`)."""
        raise InputError(f"{path}: a {self.name.capitalize()} file, not a table of {kind.name}")


def unpacked(block: Mapping[str, Sequence]) -> Iterator[dict]:
    """Rows of a block of columns; ids as int, zero where masked."""
    for i, cell in enumerate(block["source_id"]):
        row = {name: values[i] for name, values in block.items()}
        yield {**row, "source_id": 0 if np.ma.is_masked(cell) else int(cell)}


def require_columns(
    names: Iterable[str], present: Container[str], path: str | os.PathLike, remedy: str
) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    InputError
        If one is not among those present; the message ends with the remedy.
    """
    missing = [name for name in names if name not in present]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise InputError(f"{path}: missing column{plural} {', '.join(missing)}; {remedy}")


def require_integers(dtype: np.dtype, path: Path, name: str = "source_id") -> None:
    """Refuse ids of another type than 64-bit integers.

    Raises
    ------
    InputError
        If they are of another type.
    """
    if dtype.kind not in "iu" or dtype.itemsize != 8:
        raise InputError(
            f"{path}: {name} has type {dtype}; Gaia ids need 64-bit integers (other types lose "
            "digits): fetch or write the table again"
        )
