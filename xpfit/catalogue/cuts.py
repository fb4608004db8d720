"""Cuts on catalogues by name, as ZGR23 make them (section 4.4, table 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..data import UNRELIABLE, has_flag
from ..errors import InputError
from ..quality import is_basic, is_reliable
from ..quality.flags import MIN_CONFIDENCE
from . import parquet
from .formats import FORMATS, read_catalogue
from .published import as_catalogue, is_published, iterate_published, published_hdf5


def _basic(table: Table) -> np.ndarray:
    return is_basic(table["quality_flags"])


def _usable(table: Table) -> np.ndarray:
    """Rows without the fit flags `UNRELIABLE`, where a table has them."""
    if "fit_flags" not in table.colnames:
        return np.ones(len(table), dtype=bool)
    return ~has_flag(table["fit_flags"], UNRELIABLE)


def _confident(*labels: str) -> Callable[[Table], np.ndarray]:
    def passes(table: Table) -> np.ndarray:
        confident = [np.asarray(table[f"{label}_confidence"]) > MIN_CONFIDENCE for label in labels]
        return _basic(table) & _usable(table) & np.all(confident, axis=0)

    return passes


CUTS: dict[str, tuple[str, Callable[[Table], np.ndarray]]] = {
    "all": ("all stars", lambda table: np.ones(len(table), dtype=bool)),
    "basic": ("basic cut (quality_flags < 8)", _basic),
    "teff": ("basic cut + confident in Teff", _confident("teff")),
    "logg": ("basic cut + confident in log g", _confident("logg")),
    "feh": ("basic cut + confident in [Fe/H]", _confident("feh")),
    "confident": (
        "basic cut + confident in (Teff, [Fe/H], log g)",
        _confident("teff", "feh", "logg"),
    ),
    "reliable": (
        "basic cut, and no fit flag of a fit that should not be used",
        lambda table: is_reliable(table["quality_flags"], table["fit_flags"]),
    ),
}
"""Name, meaning, and which rows pass; up to `confident` the rows of ZGR23's table 3."""

ZGR23_PERCENTAGES = {
    "all": 100.0,
    "basic": 82.3,
    "teff": 57.7,
    "logg": 63.4,
    "feh": 60.5,
    "confident": 41.2,
}
"""ZGR23's table 3: shares of 219,197,643 stars."""


def passes(table: Table, cuts: Sequence[str]) -> np.ndarray:
    """Rows that pass several cuts.

    Parameters
    ----------
    table : astropy.table.Table
        A catalogue.
    cuts : sequence of str
        Names in `CUTS`.

    Returns
    -------
    ndarray of bool, shape (n_row,)

    Raises
    ------
    InputError
        If a cut does not exist, or the table lacks a column that it needs.
    """
    keep = np.ones(len(table), dtype=bool)
    for name in cuts:
        if name not in CUTS:
            raise InputError(f"there is no cut {name!r}; choose from {', '.join(CUTS)}")
        try:
            keep &= CUTS[name][1](table)
        except KeyError as error:
            raise InputError(
                f"the cut {name!r} needs the column {error.args[0]}, which this table lacks; give "
                "a catalogue written by xpfit, or ZGR23's"
            ) from error
    return keep


def counts(tables: Iterable[Table]) -> dict[str, int]:
    """How many stars pass each cut for which there are columns (ZGR23, table 3).

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue.

    Returns
    -------
    dict of str to int
        By name of the cut.
    """
    total = dict.fromkeys(CUTS, 0)
    for table in tables:
        for name in list(total):
            if name == "reliable" and "fit_flags" not in table.colnames:
                del total[name]
                continue
            total[name] += int(passes(table, [name]).sum())
    return total


def iterate_catalogue(path: Path, columns: Sequence[str] | None = None) -> Iterator[Table]:
    """A catalogue part by part: in bounded memory if it is Parquet (or a published HDF5 file).

    Parameters
    ----------
    path : Path
        As for `xpfit.read_catalogue`.
    columns : sequence of str, optional
        Columns to read from Parquet, as far as they exist; by default all.

    Yields
    ------
    astropy.table.Table
    """
    if path.is_dir():
        yield from parquet.iterate(path, columns)
    elif FORMATS.get(path.suffix.lower()) == "Parquet":
        published = is_published(parquet.column_names(path))
        for part in parquet.iterate(path, None if published else columns):
            yield as_catalogue(part, str(path)) if published else part
    elif FORMATS.get(path.suffix.lower()) == "HDF5" and published_hdf5(path):
        yield from iterate_published(path)
    else:
        yield read_catalogue(path)
