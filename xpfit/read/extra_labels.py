"""Labels under names that xpfit does not know, such as further abundances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .columns import LABELS, MEANINGS, Meaning
from .known import possible_values

NO_LABELS = ("extinction", "snr", "ln_luminosity", "xi", "distance", "amplitude", "source_id")
"""Names that mean something else."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_LARGEST = 1e6
"""Beyond all labels; larger values are sentinels."""


def label_names(columns: Iterable[str]) -> tuple[str, ...]:
    """Labels among the columns of a table with xpfit's names.

    Parameters
    ----------
    columns : iterable of str

    Returns
    -------
    tuple of str
        Those that xpfit knows, and all others beside which there is a column of errors,
        ``NAME_err``.
    """
    columns = tuple(columns)
    known = {m.name for m in LABELS} - {*NO_LABELS}
    return tuple(
        name
        for name in columns
        if not name.endswith("_err")
        and (name in known or (f"{name}_err" in columns and name not in {*MEANINGS, *NO_LABELS}))
    )


def extra_labels(raw: Table, columns: Mapping[str, str], what: str) -> dict[str, np.ndarray]:
    """Labels of a table under names that xpfit does not know.

    Parameters
    ----------
    raw : astropy.table.Table
    columns : mapping of str to str
        New names, also with ``_err`` for the errors, and the table's; others are ignored.
    what : str
        What the table is, for messages.

    Returns
    -------
    dict of str to ndarray, shape (n_row,)
        Labels in the table's own unit and their errors, NaN where unknown.

    Raises
    ------
    InputError
        If a name is not one of small letters, digits and underscores, is that of something else, or
        is an error without a label; or a column does not hold numbers.
    """
    new = {name: column for name, column in columns.items() if name not in MEANINGS}
    new.pop("source_id", None)
    found = {}
    for name, column in new.items():
        label = name.removesuffix("_err")
        if not _NAME.fullmatch(name) or label in NO_LABELS:
            raise InputError(
                f"{what}: {name!r} is no name for a label; take small letters, digits and "
                f"underscores, and none of {', '.join(NO_LABELS)}"
            )
        if label not in new:
            raise InputError(f"{what}: {name} is the error of a label without a column; name it")
        is_error = label != name
        low = 0.0 if is_error else -_LARGEST
        meaning = Meaning(name, name, "", low, _LARGEST, (name,), positive=is_error)
        found[name], _ = possible_values(raw[column], meaning, f"{what}: column {column}")
        found.setdefault(f"{label}_err", np.full(len(raw), np.nan))
    return found
