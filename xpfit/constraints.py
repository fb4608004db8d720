"""Values that settings can have, and the errors for those that they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from .errors import InputError

Constraint = tuple[Callable[[Any], Any], str]
"""Whether a value is possible, and which ones are, in words."""

AT_LEAST_1: Constraint = (lambda x: x >= 1, "at least 1")
POSITIVE: Constraint = (lambda x: x > 0, "positive")
NOT_NEGATIVE: Constraint = (lambda x: x >= 0, "0 or more")
BELOW_1: Constraint = (lambda x: 0 <= x < 1, "0 or more, below 1")
BETWEEN_0_AND_1: Constraint = (lambda x: 0 < x < 1, "above 0, below 1")
FRACTION: Constraint = (lambda x: 0 <= x <= 1, "between 0 and 1")
RATE: Constraint = (lambda x: 0 <= x < math.inf, "0 or more, and finite")


def one_of(*options: str) -> Constraint:
    """One of a few words."""
    return (lambda x: x in options), f"one of {', '.join(options)}"


def each(constraint: Constraint, *names: str) -> dict[str, Constraint]:
    """The same constraint for several settings."""
    return dict.fromkeys(names, constraint)


class SettingError(InputError):
    """A setting that is impossible; `key` is its name."""

    def __init__(self, key: str, value: Any, constraint: str):
        super().__init__(f"{key} must be {constraint}, got {value!r}")
        self.key = key


def require(key: str, value: Any, constraint: Constraint) -> None:
    """Refuse an impossible value; of a mapping, each of its values is checked.

    Raises
    ------
    SettingError
    """
    holds, text = constraint
    cases = value.items() if isinstance(value, Mapping) else [(None, value)]
    for name, case in cases:
        if not holds(case):
            raise SettingError(key, value, f"{text} for {name}" if name else text)


@dataclass(frozen=True)
class CheckedSettings:
    """Base of frozen dataclasses of settings, which are checked when they are made.

    Lists become tuples. Raises `SettingError` for the first impossible setting.

    Attributes
    ----------
    constraints : mapping of str to Constraint
        Of each setting by itself.
    consistency : mapping of str to Constraint
        Of all settings together, by the name of the one that is to blame.
    """

    constraints: ClassVar[Mapping[str, Constraint]] = {}
    consistency: ClassVar[Mapping[str, Constraint]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(value))
        for key, constraint in self.constraints.items():
            require(key, getattr(self, key), constraint)
        for key, (holds, text) in self.consistency.items():
            if not holds(self):
                raise SettingError(key, getattr(self, key), text)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file's metadata."""
        values = asdict(self).items()
        return {key: list(x) if isinstance(x, tuple) else x for key, x in values}
