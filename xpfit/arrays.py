"""Array code for any namespace: NumPy, CuPy or array_api_strict."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

T = TypeVar("T")
R = TypeVar("R", bound="StarRows")

Array = Any
"""An array of any namespace."""


def with_arrays(value: T, asarray: Callable[[np.ndarray], Any]) -> T:
    """Copy of an object in which every array is one of another namespace.

    Parameters
    ----------
    value : object
        Such as a forward model. Its attributes are followed where they belong to xpfit.
    asarray : callable
        Makes an array into one of the other namespace, device or precision.

    Returns
    -------
    object
        Of the same type; `value` itself is left alone, and so is what holds no arrays.
    """
    if is_array_api_obj(value):
        return asarray(value)
    if isinstance(value, tuple):
        return tuple(with_arrays(item, asarray) for item in value)
    if not type(value).__module__.startswith(__package__) or not hasattr(value, "__dict__"):
        return value
    twin = copy.copy(value)
    # Not by setattr: observation spaces are frozen.
    twin.__dict__.update({name: with_arrays(item, asarray) for name, item in vars(value).items()})
    return twin


def batches(n: int, size: int) -> list[slice]:
    """Slices of at most `size` elements each that together cover `n` elements."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def take(values: Any, rows: Any) -> Any:
    """Rows of an array of any namespace: a slice (a view), indices, or a NumPy mask."""
    if isinstance(rows, slice):
        return values[rows, ...]
    if isinstance(rows, (list, np.ndarray)):
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    xp = array_namespace(values)
    return xp.take(values, rows, axis=0)


class StarRows:
    """Base of dataclasses whose arrays, and mappings of arrays, have one row for each star.

    What else they hold belongs to all stars.
    """

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self: R, rows: Any) -> R:
        """Some of the stars: a slice, a mask or an array of indices."""
        return type(self)(*(_rows(getattr(self, f.name), rows) for f in fields(self)))


def _rows(value: Any, rows: Any) -> Any:
    """Rows of an array, of each array of a mapping, or of other data of stars."""
    if isinstance(value, Mapping):
        return {name: _rows(x, rows) for name, x in value.items()}
    return value[rows] if hasattr(value, "__getitem__") else value
