"""Recipes as TOML files, by name or path; errors name the key and the line."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from ..constraints import SettingError
from ..errors import InputError
from .recipe import RECIPE_FOLDER, Phase, Recipe, tomllib

RECIPES = tuple(sorted(path.stem for path in RECIPE_FOLDER.glob("*.toml")))
"""Names of the recipes that come with xpfit."""


def load_recipe(name: str | os.PathLike) -> Recipe:
    """A recipe that comes with xpfit, or one from a file.

    Parameters
    ----------
    name : str or path-like
        One of `RECIPES`, or a TOML file as `recipe_text` writes it. Keys that a file leaves out
        are those of the default recipe.

    Returns
    -------
    Recipe

    Raises
    ------
    FileNotFoundError
        If there is no such recipe or file.
    InputError
        If the file is not TOML, or has an unknown key or an impossible value; the message names
        key and line.
    """
    path = RECIPE_FOLDER / f"{name}.toml" if str(name) in RECIPES else Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such recipe or file; recipes that come with xpfit: {', '.join(RECIPES)}"
        )
    text = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a TOML file ({error})") from error
    tables = values.pop("phases", None)
    if tables is not None:
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise InputError(f"{path}{_line(text, 'phases')}: phases are tables, [[phases]]")
        values["phases"] = tuple(
            _build(Phase, table, path, text, index) for index, table in enumerate(tables)
        )
    return _build(Recipe, values, path, text)


_TABLES = {
    "label_error_floor": "kK, dex",
    "clean_label_floor": "kK, dex",
    "high_quality": "largest errors: kK, dex, mag; of the parallax, relative",
}
"""Settings that are tables of numbers, and their units."""


def recipe_text(recipe: Recipe) -> str:
    """A recipe as TOML, to be edited and given to `load_recipe`.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    str
    """
    lines = [
        f"{f.name} = {_toml(getattr(recipe, f.name))}"
        for f in fields(Recipe)
        if f.name not in ("phases", *_TABLES)
    ]
    for table, units in _TABLES.items():
        lines += ["", f"[{table}]  # {units}"]
        lines += [f"{name} = {_toml(value)}" for name, value in getattr(recipe, table).items()]
    for phase in recipe.phases:
        lines += ["", "[[phases]]"]
        lines += [f"{f.name} = {_toml(getattr(phase, f.name))}" for f in fields(Phase)]
    return "\n".join(lines) + "\n"


def _toml(value) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _build(kind, values: dict, path: Path, text: str, phase: int | None = None):
    """A phase or recipe from the values of a table, every key checked."""
    types = get_type_hints(kind)
    hints = {f.name: types[f.name] for f in fields(kind)}
    for key, value in values.items():
        if key not in hints:
            problem = f"unknown key {key!r}; known are {', '.join(hints)}"
        else:
            problem = _type_problem(key, value, hints[key])
        if problem:
            raise InputError(f"{path}{_line(text, key, phase)}: {problem}")
    try:
        return kind(**values)
    except SettingError as error:
        raise InputError(f"{path}{_line(text, error.key, phase)}: {error}") from error
    except TypeError as error:
        raise InputError(f"{path}{_line(text, '[[phases]]', phase)}: {error}") from error


def _type_problem(key: str, value, expected: type) -> str:
    """How a value is of another type than expected; empty if it is not."""
    if key in _TABLES:
        good = isinstance(value, dict) and all(_is(v, float) for v in value.values())
        return "" if good else f"{key} is a table of numbers by name"
    if expected == tuple[int, ...]:
        good = isinstance(value, list) and all(_is(v, int) for v in value)
        return "" if good else f"{key} is a list of whole numbers"
    good = expected not in (int, float, bool, str) or _is(value, expected)
    return "" if good else f"{key} must be of type {expected.__name__}, got {value!r}"


def _is(value, expected: type) -> bool:
    """Whether a value is of a type; whole numbers serve as floats, truth values as nothing else."""
    if expected is bool or isinstance(value, bool):
        return expected is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if expected is float else expected)


def _line(text: str, key: str, phase: int | None = None) -> str:
    """Line of a key, as ", line N": within its phase, or before the first one."""
    current = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if re.match(r"\[\[\s*phases\s*\]\]", stripped):
            current = 0 if current is None else current + 1
            if key == "[[phases]]" and current == phase:
                return f", line {number}"
        name = re.match(r"""[\[\s]*["']?([\w-]+)["']?\s*[\]=]""", stripped)
        if name and name.group(1) == key and (current == phase or key == "phases"):
            return f", line {number}"
    return ""
