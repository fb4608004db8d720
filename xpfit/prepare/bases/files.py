"""Basis functions that the user gives in a file.

Layout (HDF5, format version 1)::

    attributes      format = "xpfit-basis", format_version, name, checksum
    bp, rp          (n_bp, 55), (n_rp, 55) linear combinations of DR3's functions

or, where the functions themselves are known as flux alone::

    wavelength      (n_grid,) nm, increasing
    bp_flux, rp_flux
                    (n_bp, n_grid), (n_rp, n_grid) W m-2 nm-1 for a coefficient of one, merge
                    weights included
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline

from ...constants import FLUX_UNIT_SI
from ...data.hdf5 import FileFormat, arrays_of, digest, require_arrays
from ...data.space import CoefficientSpace
from ...errors import InputError
from ...releases import DR3
from .base import Basis, SampledDesign
from .installed import GaiaXPyBasis
from .remembered import coefficient_space, sampled_design

FORMAT = FileFormat(
    "xpfit-basis", "a file of basis functions of xpfit", error=InputError,
    remedy="write it with xpfit.prepare.save_basis", has_checksum=True,
)  # fmt: skip


@dataclass(frozen=True)
class CombinedBasis(Basis):
    """Linear combinations of DR3's functions.

    Parameters
    ----------
    identifier : str
    bp, rp : ndarray, shape (n_bp, 55) and (n_rp, 55)
        Coefficients of DR3 are ``coefficients @ bp`` (and ``rp``).
    """

    identifier: str
    bp: np.ndarray = field(compare=False, repr=False)
    rp: np.ndarray = field(compare=False, repr=False)

    @property
    def n_bp(self) -> int:
        return len(self.bp)

    @property
    def n_rp(self) -> int:
        return len(self.rp)

    def design(self, wavelength: np.ndarray) -> SampledDesign:
        known = sampled_design(wavelength, basis=GaiaXPyBasis())
        return SampledDesign(known.wavelength, self.bp @ known.bp, self.rp @ known.rp)

    def space(self) -> CoefficientSpace:
        known = coefficient_space(basis=GaiaXPyBasis())
        functions = (self.bp @ known.bp_basis, self.rp @ known.rp_basis)
        return CoefficientSpace(known.wavelength, known.covered, *functions)


@dataclass(frozen=True)
class TabulatedBasis(Basis):
    """Functions that are known as flux at some wavelengths: for sampled space alone.

    Parameters
    ----------
    identifier : str
    wavelength : ndarray, shape (n_grid,)
        nm, increasing.
    bp_flux, rp_flux : ndarray, shape (n_bp, n_grid) and (n_rp, n_grid)
        W m-2 nm-1 for a coefficient of one, merge weights included.
    """

    identifier: str
    wavelength: np.ndarray = field(compare=False, repr=False)
    bp_flux: np.ndarray = field(compare=False, repr=False)
    rp_flux: np.ndarray = field(compare=False, repr=False)

    @property
    def n_bp(self) -> int:
        return len(self.bp_flux)

    @property
    def n_rp(self) -> int:
        return len(self.rp_flux)

    def design(self, wavelength: np.ndarray) -> SampledDesign:
        low, high = self.wavelength[0], self.wavelength[-1]
        if wavelength[0] < low or wavelength[-1] > high:
            raise InputError(
                f"the basis functions {self.identifier} are tabulated from {low:g} to {high:g} nm; "
                f"flux at {wavelength[0]:g} .. {wavelength[-1]:g} nm was asked for"
            )
        grid = np.array(wavelength, dtype=float)
        return SampledDesign(grid, self._at(grid, self.bp_flux), self._at(grid, self.rp_flux))

    def _at(self, wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
        """A band's functions: by cubic splines, the table's own where it has the wavelengths."""
        values = CubicSpline(self.wavelength, flux, axis=1)(wavelength)
        after = np.searchsorted(self.wavelength, wavelength)
        same = self.wavelength[after] == wavelength
        values[:, same] = flux[:, after[same]]
        # Where the band has no flux, the splines' oscillations are none of it.
        has_flux = flux.any(axis=0)
        values[:, ~(has_flux[after] | has_flux[np.maximum(after - 1, 0)])] = 0.0
        return values / FLUX_UNIT_SI

    def space(self) -> CoefficientSpace:
        raise InputError(
            f"the basis functions {self.identifier} are given as flux; coefficient space needs "
            "them as combinations of DR3's (datasets bp and rp of the file); use sampled space"
        )


def save_basis(
    path: str | os.PathLike,
    bp: np.ndarray,
    rp: np.ndarray,
    name: str,
    wavelength: np.ndarray | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a file of basis functions.

    Parameters
    ----------
    path : path-like
        HDF5.
    bp, rp : ndarray
        Linear combinations of DR3's functions (n_bp, 55) and (n_rp, 55), so that DR3's
        coefficients are ``coefficients @ bp``. With `wavelength` the functions as flux, (n_bp,
        n_grid) and (n_rp, n_grid), in W m-2 nm-1 for a coefficient of one, with the weights by
        which BP and RP are merged.
    name : str
        Such as the release whose functions they are.
    wavelength : ndarray, shape (n_grid,), optional
        nm, increasing.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the arrays do not have these shapes, are not finite, or the functions are not linearly
        independent.
    OutputError
        If the file exists or cannot be written.
    """
    suffix = "" if wavelength is None else "_flux"
    arrays = {f"bp{suffix}": np.asarray(bp), f"rp{suffix}": np.asarray(rp)}
    if wavelength is not None:
        arrays["wavelength"] = np.asarray(wavelength)
    try:
        _basis(name, arrays)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    with FORMAT.writing(path, overwrite=overwrite) as file:
        file.attrs["name"] = name
        for key, values in arrays.items():
            file[key] = values.astype(float)


def load_basis(path: str | os.PathLike) -> Basis:
    """Read a file of basis functions.

    Parameters
    ----------
    path : path-like
        From `save_basis`.

    Returns
    -------
    Basis

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is damaged, of another kind, or its arrays are not as `save_basis` says.
    """
    with FORMAT.reading(path) as file:
        return _basis(str(file.attrs["name"]), arrays_of(file))


def _basis(name: str, arrays: Mapping[str, np.ndarray]) -> Basis:
    """The basis of some arrays; raises ValueError if they are none."""
    tabulated = "wavelength" in arrays
    names = ("bp_flux", "rp_flux") if tabulated else ("bp", "rp")
    functions = [np.asarray(arrays[key]) for key in names]
    widths = DR3.n_coefficients
    if tabulated:
        wavelength = np.asarray(arrays["wavelength"])
        require_arrays({"wavelength": (wavelength, (None,))})
        if len(wavelength) < 2 or not np.all(np.diff(wavelength) > 0):
            raise ValueError("wavelength must increase, and have two values or more")
        widths = (len(wavelength),) * 2
    for key, values, width in zip(names, functions, widths, strict=True):
        require_arrays({key: (values, (None, width))})
        if not len(values) or np.linalg.matrix_rank(values) < len(values):
            raise ValueError(f"the {len(values)} functions of {key} are not linearly independent")
    identifier = f"{name} ({digest(arrays, {'name': name})[:12]})"
    functions = [values.astype(float) for values in functions]
    if tabulated:
        return TabulatedBasis(identifier, wavelength.astype(float), *functions)
    return CombinedBasis(identifier, *functions)
