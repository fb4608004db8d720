"""Flags of surveys in whatever type a file has them: whole numbers, truth values, texts, names."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Table

from ...errors import InputError
from .description import Flag, Survey

_WORDS = {"true": 1, "t": 1, "yes": 1, "false": 0, "f": 0, "no": 0}


def without_flagged(raw: Table, survey: Survey, what: str) -> tuple[Table, dict[str, int]]:
    """Rows of a survey's table that its flags do not disqualify.

    Parameters
    ----------
    raw : astropy.table.Table
        With the survey's columns of flags under the names that the survey gives them.
    survey : Survey
    what : str
        What the table is, for messages.

    Returns
    -------
    table : astropy.table.Table
    removed : dict of str to int
        Number of rows that each flag has removed: by the name of the bit, or of the column.

    Raises
    ------
    InputError
        If a column holds no flags.
    """
    keep, removed = np.ones(len(raw), dtype=bool), {}
    for flag in survey.flags:
        values, known = flag_values(raw[flag.column], flag, f"{what}: column {flag.column}")
        bad = {name: (values >> bit) & 1 == 1 for name, bit in flag.bad.items()}
        bad = bad or {flag.column: values != 0}
        if not known.all():
            bad[f"no {flag.column}"] = ~known
        for name, rows in bad.items():
            removed[name] = int(np.sum(keep & rows))
            keep &= ~rows
    return raw[keep], removed


def flag_values(column, flag: Flag, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Flags as whole numbers.

    Parameters
    ----------
    column : astropy.table.Column
        Whole numbers, truth values, texts of these, or the names of bits.
    flag : Flag
    where : str
        File and column, for messages.

    Returns
    -------
    values : ndarray of int64, shape (n_row,)
        Zero where there is none, or a negative number in its place.
    known : ndarray of bool, shape (n_row,)

    Raises
    ------
    InputError
        If a value is no flag.
    """
    cells = np.ma.asarray(getattr(column, "value", column))
    known = ~np.ma.getmaskarray(cells)
    data = np.ma.getdata(cells)
    if cells.ndim != 1:
        raise InputError(f"{where}: arrays in its cells; one flag a row is needed")
    if data.dtype.kind in "SUO":
        texts, place = np.unique(np.where(known, data, "").astype("U"), return_inverse=True)
        numbers = np.array([_number(text, flag, where) for text in texts], dtype=np.int64)
        return np.maximum(numbers, 0)[place], known & (numbers >= 0)[place]
    if data.dtype.kind == "f":
        known &= np.isfinite(data)
        data = np.where(known, data, 0.0)
        if np.any(data != np.round(data)):
            bad = data[data != np.round(data)][0]
            raise InputError(f"{where}: {bad:g} is no flag; flags are whole numbers")
    known &= data >= 0
    return np.where(known, data, 0).astype(np.int64), known


def _number(text: str, flag: Flag, where: str) -> int:
    """A flag from a text; -1 if it is empty."""
    text = re.sub(r"^b'(.*)'$", r"\1", text.strip())
    if text.lower() in ("", "null", "nan", "none", "--"):
        return -1
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        number = float(text)
    except ValueError:
        names = re.split(r"[\s,|+;]+", text)
        if flag.bad and all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in names):
            return sum(1 << flag.bad[name] for name in set(names) if name in flag.bad)
        raise InputError(f"{where}: {text[:30]!r} is no flag; flags are whole numbers") from None
    if number != round(number) or number < 0:
        raise InputError(f"{where}: {text[:30]!r} is no flag; flags are whole numbers")
    return int(number)
