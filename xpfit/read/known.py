"""Tables of other people as xpfit needs them: known columns, in xpfit's units, possible values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Column, Table

from ..errors import InputError
from .columns import MEANINGS, Meaning, find_column
from .tables import float_column
from .units import converted, require_median, say_once, stated_unit

MAX_UNUSED_NAMED = 12


@dataclass(frozen=True)
class Use:
    """How a column of a table is used.

    Attributes
    ----------
    column : str
        In the table.
    meaning : Meaning
    n_valid : int
        Rows with a possible value.
    n_sentinel, n_outside : int
        Rows whose value says that there is none; with one that is impossible.
    example : float
        One of these; NaN if there is none.
    assumed : bool
        Whether the table does not state the unit.
    """

    column: str
    meaning: Meaning
    n_valid: int
    n_sentinel: int
    n_outside: int
    example: float
    assumed: bool

    def __str__(self) -> str:
        parts = [f"{self.n_valid} valid"]
        if self.n_sentinel + self.n_outside:
            n = self.n_sentinel + self.n_outside
            parts.append(f"{n} count as missing, such as {self.example:g}")
        if self.assumed:
            parts.append(f"unit not stated, {self.meaning.unit} assumed")
        return f"{self.column} -> {self.meaning.what} ({', '.join(parts)})"


def name_of(table: Table, what: str) -> str:
    """File that a table was read from, or what it is.

    Parameters
    ----------
    table : astropy.table.Table
    what : str
        What the table is, where it is from no file.

    Returns
    -------
    str
    """
    return str(table.meta.get("path", what))


def known_columns(
    table: Table, wanted: Iterable[str], what: str, given: Mapping[str, str] | None = None
) -> tuple[dict[str, np.ndarray], list[Use]]:
    """Columns of a table whose meaning is known.

    Parameters
    ----------
    table : astropy.table.Table
    wanted : iterable of str
        Names in `xpfit.read.columns.MEANINGS`.
    what : str
        What the table is, for messages.
    given : mapping of str to str, optional
        Names of columns that are known, by xpfit's.

    Returns
    -------
    columns : dict of str to ndarray of float64, shape (n_row,)
        Those that the table has, by xpfit's names, in xpfit's units; NaN where there is no possible
        value.
    uses : list of Use

    Raises
    ------
    InputError
        If a column has another unit, values that contradict its unit, or arrays in its cells; or
        if two columns with different values may be meant.
    """
    columns, uses = {}, []
    for name in wanted:
        meaning = MEANINGS[name]
        found = (given or {}).get(name) or find_column(table, meaning.names, what)
        if found is not None:
            columns[name], use = possible_values(table[found], meaning, f"{what}: column {found}")
            uses.append(use)
    return columns, uses


def possible_values(column: Column, meaning: Meaning, where: str) -> tuple[np.ndarray, Use]:
    """Values of a column in xpfit's unit, NaN where there is no possible one.

    Parameters
    ----------
    column : astropy.table.Column
    meaning : Meaning
    where : str
        File and column, for messages.

    Returns
    -------
    values : ndarray of float64, shape (n_row,)
    use : Use

    Raises
    ------
    InputError
        As `known_columns`.

    Warns
    -----
    UserWarning
        If values are impossible that are not known to say that there is none.
    """
    if column.ndim != 1:
        raise InputError(f"{where}: arrays in its cells; one number a row is needed")
    stated = stated_unit(column) if meaning.unit else ""
    raw = float_column(column)
    values = converted(raw, stated, meaning.unit, where) if meaning.unit else raw
    with np.errstate(invalid="ignore"):
        sentinel = meaning.is_sentinel(values)
        if values is not raw:
            sentinel |= meaning.is_sentinel(raw)
        valid = meaning.is_possible(values) & ~sentinel
    outside = ~valid & ~sentinel & ~np.isnan(values)
    if outside.any():
        _report_outside(values, valid, outside, meaning, stated, where)
    values = np.where(valid, values, np.nan)
    if meaning.typical:
        require_median(values, meaning.unit, meaning.typical, where, stated)
    strange = raw[sentinel | outside]
    example = float(strange[0]) if len(strange) else np.nan
    counts = (int(np.sum(rows)) for rows in (valid, sentinel, outside))
    assumed = bool(meaning.unit) and not stated
    return values, Use(getattr(column, "name", ""), meaning, *counts, example, assumed)


def _report_outside(values, valid, outside, meaning: Meaning, stated: str, where: str) -> None:
    """Warn of impossible values; refuse them if there are no others."""
    example = values[outside][0]
    limits = f"{meaning.low:g} and {meaning.high:g} {meaning.unit}".rstrip()
    if not valid.any():
        unit = f"its unit ({stated})" if stated else "its unit, which the file does not state,"
        raise InputError(
            f"{where}: no value is possible as {meaning.what} (such as {example:g}; expected "
            f"between {limits}); correct {unit} or the values"
        )
    warnings.warn(
        f"{where}: {outside.sum()} of {len(values)} values are impossible as {meaning.what} (such "
        f"as {example:g}; expected between {limits}); they count as missing",
        stacklevel=5,
    )


def report_uses(
    table: Table,
    what: str,
    key: str,
    uses: list[Use],
    also: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> None:
    """Tell users, once, which columns of a table are used as what, and which are not.

    Parameters
    ----------
    table : astropy.table.Table
    what : str
        What the table is.
    key : str
        How rows are joined.
    uses : list of Use
    also : iterable of str
        Other columns that are used.
    notes : iterable of str
        What more to say, a line each.
    """
    used = {key, *(use.column for use in uses), *also}
    unused = [name for name in table.colnames if name not in used]
    more = len(unused) - MAX_UNUSED_NAMED
    text = ", ".join(unused[:MAX_UNUSED_NAMED]) + (f" and {more} more" if more > 0 else "")
    lines = [f"{what}: {len(table)} rows, joined by {key}", *(f"  {use}" for use in uses)]
    lines += [f"  {note}" for note in notes]
    say_once("\n".join(lines + [f"  not used: {text}"] * bool(unused)))
