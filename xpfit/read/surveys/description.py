"""What the table of a survey is like, from its TOML file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path

from ...errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
"""Where the surveys that come with xpfit are."""

LABEL_COLUMNS = (
    "teff", "teff_err", "feh", "feh_err", "logg", "logg_err", "alpha_m", "alpha_m_err",
    "c_fe", "c_fe_err", "n_fe", "n_fe_err", "extinction", "extinction_err", "snr", "ra", "dec",
)  # fmt: skip
"""Numeric columns that a table of labels may have, besides `source_id`."""

REQUIRED_LABELS = ("teff", "feh", "logg")


@dataclass(frozen=True)
class Flag:
    """A column that tells which stars not to use.

    Attributes
    ----------
    column : str
    bad : mapping of str to int
        Bits that disqualify a star, by their names; any, if there are none.
    optional : bool
        Whether tables may lack the column.
    """

    column: str
    bad: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Survey:
    """The table of a survey.

    Attributes
    ----------
    name : str
    title : str
        For people.
    columns : mapping of str to str
        Our names (`LABEL_COLUMNS`, `source_id`) and those of the table, in any case.
    optional : mapping of str to str
        Those that only some releases have.
    file, paper : str
        Name of the file that was looked at, and where the survey is described.
    missing : str
        How the survey says that it has not measured something.
    aliases : tuple of str
        Other names, such as those of releases with the same columns.
    kept : tuple of str
        Further columns of numbers that are kept under their names.
    marks : tuple of str
        Columns by which the table is recognised, besides those above.
    other_ids : str
        Column with source ids that are not those of Gaia DR3.
    flags : tuple of Flag
    """

    name: str
    title: str
    columns: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    paper: str = ""
    missing: str = "NaN"
    aliases: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    other_ids: str = ""
    flags: tuple[Flag, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that the table must have."""
        flags = (flag.column for flag in self.flags if not flag.optional)
        return (*self.columns.values(), *self.kept, *flags)

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns that are read."""
        flags = (flag.column for flag in self.flags if flag.optional)
        return (*self.required, *self.optional.values(), *flags, *self.marks)

    def lacking(self, columns: Iterable[str]) -> list[str]:
        """Columns that the table must have and does not."""
        lower = {column.lower() for column in columns}
        return [name for name in self.required if name.lower() not in lower]

    def is_like(self, columns: Iterable[str]) -> bool:
        """Whether a table of these columns is one of this survey."""
        lower = {column.lower() for column in columns}
        return all(name.lower() in lower for name in (*self.required, *self.marks))

    def spelled(self, columns: Iterable[str]) -> Survey:
        """The same with the names as a table spells them, and no optional columns but its own."""
        actual = {column.lower(): column for column in columns}
        present = {n: c for n, c in self.optional.items() if c.lower() in actual}

        def of(name: str) -> str:
            return actual.get(name.lower(), name)

        return replace(
            self,
            columns={name: of(column) for name, column in {**self.columns, **present}.items()},
            optional={},
            kept=tuple(map(of, self.kept)),
            flags=tuple(
                replace(flag, column=of(flag.column))
                for flag in self.flags
                if not flag.optional or flag.column.lower() in actual
            ),
        )


def load_survey(name: str | os.PathLike) -> Survey:
    """A survey that comes with xpfit, or one from a file.

    Parameters
    ----------
    name : str or path-like
        Of a survey, or a TOML file like those of `xpfit/read/surveys`.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If there is none of this name, or the file is none of a survey.
    """
    for survey in SURVEYS.values():
        if str(name) in (survey.name, *survey.aliases):
            return survey
    path = Path(name)
    if path.suffix != ".toml":
        raise InputError(
            f"{name} is no survey; known are {', '.join(survey_names())}, other (any table), or "
            "give a TOML file that names the columns"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return _read(path)


def _read(path: Path) -> Survey:
    """Survey from a file; errors name what is wrong in it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from error
    known = {f.name for f in fields(Survey)} - {"name"}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise InputError(f"{path}: unknown key {', '.join(unknown)}; known are {sorted(known)}")
    values.setdefault("title", path.stem)
    columns = values.setdefault("columns", {})
    names = [name for part in (columns, values.get("optional", {})) for name in part]
    strange = [name for name in names if name not in (*LABEL_COLUMNS, "source_id")]
    if strange:
        raise InputError(
            f"{path}: no label column is called {', '.join(strange)}; known are source_id, "
            f"{', '.join(LABEL_COLUMNS)}"
        )
    absent = [name for name in REQUIRED_LABELS if name not in columns]
    if absent:
        raise InputError(f"{path}: [columns] has no {', '.join(absent)}")
    if "source_id" not in columns and not {"ra", "dec"} <= columns.keys():
        raise InputError(f"{path}: [columns] has neither source_id nor ra and dec to join by")
    try:
        values["flags"] = tuple(Flag(**flag) for flag in values.get("flags", ()))
    except TypeError as error:
        raise InputError(f"{path}: [[flags]] are column, bad and optional ({error})") from error
    lists = {name: tuple(values[name]) for name in ("aliases", "kept", "marks") if name in values}
    return Survey(name=path.stem, **{**values, **lists})


SURVEYS = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.toml"))}
"""Surveys that come with xpfit, by name."""


@cache
def survey_names() -> tuple[str, ...]:
    """Names of the surveys that come with xpfit, and of their releases.

    Returns
    -------
    tuple of str
    """
    return tuple(sorted({n for s in SURVEYS.values() for n in (s.name, *s.aliases)}))


def holds_other_ids(ids: str, columns: Iterable[str]) -> bool:
    """Whether a column of ids is that of a survey in which they are of another data release.

    Parameters
    ----------
    ids : str
        Column of ids.
    columns : iterable of str
        Of its table, which may be a part of the survey's.

    Returns
    -------
    bool
    """
    given = {name.lower() for name in columns}
    return any(
        survey.other_ids == ids.lower() and survey.marks and given >= set(survey.marks)
        for survey in SURVEYS.values()
    )


def recognised(columns: Iterable[str]) -> Survey | None:
    """The survey whose table has these columns.

    Parameters
    ----------
    columns : iterable of str

    Returns
    -------
    Survey or None
        None if they are those of none, or of several.
    """
    columns = tuple(columns)
    found = [survey for survey in SURVEYS.values() if survey.is_like(columns)]
    return found[0] if len(found) == 1 else None
