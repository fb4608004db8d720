"""Cuts on catalogues by name, as ZGR23 make them (section 4.4, table 3), and of young stars."""

from __future__ import annotations

import warnings
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

YOUNG_TEFF, YOUNG_PARALLAX, YOUNG_FIDELITY = 4500.0, 1.0, 0.5
"""Huson et al. (2025, section 4.3): cooler (K), nearer (mas), with good astrometry."""

YOUNG_LOGG, YOUNG_SLOPE, GIANT_LOGG = 4.4, 2e-4, 3.0
"""Stars above the main sequence, and not on the giant branch, in log g.

Less than 4.4 at 4500 K, and by 2e-4 more per K at lower temperatures, where main-sequence stars
have 4.6 to 5.0; more than 3.0. The paper gives its limits in a figure only.
"""


def _young(table: Table) -> np.ndarray:
    """Rows of pre-main-sequence stars; by the spectrum alone, if the table has no parallaxes."""
    prefix = "gaianet_" if "gaianet_teff" in table.colnames else ""
    teff, logg = (_number(table, f"{prefix}{name}") for name in ("teff", "logg"))
    parallax = "gaia_parallax" if "gaia_parallax" in table.colnames else "parallax"
    limits = {parallax: YOUNG_PARALLAX, "fidelity_v2": YOUNG_FIDELITY}
    absent = [name for name in limits if name not in table.colnames]
    with np.errstate(invalid="ignore"):
        above = logg < YOUNG_LOGG + YOUNG_SLOPE * (YOUNG_TEFF - teff)
        keep = (teff < YOUNG_TEFF) & above & (logg > GIANT_LOGG)
        for name in limits.keys() - absent:
            keep &= _number(table, name) > limits[name]
    if absent:
        warnings.warn(
            f"pre-main-sequence stars are chosen without {' and '.join(absent)}, which this table "
            "lacks: there will be more other stars among them",
            stacklevel=2,  # one place, at which it is told once
        )
    return keep


def _number(table: Table, name: str) -> np.ndarray:
    """A column, NaN where masked."""
    return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)


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
    "pre-main-sequence": (
        "pre-main-sequence stars (Gaia Net, section 4.3)",
        _young,
    ),
}
"""Name, meaning, and which rows pass; up to `confident` the rows of ZGR23's table 3."""

QUALITY_CUTS = tuple(name for name in CUTS if name != "pre-main-sequence")
"""Those of the quality of fits."""

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


def counts(tables: Iterable[Table], also: Sequence[str] = ()) -> dict[str, int]:
    """How many stars pass each cut for which there are columns (ZGR23, table 3).

    Parameters
    ----------
    tables : iterable of astropy.table.Table
        Parts of a catalogue.
    also : sequence of str
        Cuts that are counted besides those of the quality of fits.

    Returns
    -------
    dict of str to int
        By name of the cut.

    Raises
    ------
    InputError
        If there are columns for none.
    """
    total = dict.fromkeys((*QUALITY_CUTS, *also), 0)
    for table in tables:
        for name in list(total):
            try:
                total[name] += int(passes(table, [name]).sum())
            except InputError as error:
                del total[name]
                if list(total) == ["all"]:  # none of the columns of any cut
                    raise error
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
