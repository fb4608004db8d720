"""The correction of Ye et al. 2025 (A&A 695, A75), evaluated on a grid of colour and extinction.

The authors publish a network in PyTorch, of 14 inputs (https://doi.org/10.5281/zenodo.14028588),
and no tables; what is read here is its correction on a grid, which users make with their code.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.interpolate import RegularGridInterpolator

from ...errors import InputError
from ...read.tables import float_column, read_table
from .base import Correction, Factors, Samples
from .files import digest_of, directory_with
from .stars import Stars, inside

STEM = "correction"
"""Name of the table in the directory, without its ending."""

AXES = ("bp_rp", "ebv", "phot_g_mean_mag")
"""Columns of what the correction depends on, in mag; the last may be absent."""

WHERE = (
    f"one table {STEM}.* (CSV, ECSV, FITS ...) with the columns wavelength (nm), bp_rp, ebv, "
    "phot_g_mean_mag (optional) and factor, one row for each point of a complete grid: the "
    "correction of Ye et al. 2025 (https://doi.org/10.5281/zenodo.14028588) as a factor on the "
    "observed flux"
)


class Ye2025(Correction):
    """Correction by BP-RP, E(B-V) and, if the table has it, G.

    Parameters
    ----------
    directory : path-like
        With the table (`WHERE`). Its extent is the range of the correction; between the points of
        the grid the factor is linear in each quantity.
    table : astropy.table.Table
        As for `Stars`, with E(B-V).

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    InputError
        If the table is missing or is no complete grid of positive factors, or that of the stars
        lacks a column.
    """

    name = "ye2025"

    def __init__(self, directory: str | os.PathLike, table: Table):
        path = _path(directory)
        axes, factors = _complete_grid(read_table(path), path)
        self.version = f"table {digest_of([path])}"
        self.grid = axes.pop("wavelength")
        self.limits = {name: (float(axis[0]), float(axis[-1])) for name, axis in axes.items()}
        self._factor = RegularGridInterpolator(tuple(axes.values()), factors)
        self._stars = Stars(table, need_extinction=True)

    def compute(self, samples: Samples) -> Factors:
        """Factors at the wavelengths of the table."""
        ids = np.ma.filled(samples.table["source_id"], 0).astype(np.int64)
        values = self._stars.of(ids)
        corrected = inside(values, self.limits)
        factor = np.ones(samples.flux.shape)
        if corrected.any():
            points = np.stack([values[name][corrected] for name in self.limits], axis=1)
            factor[corrected] = self._factor(points)
        return Factors(factor, corrected)


def _path(directory: str | os.PathLike) -> Path:
    """The one table of a directory."""
    found = sorted(directory_with(directory, (), WHERE).glob(f"{STEM}.*"))
    if len(found) != 1:
        raise InputError(
            f"{directory} holds {len(found)} tables named {STEM}; it is to hold {WHERE}"
        )
    return found[0]


def _complete_grid(table: Table, path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Axes, wavelength last, and the factors at all of their points."""
    names = [n for n in AXES if n in table.colnames or n != AXES[-1]] + ["wavelength"]
    missing = [name for name in (*names, "factor") if name not in table.colnames]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; expected {WHERE}")
    columns = {name: float_column(table[name]) for name in (*names, "factor")}
    factor = columns.pop("factor")
    if not np.all(np.isfinite(list(columns.values()))) or not np.all(factor > 0):
        raise InputError(
            f"{path}: holds numbers that are not finite, or factors that are not positive; "
            f"expected {WHERE}"
        )
    nodes = [np.unique(values, return_inverse=True) for values in columns.values()]
    axes = {name: node for name, (node, _) in zip(names, nodes, strict=True)}
    shape = tuple(len(node) for node in axes.values())
    place = np.ravel_multi_index([inverse for _, inverse in nodes], shape)
    if min(shape) < 2 or len(np.unique(place)) != len(table) or len(table) != np.prod(shape):
        sizes = " x ".join(f"{n} {name}" for name, n in zip(names, shape, strict=True))
        raise InputError(
            f"{path}: {len(table)} rows are no complete grid of {sizes}, of at least two values "
            f"each; expected {WHERE}"
        )
    values = np.empty(len(table))
    values[place] = factor
    return axes, values.reshape(shape)
