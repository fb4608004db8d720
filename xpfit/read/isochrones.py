"""Grids of stellar isochrones, as the PyPI package lachesis-grids holds them (HDF5)."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ..data.hdf5 import open_hdf5
from ..errors import InputError
from ..files import existing_file

COLUMNS = ("initial_mass", "log_Teff", "log_g", "log_L", "phase")
"""Columns of `values` that are read."""


@dataclass(frozen=True)
class Isochrones:
    """Isochrones of one set of stellar models, all points one after another.

    Attributes
    ----------
    name : str
        Of the set of models.
    feh : ndarray, shape (n_feh,)
        [Fe/H] of the isochrones, ascending; their mixture is solar, so it is [M/H] too.
    log_age : ndarray, shape (n_age,)
        log10 of the age in years, ascending.
    feh_index, age_index : ndarray of int, shape (n_point,)
        Where in `feh` and `log_age` a point belongs. Points of one isochrone stand together, in
        the order of their evolution.
    initial_mass : ndarray, shape (n_point,)
        Solar masses.
    teff : ndarray, shape (n_point,)
        kK.
    logg : ndarray, shape (n_point,)
        Surface gravity in dex (cm s-2).
    ln_luminosity : ndarray, shape (n_point,)
        ln of the luminosity in solar luminosities.
    phase : ndarray, shape (n_point,)
        The set's own numbers of phases of evolution; NaN where there are none.
    """

    name: str
    feh: np.ndarray
    log_age: np.ndarray
    feh_index: np.ndarray
    age_index: np.ndarray
    initial_mass: np.ndarray
    teff: np.ndarray
    logg: np.ndarray
    ln_luminosity: np.ndarray
    phase: np.ndarray

    def __len__(self) -> int:
        return len(self.teff)

    def __repr__(self) -> str:
        return (
            f"<Isochrones: {self.name}, {len(self.feh)} [Fe/H] x {len(self.log_age)} ages, "
            f"{len(self)} points>"
        )


def read_isochrones(path: str | os.PathLike) -> Isochrones:
    """Read a grid of isochrones.

    Parameters
    ----------
    path : path-like
        A grid of lachesis-grids: datasets `values` (n_point, n_column) with the points of all
        isochrones one after another, [Fe/H] slowest; `lengths` (n_feh x n_age,), the number of
        points of each; `feh_values` and `age_values` (log10 years); and attributes `columns`
        (names) and `grid_name`.

    Returns
    -------
    Isochrones
        Points that lack a mass, Teff, log g or luminosity are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is not such a file, or its parts disagree.
    """
    path = existing_file(path, "no such file; scripts/make_luminosities.py fetches isochrones")
    try:
        with open_hdf5(path) as file:
            names = [str(name) for name in file.attrs["columns"]]
            values = file["values"][:]
            lengths = file["lengths"][:].astype(int)
            feh, log_age = (file[f"{axis}_values"][:].astype(float) for axis in ("feh", "age"))
            name = str(file.attrs["grid_name"])
    except (OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a grid of isochrones, or damaged ({error})") from error
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise InputError(f"{path}: these isochrones lack the columns {', '.join(missing)}")
    if lengths.shape != (len(feh) * len(log_age),) or values.shape != (lengths.sum(), len(names)):
        raise InputError(
            f"{path}: {len(feh)} [Fe/H] x {len(log_age)} ages with lengths {lengths.shape}, sum "
            f"{lengths.sum()}, but values {values.shape} and {len(names)} columns"
        )
    if np.any(np.diff(feh) <= 0) or np.any(np.diff(log_age) <= 0):
        raise InputError(f"{path}: [Fe/H] and ages must ascend")
    mass, log_teff, logg, log_luminosity, phase = (
        values[:, names.index(column)].astype(float) for column in COLUMNS
    )
    good = np.isfinite(mass) & np.isfinite(log_teff) & np.isfinite(logg)
    good &= np.isfinite(log_luminosity)
    isochrone = np.repeat(np.arange(len(lengths)), lengths)[good]
    return Isochrones(
        name=name,
        feh=feh,
        log_age=log_age,
        feh_index=isochrone // len(log_age),
        age_index=isochrone % len(log_age),
        initial_mass=mass[good],
        teff=10.0 ** (log_teff[good] - 3.0),
        logg=logg[good],
        ln_luminosity=np.log(10.0) * log_luminosity[good],
        phase=phase[good],
    )
