"""Source ids in columns: integers, texts of them, designations; and of which release they are."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..releases import PARALLAX_BIAS, RELEASES, SAME_IDS
from .tables import parsed_column

DESIGNATION = re.compile(r"^\s*Gaia\s*(E?DR\d+)\s+(\d+)\s*$", re.IGNORECASE)

_IN_NAME = re.compile(r"(?<![a-z])g?(?:aia)?_?(e?dr\d)(?!\d)", re.IGNORECASE)

OTHER_RELEASE = (
    "ids of Gaia DR3 (or EDR3, which are the same) or later are needed; the archive's tables "
    "dr2_neighbourhood, dr3_neighbourhood ... have those of the release before"
)


def ids_of(column, what: str) -> np.ndarray:
    """A column of source ids as int64, zero where missing.

    Parameters
    ----------
    column : astropy.table.Column
        Integers of 64 bits, texts of them, or designations ("Gaia DR3 123").
    what : str
        What the table is, for messages.

    Returns
    -------
    ndarray of int64, shape (n_row,)

    Raises
    ------
    InputError
        If it holds numbers of another type, texts of which none is an id, or designations of
        another data release.

    Warns
    -----
    UserWarning
        If some texts are no ids: these count as missing.
    """
    values = np.ma.asarray(column)
    if values.dtype.kind in "USO" and values.ndim == 1:
        ids = parsed_column(column, id_of_text, np.int64(0), "64-bit integer ids")
        if ids.any() or not len(ids):
            return ids
    if values.dtype.kind not in "iu" or values.dtype.itemsize != 8 or values.ndim != 1:
        raise InputError(
            f"{what}: {getattr(column, 'name', 'source_id')} has type {values.dtype}, not 64-bit "
            "integers; fetch or write the table with 64-bit integer ids (other types lose digits)"
        )
    filled = np.ma.filled(values, 0)
    return np.where(filled > np.iinfo(np.int64).max, 0, filled).astype(np.int64)


def id_of_text(text: str) -> int:
    """A source id, by itself or in a designation.

    Parameters
    ----------
    text : str
        Such as "123" or "Gaia DR3 123".

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is an id of another data release.
    ValueError, OverflowError
        If it is no id.
    """
    designation = DESIGNATION.match(text)
    if designation:
        release = designation[1].upper()
        if release not in SAME_IDS:
            raise InputError(f"{text.strip()!r} is an id of Gaia {release}; {OTHER_RELEASE}")
        text = designation[2]
    value = int(text)
    if not 0 <= value < 2**63:
        raise OverflowError
    return value


def release_of_ids(table: Table, column: str) -> str:
    """Data release whose source ids a column holds; empty if nothing tells it.

    Parameters
    ----------
    table : astropy.table.Table
    column : str
        Of ids.

    Returns
    -------
    str
        A name in `xpfit.releases.RELEASES`: by the designations, the name of the column, the
        metadata of the table, a column that only one release has, or the epoch of its positions.

    Raises
    ------
    InputError
        If there are designations of several releases.
    """
    values = np.ma.compressed(np.ma.asarray(table[column]))
    if values.dtype.kind in "USO":
        texts = (v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)
        found = {m[1].upper() for m in map(DESIGNATION.match, texts) if m}
        releases = {SAME_IDS[name] for name in found if name in SAME_IDS}
        if len(releases) > 1:
            raise InputError(
                f"{table.meta.get('path', 'the table')}: {column} holds designations of "
                f"{' and '.join(sorted(releases))}; give each data release as a table of its own"
            )
        if releases:
            return releases.pop()
    named = _IN_NAME.search(column)
    if named and named[1].upper() in SAME_IDS:
        return SAME_IDS[named[1].upper()]
    stated = str(table.meta.get("release", table.meta.get("RELEASE", ""))).upper()
    if stated in RELEASES:
        return stated
    lower = {name.lower(): name for name in table.colnames}
    if PARALLAX_BIAS in lower:
        return next(r.name for r in RELEASES.values() if r.zero_point == PARALLAX_BIAS)
    if "ref_epoch" not in lower:
        return ""
    epochs = np.ma.compressed(np.ma.asarray(table[lower["ref_epoch"]])[:1])
    return next((r.name for r in RELEASES.values() if len(epochs) and epochs[0] == r.epoch), "")
