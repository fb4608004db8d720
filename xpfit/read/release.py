"""Of which data release spectra are: what a file says, what its columns tell, what a user says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..releases import DEFAULT, RELEASES
from .units import say_once

BANDS = ("bp", "rp")

SOLUTION = "solution_id"

BASIS = {band: f"{band}_basis_function_id" for band in BANDS}
"""Columns with the identifiers of the sets of basis functions."""

EVIDENCE = (SOLUTION, *BASIS.values())
"""Columns of tables of spectra that tell the release."""


def known_release(name: str) -> str:
    """Name of a release in the table of releases, from one in any capitals, with "Gaia" or not.

    Raises
    ------
    InputError
        If it is not one of `xpfit.releases.RELEASES`.
    """
    short = (
        name.upper().replace("GAIA", "").replace("_", "").replace(" ", "").replace("EDR3", "DR3")
    )
    if short not in RELEASES:
        raise InputError(f"no data release {name!r} is known; use one of {', '.join(RELEASES)}")
    return short


def release_of_rows(
    path: Path,
    evidence: Mapping[str, Sequence],
    n_coefficients: tuple[int, int] | None = None,
    told: str | None = None,
) -> str:
    """Release of the rows of a table of spectra.

    Parameters
    ----------
    path : Path
        For messages.
    evidence : mapping of str to sequence
        Cells of the columns `EVIDENCE` that the table has.
    n_coefficients : tuple of int, optional
        Of BP and RP, zero for a band that no row has.
    told : str, optional
        What the file's metadata or the user say.

    Returns
    -------
    str
        A name in `xpfit.releases.RELEASES`.

    Raises
    ------
    InputError
        If rows are of different releases, or of one that is not known.
    """
    ids = {name: _numbers(cells) for name, cells in evidence.items()}
    by_number = {n: r.name for r in RELEASES.values() for n in r.solution_ids}
    named = {by_number[i] for i in ids.get(SOLUTION, set()) if i in by_number}
    if len(named) > 1 or any(len(ids.get(column, set())) > 1 for column in BASIS.values()):
        raise InputError(
            f"{path}: sources of different data releases in one table (by {SOLUTION} or the "
            "identifiers of the basis functions); give each release as a file of its own"
        )
    by_size = _by_size(n_coefficients)
    if told:
        told = known_release(told)
        if by_size not in ("", told):
            raise InputError(
                f"{path}: said to be of Gaia {told}, but the numbers of coefficients are those of "
                f"{by_size} ({_sizes()})"
            )
        return told
    if by_size:
        if named - {by_size}:
            warnings.warn(
                f"{path}: taken as Gaia {by_size}, by the numbers of coefficients, although "
                f"{SOLUTION} is that of {named.pop()}",
                stacklevel=4,
            )
        return by_size
    if named:
        return named.pop()
    by_basis = _by_basis(path, {band: ids.get(BASIS[band], set()) for band in BANDS})
    if not by_basis:
        solution = ", ".join(str(i) for i in sorted(ids.get(SOLUTION, set())))
        what = f"{SOLUTION} {solution} is of no known one" if solution else "not stated"
        say_once(f"{path}: data release {what}, Gaia {DEFAULT} assumed (else --release)")
    return by_basis or DEFAULT


def require_one_release(path: Path, band: str, lengths: Mapping[int, int]) -> None:
    """Refuse rows whose numbers of coefficients are those of different releases.

    Parameters
    ----------
    path : Path
    band : str
    lengths : mapping of int to int
        Number of rows by number of coefficients.

    Raises
    ------
    InputError
    """
    column = BANDS.index(band)
    releases = {r.n_coefficients[column]: name for name, r in RELEASES.items()}
    found = [n for n in lengths if n in releases]
    if len(found) > 1:
        which = " and ".join(f"{n} (as in {releases[n]}; {lengths[n]} rows)" for n in found)
        raise InputError(
            f"{path}: sources of different data releases in one table: {band.upper()} has {which} "
            "coefficients; give each release as a file of its own"
        )


def _by_size(n_coefficients: tuple[int, int] | None) -> str:
    """The release with these numbers of coefficients; empty if there is none, or several."""
    if n_coefficients is None:
        return ""
    known = [n or None for n in n_coefficients]
    if not any(known):
        return ""
    fitting = [
        release.name
        for release in RELEASES.values()
        if all(n in (None, m) for n, m in zip(known, release.n_coefficients, strict=True))
    ]
    return fitting[0] if len(fitting) == 1 else ""


def _by_basis(path: Path, ids: Mapping[str, set[int]]) -> str:
    """The release with these identifiers of basis functions; empty if there are none."""
    given = {band: next(iter(numbers)) for band, numbers in ids.items() if numbers}
    for release in RELEASES.values():
        if given and all(release.basis_ids.get(band) == n for band, n in given.items()):
            return release.name
    if given:
        numbers = ", ".join(f"{band.upper()} {n}" for band, n in given.items())
        raise InputError(
            f"{path}: basis functions of unknown identifiers ({numbers}), not those of "
            f"{DEFAULT}; say of which data release the spectra are (--release)"
        )
    return ""


def _sizes() -> str:
    """Numbers of coefficients of all releases."""
    return ", ".join(f"{n}: {r.n_coefficients[0]} + {r.n_coefficients[1]}"
                     for n, r in RELEASES.items())  # fmt: skip


def _numbers(cells: Sequence) -> set[int]:
    """The different whole numbers in cells of any kind; zero and what is missing left out."""
    found = set()
    for cell in {_plain(cell) for cell in cells}:
        try:
            number = int(float(cell)) if "." in cell else int(cell)
        except (ValueError, OverflowError):
            continue
        if number > 0:  # others say that a band is missing
            found.add(number)
    return found


def _plain(cell) -> str:
    """A cell as text."""
    if cell is None or np.ma.is_masked(cell):
        return ""
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
