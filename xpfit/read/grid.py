"""Wavelengths and units of sampled spectra, as files state them.

GaiaXPy writes the wavelengths of its spectra into the header of FITS files (``SAMPLING``), a
``PARAM`` of VOTables, the metadata of ECSV files, or a file NAME_sampling.csv beside NAME.csv.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np

from ..errors import InputError
from .formats import Format
from .formats.base import RowType, TableFacts
from .units import converted

SAMPLED_WAVELENGTH = np.arange(336.0, 1021.0, 2.0)
"""Wavelengths (nm) of the archive's sampled spectra."""

ARCHIVE_COLUMNS = {"solution_id", "ra", "dec"}
"""Columns of the archive's own tables of sampled spectra, of which one is enough to know them."""

FLUX_UNIT = u.W / u.m**2 / u.nm

LIMITS = (300.0, 1100.0)
"""Wavelengths (nm) outside of which Gaia has no flux."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def stated_facts(path: Path, form: Format, kind: RowType) -> TableFacts:
    """What a file of sampled spectra states of its columns and wavelengths.

    Parameters
    ----------
    path : Path
    form : Format
    kind : RowType
        Of the tables.

    Returns
    -------
    TableFacts
        `sampling` in nm.

    Raises
    ------
    InputError
        If the spectra are internally calibrated, the wavelengths are not in nm, or tables differ.
    """
    facts = form.facts(path, kind)
    if "xp" in facts.names or "electron" in facts.units.get("flux", ""):
        raise InputError(
            f"{path}: internally calibrated spectra, in electrons on pseudo-wavelengths (GaiaXPy's "
            "convert); give the XP continuous spectra that they came from, or GaiaXPy's calibrate"
        )
    beside = path.with_name(f"{path.name.split('.')[0]}_sampling.csv")
    if facts.sampling is None and beside.is_file() and beside.stat().st_size < 1 << 20:
        facts.sampling = numbers(beside.read_text("utf-8", errors="replace"))
    if facts.sampling is not None:
        require_wavelengths(facts.sampling, path)
    return facts


def sampling_of(
    path: Path, facts: TableFacts, n: int, told: np.ndarray | None = None
) -> np.ndarray:
    """Wavelengths of the samples of a file.

    Parameters
    ----------
    path : Path
    facts : TableFacts
        From `stated_facts`.
    n : int
        Number of samples.
    told : ndarray, optional
        Wavelengths that the user gives, for files that state none.

    Returns
    -------
    ndarray, shape (n,)
        nm.

    Raises
    ------
    InputError
        If they are not known, or not as many as there are samples.

    Warns
    -----
    UserWarning
        If nothing but the number of samples says that they are the archive's.
    """
    grid = facts.sampling if facts.sampling is not None else told
    if grid is None and n == len(SAMPLED_WAVELENGTH):
        if not ARCHIVE_COLUMNS & facts.names:
            warnings.warn(
                f"{path}: nothing in this file states the wavelengths of its {n} samples; they are "
                "taken as the archive's, 336 to 1020 nm in steps of 2. If they are others, give "
                "them: xpfit prepare --sampling START:STOP:STEP",
                stacklevel=3,
            )
        return SAMPLED_WAVELENGTH
    if grid is None:
        raise InputError(
            f"{path}: nothing in this file states the wavelengths of its {n} samples; give them: "
            "xpfit prepare --sampling START:STOP:STEP, or read_spectra(path, sampling=...)"
        )
    if not is_archive(grid) and told is None:
        warnings.warn(
            f"{path}: wavelengths {describe(grid)}, as this file states, not the archive's",
            stacklevel=3,
        )
    if len(grid) != n:
        raise InputError(f"{path}: {n} samples, but {len(grid)} wavelengths: {describe(grid)}")
    if facts.sampling is not None and told is not None and not np.allclose(told, grid):
        raise InputError(
            f"{path}: the wavelengths in this file are {describe(grid)}, others than those asked "
            "for; leave --sampling out"
        )
    return grid


def is_archive(grid: np.ndarray) -> bool:
    """Whether wavelengths are those of the archive's sampled spectra."""
    return len(grid) == len(SAMPLED_WAVELENGTH) and bool(np.allclose(grid, SAMPLED_WAVELENGTH))


def require_wavelengths(grid: np.ndarray, path: Path) -> None:
    """Refuse what are no wavelengths of Gaia in nm.

    Raises
    ------
    InputError
    """
    rising = len(grid) > 1 and bool(np.all(np.diff(grid) > 0))
    if rising and grid[0] >= LIMITS[0] and grid[-1] <= LIMITS[1]:
        return
    for unit, factor in (("micrometres", 1e3), ("Angstrom", 0.1), ("metres", 1e9)):
        if rising and grid[0] * factor >= LIMITS[0] and grid[-1] * factor <= LIMITS[1]:
            raise InputError(f"{path}: wavelengths {describe(grid, unit)}; they must be in nm")
    raise InputError(
        f"{path}: {describe(grid)} are no wavelengths of XP spectra, which are within "
        f"{LIMITS[0]:g} .. {LIMITS[1]:g} nm and rise"
    )


def flux_factor(path: Path, facts: TableFacts, name: str) -> float:
    """By what to multiply a column of fluxes for W m-2 nm-1, by the unit that the file states."""
    unit = facts.units.get(name, "")
    return float(converted(np.ones(1), unit, FLUX_UNIT, f"{path}: column {name}")[0])


def numbers(text: str) -> np.ndarray:
    """All numbers in a text."""
    return np.array([float(x) for x in _NUMBER.findall(text)])


def describe(grid: np.ndarray, unit: str = "nm") -> str:
    """A grid in a few words."""
    if not len(grid):
        return "none"
    return f"{grid[0]:g} to {grid[-1]:g} {unit}, {len(grid)} of them"
