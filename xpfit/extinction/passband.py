"""Passbands: Gaia's and Johnson's by name, any other from a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..files import file_of
from ..read import read_table
from ..read.columns import find_column
from ..read.formats import recognise
from ..read.formats.votable import first_votable
from ..read.tables import float_column
from ..read.units import converted, stated_unit

GAIA_FILE = Path(__file__).parent / "gaia_dr3.ecsv"
"""Riello et al. (2021, A&A 649, A3): response to photons, in steps of 1 nm."""

GAIA = ("G", "BP", "RP")

BESSELL = {
    "B": (
        (360, 0.000), (370, 0.030), (380, 0.134), (390, 0.567), (400, 0.920), (410, 0.978),
        (420, 1.000), (430, 0.978), (440, 0.935), (450, 0.853), (460, 0.740), (470, 0.640),
        (480, 0.536), (490, 0.424), (500, 0.325), (510, 0.235), (520, 0.150), (530, 0.095),
        (540, 0.043), (550, 0.009), (560, 0.000),
    ),
    "V": (
        (470, 0.000), (480, 0.030), (490, 0.163), (500, 0.458), (510, 0.780), (520, 0.967),
        (530, 1.000), (540, 0.973), (550, 0.898), (560, 0.792), (570, 0.684), (580, 0.574),
        (590, 0.461), (600, 0.359), (610, 0.270), (620, 0.197), (630, 0.135), (640, 0.081),
        (650, 0.045), (660, 0.025), (670, 0.017), (680, 0.013), (690, 0.009), (700, 0.000),
    ),
}  # fmt: skip
"""Johnson's B and V (Bessell 1990, PASP 102, 1181): wavelength (nm), response to energy."""

NAMED = ("V", *GAIA, "B")
"""Passbands that come with xpfit."""

PHOTONS, ENERGY = "photons", "energy"
"""What a detector counts."""

WAVELENGTH_NAMES = ("wavelength", "wave", "lambda", "wl", "lam")
RESPONSE_NAMES = ("transmission", "response", "throughput", "trans", "pass", "t")

DETECTOR_TYPES = {"0": ENERGY, "1": PHOTONS}
"""Of the VOTables of the SVO Filter Profile Service."""


@dataclass(frozen=True)
class Passband:
    """How a detector responds to light of each wavelength.

    Parameters
    ----------
    name : str
    wavelength : ndarray, shape (n,)
        nm, ascending.
    response : ndarray, shape (n,)
        Not negative, of any normalisation; linear between wavelengths, zero outside.
    counts : str
        ``"photons"`` if the response is that to photons, as of CCDs, so that the signal is the
        integral of response times flux times wavelength; ``"energy"`` if it is that to energy, the
        integral of response times flux.

    Raises
    ------
    InputError
        If these are no passband.
    """

    name: str
    wavelength: np.ndarray
    response: np.ndarray
    counts: str = PHOTONS

    def __post_init__(self) -> None:
        at, response = self.wavelength, self.response
        problem = ""
        if at.ndim != 1 or at.shape != response.shape or len(at) < 2:
            problem = f"shapes {at.shape} of wavelengths and {response.shape} of responses"
        elif not (np.isfinite(at).all() and np.isfinite(response).all()):
            problem = "values that are not finite"
        elif not np.all(np.diff(at) > 0) or at[0] <= 0:
            problem = "wavelengths that do not ascend, or are not positive"
        elif np.any(response < 0) or not response.any():
            problem = "a response that is negative, or zero everywhere"
        elif self.counts not in (PHOTONS, ENERGY):
            problem = f"counts = {self.counts!r}, which must be {PHOTONS!r} or {ENERGY!r}"
        if problem:
            raise InputError(f"passband {self.name}: {problem}")

    def weight(self, wavelength: np.ndarray) -> np.ndarray:
        """What flux per nm is multiplied with, shape (n,), of wavelengths in nm."""
        response = np.interp(wavelength, self.wavelength, self.response, left=0.0, right=0.0)
        return response * wavelength if self.counts == PHOTONS else response

    def share(self, low: float, high: float) -> float:
        """Part of the integral of `weight` that lies between two wavelengths (nm)."""
        inner = [x for x in (low, high) if self.wavelength[0] < x < self.wavelength[-1]]
        fine = np.linspace(self.wavelength[0], self.wavelength[-1], 2000)
        at = np.unique(np.concatenate([self.wavelength, fine, inner]))
        weight = self.weight(at)
        parts = 0.5 * (weight[1:] + weight[:-1]) * np.diff(at)
        inside = (at[:-1] >= low) & (at[1:] <= high)
        return float(parts[inside].sum() / parts.sum())


@cache
def named_passband(name: str) -> Passband:
    """A passband that comes with xpfit.

    Parameters
    ----------
    name : str
        ``"G"``, ``"BP"``, ``"RP"`` of Gaia DR3; ``"B"``, ``"V"`` of Johnson.

    Returns
    -------
    Passband

    Raises
    ------
    InputError
        If there is no such passband.
    """
    if name in GAIA:
        table = Table.read(GAIA_FILE, format="ascii.ecsv")
        wavelength, response = (np.array(table[column]) for column in ("wavelength", name))
        used = np.flatnonzero(response)
        rows = slice(used[0] - 1, used[-1] + 2)
        return Passband(name, wavelength[rows], response[rows])
    if name in BESSELL:
        return Passband(name, *np.array(BESSELL[name], dtype=float).T, counts=ENERGY)
    raise InputError(f"no passband {name!r}; choose from {', '.join(NAMED)}, or give a file")


def read_passband(
    path: str | os.PathLike, *, unit: str = "", counts: str = "", name: str = ""
) -> Passband:
    """Read a passband.

    Parameters
    ----------
    path : path-like
        VOTable of the SVO Filter Profile Service, ECSV of the package ``speclite``, any other table
        with a column of wavelengths and one of transmission, or a text of two such columns.
    unit : str, optional
        Of the wavelengths, where the file does not state one: there is no default.
    counts : str, optional
        ``"photons"`` or ``"energy"``; by default what a VOTable of the service states, else
        photons.
    name : str, optional
        By default the one in the file, else the file's.

    Returns
    -------
    Passband

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If columns or units are missing or unknown, or the values are no passband.
    """
    table = _two_columns(path) or read_table(path)
    at, response = (
        _column(table, path, names, what)
        for names, what in (
            (WAVELENGTH_NAMES, "wavelengths"),
            (RESPONSE_NAMES, "the transmission"),
        )
    )
    stated = stated_unit(at) or unit
    if not stated:
        raise InputError(
            f"{path}: the file does not state the unit of its wavelengths; give it with "
            "--wavelength-unit, such as Angstrom or nm"
        )
    wavelength = converted(float_column(at), stated, u.nm, f"{path}: wavelengths")
    values = float_column(response)
    order = np.argsort(wavelength, kind="stable")
    facts = _facts(table, path)
    return Passband(
        name or facts.get("name") or Path(file_of(path)).name.partition(".")[0],
        wavelength[order],
        values[order],
        counts or facts.get("counts", PHOTONS),
    )


def _two_columns(path: str | os.PathLike) -> Table | None:
    """Table of a text that has no line with names, but numbers in two columns."""
    try:
        with open(file_of(path), encoding="utf-8") as file:
            lines = [line for line in file if line.strip() and line.lstrip()[0] not in "#%"]
        values = np.array([re.split(r"[\s,;]+", line.strip()) for line in lines], dtype=float)
    except (OSError, ValueError):  # no text, names, or more than numbers
        return None
    if values.ndim != 2 or values.shape[1] != 2:
        return None
    return Table(values, names=(WAVELENGTH_NAMES[0], RESPONSE_NAMES[0]))


def _column(table: Table, path, names: Iterable[str], what: str):
    """The column of one of some names."""
    found = find_column(table, names, what)
    if found is None:
        raise InputError(
            f"{path}: no column of {what}; columns are {', '.join(table.colnames)}, expected "
            f"one of {', '.join(names)}"
        )
    return table[found]


def _facts(table: Table, path: str | os.PathLike) -> dict[str, str]:
    """Name of the filter, and what its detector counts, as far as the file states them."""
    meta = table.meta
    if "group_name" in meta and "band_name" in meta:  # of speclite
        return {"name": f"{meta['group_name']}-{meta['band_name']}"}
    if recognise(file_of(path))[0].title != "VOTable":
        return {}
    stated = {param.name.lower(): str(param.value) for param in first_votable(path).params}
    facts = {"name": stated.get("filterid", "").split("/")[-1]}
    if stated.get("detectortype") in DETECTOR_TYPES:
        facts["counts"] = DETECTOR_TYPES[stated["detectortype"]]
    return facts
