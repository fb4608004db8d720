"""Published tables that fits are compared with, by name: their columns, units and quality cuts.

Each is a TOML file in ``references/``; a file of the same form describes a user's own table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ..constants import LN_PER_MAG
from ..errors import InputError
from ..model import XPModel
from ..quantities import BASIC_LABELS
from ..read.columns import MEANINGS, Meaning, find_column, plain
from ..read.joins import integer_ids
from ..read.known import possible_values
from ..read.tables import float_column
from ..read.units import say_once, stated_unit
from ..train.recipe import tomllib

DIRECTORY = Path(__file__).with_name("references")

Attenuation = Callable[[float], float]
"""Wavelength in nm -> A(lambda) / E."""

_DERIVED = {
    "attenuation": Meaning("attenuation", "attenuation", "mag", -5.0, 100.0, ()),
    "distance": Meaning(
        "distance", "distance", "kpc", 0.0, 1000.0, (), positive=True, typical=(0.01, 100.0)
    ),
    "parallax": MEANINGS["parallax"],
}
"""Quantities that are converted into those of a catalogue, besides labels."""

COLUMN_KEYS = ("names", "unit", "error", "lower", "upper", "wavelength")
CUT_KEYS = ("names", "equals", "above", "below", "unset", "optional", "what")


@dataclass(frozen=True)
class KnownReference:
    """What the columns of a published table mean, and which of its rows are recommended.

    Attributes
    ----------
    name, title, source, note : str
        For people; the note says what is assumed and how quantities are compared.
    recognised_by : tuple of str
        Columns that no other table has together; without any, it is known by its name alone.
    columns : mapping of str to mapping
        By quantity: a label, ``extinction`` (E), ``attenuation`` (A at a ``wavelength`` in nm),
        ``parallax`` or ``distance``. ``names`` in tables, ``unit`` if a table does not state it,
        ``error`` (names, or one number for all rows) or quantiles ``lower`` and ``upper`` of 16
        and 84 %.
    cuts : tuple of mapping
        ``names`` of a column and what passes: ``equals`` (texts), ``above``, ``below`` or bits that
        are ``unset``; ``what`` says it to people. An ``optional`` one is made if there is the
        column.
    """

    name: str
    title: str
    source: str = ""
    note: str = ""
    recognised_by: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cuts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self):
        allowed = {*_DERIVED, *(n for n in MEANINGS if f"{n}_err" in MEANINGS)}
        for what, entries, keys in (
            ("column", self.columns, COLUMN_KEYS),
            ("cut", dict(enumerate(self.cuts)), CUT_KEYS),
        ):
            for key, entry in entries.items():
                strange = [k for k in entry if k not in keys]
                if what == "column" and key not in allowed:
                    raise InputError(
                        f"{self.name}: there is no quantity {key!r}; known are "
                        f"{', '.join(sorted(allowed))}"
                    )
                if strange or not entry.get("names"):
                    raise InputError(
                        f"{self.name}, {what} {key}: needs names and may have "
                        f"{', '.join(keys[1:])}; got {', '.join(entry)}"
                    )
        if "attenuation" in self.columns and "wavelength" not in self.columns["attenuation"]:
            raise InputError(f"{self.name}: attenuation needs its wavelength in nm")

    def matches(self, table: Table) -> bool:
        """Whether a table has the columns by which this one is recognised."""
        spelled = {plain(name) for name in table.colnames}
        return bool(self.recognised_by) and spelled >= set(self.recognised_by)

    def labels(self, raw: Table, what: str, attenuation: Attenuation | None = None) -> Table:
        """The rows that pass the cuts, in xpfit's quantities and units.

        Parameters
        ----------
        raw : astropy.table.Table
        what : str
            File, for messages.
        attenuation : callable, optional
            A(lambda) / E of the extinction curve; without it extinction is left out.

        Returns
        -------
        astropy.table.Table
            Columns `source_id`, the basic labels (NaN where the table has none), and others with
            their errors; NaN where there is no possible value.

        Raises
        ------
        InputError
            If a column is missing or in a wrong unit, by its name.
        """
        keep, cuts = self._passing(raw, what)
        raw = raw[keep]
        table = Table({"source_id": integer_ids(raw, what)})
        for name in BASIC_LABELS:
            table[name] = np.full(len(raw), np.nan)
        for quantity, column in self.columns.items():
            if quantity == "attenuation" and attenuation is None:
                continue
            self._add(table, raw, quantity, column, what, attenuation)
        counted = f"{what}: {self.title}: {keep.sum()} of {len(keep)} rows are used{cuts}"
        say_once("\n  ".join([counted, *filter(None, [self.note, self.source])]))
        return table

    def _passing(self, raw: Table, what: str) -> tuple[np.ndarray, str]:
        """Rows that pass the cuts, and which cuts these are."""
        keep, made = np.ones(len(raw), dtype=bool), []
        for cut in self.cuts:
            column = find_column(raw, cut["names"], what)
            if column is None:
                if cut.get("optional"):
                    made.append(f"not cut by {cut['names'][0]}, which is missing")
                    continue
                raise InputError(self._missing(what, cut["names"], "its quality cut"))
            keep &= _passes(raw[column], cut)
            made.append(f"{column}: {cut.get('what', 'passes')}")
        return keep, f" ({'; '.join(made)})" if made else ""

    def _add(self, table, raw, quantity, column, what, attenuation) -> None:
        """Add a quantity and its error."""
        value = self._values(raw, column["names"], quantity, column, what)
        error = np.full(len(raw), np.nan)
        if isinstance(column.get("error"), (int, float)):
            error[:] = column["error"]
        elif "lower" in column and find_column(raw, column["lower"], what):
            low, high = (
                self._values(raw, column[end], quantity, column, what) for end in ("lower", "upper")
            )
            if quantity == "distance":
                low, high = 1.0 / high, 1.0 / low
            error = 0.5 * (high - low)
        elif "error" in column and (found := find_column(raw, column["error"], what)):
            meaning = MEANINGS[{"parallax": "parallax_error"}.get(quantity, f"{quantity}_err")]
            error, _ = possible_values(
                _with_unit(raw[found], column), meaning, f"{what}: column {found}"
            )
        if quantity == "distance":
            quantity, value = "parallax", 1.0 / value
        if quantity == "attenuation":
            per_extinction = attenuation(column["wavelength"])
            quantity, value, error = "extinction", value / per_extinction, error / per_extinction
        table[quantity], table[f"{quantity}_err"] = value, error

    def _values(self, raw, names, quantity, column, what) -> np.ndarray:
        """Values of a column in xpfit's unit."""
        found = find_column(raw, names, what)
        if found is None:
            raise InputError(self._missing(what, names, quantity))
        meaning = _DERIVED.get(quantity) or MEANINGS[quantity]
        where = f"{what}: column {found}"
        return possible_values(_with_unit(raw[found], column), meaning, where)[0]

    def _missing(self, what: str, names: Iterable[str], quantity: str) -> str:
        """Text of the error for a column that is missing."""
        return (
            f"{what}: as {self.title} it needs a column {' or '.join(names)} for {quantity}; "
            "rename the one that holds it, or describe the table in a TOML file "
            "(--reference DESCRIPTION.toml=TABLE)"
        )


def _with_unit(column, entry: Mapping[str, Any]):
    """The column with the unit that its values have where it states none."""
    if "unit" in entry and not stated_unit(column):
        column = column.copy()
        column.unit = entry["unit"]
    return column


def _passes(column, cut: Mapping[str, Any]) -> np.ndarray:
    """Rows that pass one cut; those without a value do not."""
    if "equals" in cut:
        cells = np.ma.filled(np.ma.asarray(column).astype(str), "")
        return np.isin(np.char.lower(np.char.strip(cells)), cut["equals"])
    values = float_column(column)
    with np.errstate(invalid="ignore"):
        passed = np.isfinite(values)
        if "above" in cut:
            passed &= values > cut["above"]
        if "below" in cut:
            passed &= values < cut["below"]
        if "unset" in cut:
            passed &= (np.nan_to_num(values).astype(np.int64) & int(cut["unset"])) == 0
    return passed


def read_description(path: str | os.PathLike) -> KnownReference:
    """Description of a table from a TOML file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    KnownReference

    Raises
    ------
    InputError
        If the file is no such description.
    """
    path = Path(path)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("recognised_by", "cuts"):
            entries[name] = tuple(entries.get(name, ()))
        return KnownReference(path.stem, **{"title": path.stem, **entries})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise InputError(f"{path}: not a description of a reference table ({error})") from error


@cache
def known_references() -> dict[str, KnownReference]:
    """Tables that xpfit knows, by name."""
    return {path.stem: read_description(path) for path in sorted(DIRECTORY.glob("*.toml"))}


def recognise_reference(table: Table) -> KnownReference | None:
    """The known table that a table is, by its columns; None if it is no one of them."""
    return next((known for known in known_references().values() if known.matches(table)), None)


def named_reference(text: str | os.PathLike) -> tuple[KnownReference | None, str]:
    """A table as commands name it.

    Parameters
    ----------
    text : str or path-like
        ``TABLE``, ``NAME=TABLE`` or ``DESCRIPTION.toml=TABLE``.

    Returns
    -------
    known : KnownReference or None
        None where no name is given.
    path : str

    Raises
    ------
    InputError
        If there is no such name.
    """
    text = os.fspath(text)
    name, equals, path = text.partition("=")
    if not equals or os.path.exists(text):
        return None, text
    if name in known_references():
        return known_references()[name], path
    if name.endswith(".toml") and os.path.exists(name):
        return read_description(name), path
    raise InputError(
        f"{text}: there is no reference table {name!r}; known are "
        f"{', '.join(known_references())}, or give the TOML file that describes yours"
    )


def attenuation_of(model: XPModel) -> Attenuation:
    """A(lambda) / E of a model's extinction curve (at xi = 0), for wavelengths in nm.

    Parameters
    ----------
    model : XPModel

    Returns
    -------
    callable
        Raises an `InputError` beyond the wavelengths that the model was trained on.

    Notes
    -----
    The flux is exp(-E R) of that without dust, so that A = 1.0857 R E (ZGR23, eq. 1).
    """
    known = model.trained_grid
    wavelength, curve = model.wavelength[known], model.forward.extinction_curve[known]

    def attenuation(at: float) -> float:
        if not wavelength.min() <= at <= wavelength.max():
            raise InputError(f"the model's extinction curve does not reach {at:g} nm")
        return float(np.interp(at, wavelength, curve) / LN_PER_MAG)

    return attenuation
