"""Labels of spectroscopic surveys, by the descriptions of `xpfit.read.surveys`, and of any table.

The tables of all surveys have the same columns: `teff` in K, `feh`, `logg` (and
`alpha_m`) in dex with `*_err`, `snr`, and `source_id` or `ra` and `dec` in degrees to join by. The
number of rows left out for each reason is in ``table.meta["removed"]``, the name of the survey in
``table.meta["survey"]``. Labels that are impossible, or whose error says that they are not
measured, are NaN.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..files import existing_file
from .columns import LABELLED, LABELS, MEANINGS, find_column
from .extra_labels import extra_labels
from .formats import Format, recognise
from .formats.base import require_columns
from .hot_payne import with_hot_payne
from .joins import id_column, integer_ids
from .known import Use, known_columns, possible_values, report_uses
from .source_ids import ids_of, release_of_ids
from .surveys import Survey, load_survey, recognised, without_flagged
from .surveys.description import REQUIRED_LABELS, holds_other_ids
from .tables import float_column, read_table, readable
from .units import say_once

SAME_POSITION = 1e-5
"""Degrees within which rows without ids are of one star: surveys repeat their input catalogue's."""

ANY_TABLE = "other"
"""Name of a survey for tables whose columns are known by their usual names."""


def read_survey(
    path: str | os.PathLike,
    survey: str | os.PathLike | None = None,
    *,
    hot_payne: str | os.PathLike | None = None,
) -> Table:
    """Read labels from the table of a survey.

    Parameters
    ----------
    path : path-like
        In any format of `xpfit.read.read_table`.
    survey : str or path-like, optional
        Name of a survey or of one of its releases (`xpfit.read.surveys`), "other" for any table, or
        a TOML file that describes one. By default the columns decide; a table of none of the
        surveys is read as any other.
    hot_payne : path-like, optional
        The Hot Payne's catalogue, for LAMOST's spectra of low resolution
        (`xpfit.read.hot_payne.with_hot_payne`).

    Returns
    -------
    astropy.table.Table
        As described above. Stars with one of the survey's bad flags and rows without labels are
        left out; of a star's several rows the one of highest S/N stays. LAMOST's rows have no ids:
        those of one position are one star.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, is the table of another survey, or has a wrong unit.
    """
    found = survey_of(path, survey)
    if hot_payne is not None and (found is None or found.name != "lamost-lrs"):
        raise InputError(
            f"{path}: the Hot Payne's catalogue goes with LAMOST's of low resolution, not with "
            f"{found.title if found else 'any other table'}"
        )
    if found is None:
        return read_labels(path)
    raw = _table_of(path, found)
    survey_here = found.spelled(raw.colnames)
    good, removed = without_flagged(raw, survey_here, str(path))
    table = _understood(good, survey_here.columns, str(path), survey_here)
    table.meta["path"] = str(path)
    if hot_payne is not None:
        table, counts = with_hot_payne(table, good, hot_payne)
        removed |= counts
    table = _finish(table, removed, "snr" if "snr" in table.colnames else None)
    table.meta["survey"] = Path(survey or found.name).name.removesuffix(".toml")
    return table


def survey_of(path: str | os.PathLike, survey: str | os.PathLike | None = None) -> Survey | None:
    """The survey whose table a file is.

    Parameters
    ----------
    path, survey : path-like
        As for `read_survey`.

    Returns
    -------
    Survey or None
        None if it is read as any table.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, or no survey is called that.
    """
    if survey == ANY_TABLE:
        return None
    if survey is not None:
        return load_survey(survey)
    _, _, tables = _tables_in(path)
    return next((found for found in map(recognised, tables.values()) if found), None)


def _tables_in(path: str | os.PathLike) -> tuple[Path, Format, dict[str, list[str]]]:
    """A file, its format, and the columns of its tables by name."""
    file = existing_file(path, empty=False)
    form, _ = recognise(file)
    with readable(file, form):
        return file, form, form.tables(file)


def _table_of(path: str | os.PathLike, survey: Survey) -> Table:
    """The table of a survey in a file, the first that has rows."""
    file, form, tables = _tables_in(path)
    fitting = [name for name, columns in tables.items() if not survey.lacking(columns)]
    if not fitting:
        columns = min(tables.values(), key=lambda names: len(survey.lacking(names)))
        other = recognised(columns)
        remedy = f"this is not the table of {survey.title}"
        if other is not None:
            remedy += f", but of {other.title} (--survey {other.name})"
        require_columns(survey.lacking(columns), (), file, remedy)
    wanted = {name.lower() for name in survey.wanted}
    for name in fitting:
        columns = {column for column in tables[name] if column.lower() in wanted}
        with readable(file, form):
            raw = form.columns_of(file, name, columns)
        if len(raw):
            break
    return raw


def read_labels(path: str | os.PathLike, columns: Mapping[str, str] | None = None) -> Table:
    """Read labels from any table.

    Parameters
    ----------
    path : path-like
        In any format of `xpfit.read.read_table`.
    columns : mapping of str to str, optional
        Our names (`LABEL_COLUMNS`, `source_id`) and the table's; further ones are labels that xpfit
        does not know (`extra_labels`). Columns that are not named are known by the names of
        `xpfit.read.columns`.

    Returns
    -------
    astropy.table.Table
        As described above.

    Raises
    ------
    FileNotFoundError, InputError
        If the file cannot be read, a column of the map is missing, one of teff, feh and logg is
        missing, or neither ids nor positions are given.
    """
    raw = read_table(path, LABELLED)
    columns = dict(columns or {})
    require_columns(columns.values(), raw.colnames, path, "this is not labels with this column map")
    good, removed = _without_known_flags(raw, str(path))
    table = _understood(good, columns, str(path))
    for name, values in extra_labels(good, columns, str(path)).items():
        table[name] = values
    require_columns(REQUIRED_LABELS, table.colnames, path, "this is not labels; give a column map")
    if "source_id" not in table.colnames and not {"ra", "dec"} <= set(table.colnames):
        raise InputError(f"{path}: neither source_id nor ra and dec to join by; give a column map")
    table = _finish(table, removed, "snr" if "snr" in table.colnames else None)
    table.meta["survey"] = ANY_TABLE
    return table


def read_apogee(path: str | os.PathLike) -> Table:
    """Deprecated: ``read_survey(path, "apogee-dr17")``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    astropy.table.Table

    Warns
    -----
    FutureWarning
    """
    warnings.warn(
        'read_apogee(path) is now read_survey(path, "apogee-dr17")', FutureWarning, stacklevel=2
    )
    return read_survey(path, "apogee-dr17")


def read_lamost(path: str | os.PathLike, hot_payne: str | os.PathLike | None = None) -> Table:
    """Deprecated: ``read_survey(path, "lamost-lrs", hot_payne=hot_payne)``.

    Parameters
    ----------
    path, hot_payne : path-like

    Returns
    -------
    astropy.table.Table

    Warns
    -----
    FutureWarning
    """
    warnings.warn(
        'read_lamost(path, hot_payne) is now read_survey(path, "lamost-lrs", hot_payne=hot_payne)',
        FutureWarning,
        stacklevel=2,
    )
    return read_survey(path, "lamost-lrs", hot_payne=hot_payne)


def _without_known_flags(raw: Table, what: str) -> tuple[Table, dict[str, int]]:
    """Rows without the bad flags of the survey whose table it is, or is made from."""
    survey = recognised(raw.colnames)
    if survey is not None:
        return without_flagged(raw, survey.spelled(raw.colnames), what)
    survey = load_survey("apogee-dr17")
    found = [(f, find_column(raw, (f.column.lower(),), what)) for f in survey.flags]
    if any(column is None and not flag.optional for flag, column in found):
        return raw, {}
    flags = tuple(replace(flag, column=column) for flag, column in found if column)
    return without_flagged(raw, replace(survey, flags=flags), what)


def reference_labels(raw: Table, what: str) -> Table:
    """Labels of any table to compare with, in its own rows.

    Parameters
    ----------
    raw : astropy.table.Table
        Such as APOGEE's allStar file, LAMOST's catalogue, or any with labels under the names of
        `xpfit.read.columns`.
    what : str
        What the table is, for messages.

    Returns
    -------
    astropy.table.Table
        As described above. Rows with a bad flag of their survey are left out; labels that are not
        known are NaN; of a star's several rows that of highest S/N comes first.

    Raises
    ------
    InputError
        If one of teff, feh and logg is missing, or neither ids nor positions are given.
    """
    good, removed = _without_known_flags(raw, what)
    survey = recognised(raw.colnames)
    columns = survey.spelled(raw.colnames).columns if survey else {}
    table = _understood(good, columns, what)
    for name in REQUIRED_LABELS:
        if name not in table.colnames:
            names = " or ".join(MEANINGS[name].names)
            raise InputError(f"{what} has no column {names}; rename the one that holds it")
    if "source_id" not in table.colnames and not {"ra", "dec"} <= set(table.colnames):
        integer_ids(good, what)  # for its error
    if "snr" in table.colnames:
        table = table[np.argsort(-np.nan_to_num(table["snr"]), kind="stable")]
    if any(removed.values()):
        counts = ", ".join(f"{n} {name}" for name, n in removed.items() if n)
        say_once(f"{what}: {sum(removed.values())} flagged rows are left out ({counts})")
    return table


def _understood(
    raw: Table, columns: Mapping[str, str], what: str, survey: Survey | None = None
) -> Table:
    """Table with our names, in our units, NaN where labels are impossible or not measured."""
    table = Table()
    wanted = [name for name in columns if name != "source_id"]
    if survey is None:
        wanted = ["ra", "dec", "ref_epoch", *(m.name for m in LABELS)]
    ids = columns.get("source_id") or id_column(raw, what)
    named = survey is not None and ids is not None and survey.other_ids == ids.lower()
    if ids is not None and "source_id" not in columns:
        ids = None if named or holds_other_ids(ids, raw.colnames) else ids
    if ids is not None:
        table["source_id"] = ids_of(raw[ids], what)
        table.meta["release"] = release_of_ids(raw, ids)
    values, uses = known_columns(raw, wanted, what, columns)
    for use in uses:
        _drop_unmeasured(values, use, raw)
    for name, column in values.items():
        table[name] = column
    for name in survey.kept if survey else ():
        table[name] = possible_values(raw[name], MEANINGS["snr"], f"{what}: column {name}")[0]
    flags = [flag.column for flag in survey.flags] if survey else ()
    report_uses(raw, what, ids or "position", uses, flags)
    return table


def _drop_unmeasured(values: dict[str, np.ndarray], use: Use, raw: Table) -> None:
    """Drop labels whose error says that they are not measured (zero is an error left out)."""
    label = use.meaning.name.removesuffix("_err")
    if label != use.meaning.name and label in values:
        given = float_column(raw[use.column])
        bad = np.isnan(values[use.meaning.name]) & np.isfinite(given) & (given != 0)
        values[label] = np.where(bad, np.nan, values[label])


def _finish(table: Table, removed: dict[str, int], best_by: str | None) -> Table:
    """Leave out rows without labels, and all but one row of each star, or of each position."""
    complete = np.isfinite([table[name] for name in REQUIRED_LABELS]).all(axis=0)
    removed["without labels"] = int(np.sum(~complete))
    meta = {**table.meta, "removed": removed}
    table = table[complete]
    quality = np.nan_to_num(table[best_by]) if best_by else np.zeros(len(table))
    if "source_id" in table.colnames:
        star = np.asarray(table["source_id"])
        unknown = star <= 0
    else:
        places = np.round(np.column_stack([table["ra"], table["dec"]]) / SAME_POSITION)
        unknown = ~np.isfinite(places).all(axis=1)
        star = np.unique(np.nan_to_num(places), axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((-quality, star))
    ordered = star[order]
    first = np.append(True, ordered[1:] != ordered[:-1])[: len(order)] | unknown[order]
    removed["repeated"] = int(np.sum(~first))
    table = table[np.sort(order[first])]
    table.meta = meta
    return table
