"""Design matrices and coefficient spaces of any basis, which are computed once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...data.space import CoefficientSpace
from ...errors import InputError
from ...releases import DR3
from .base import Basis, SampledDesign
from .installed import GaiaXPyBasis


def basis_of(n_bp: int = 0, n_rp: int = 0, basis: Basis | None = None) -> Basis:
    """Basis of spectra with given numbers of coefficients.

    Parameters
    ----------
    n_bp, n_rp : int
        Number of coefficients; 0 for those of the basis.
    basis : Basis, optional
        By default what GaiaXPy has for these numbers.

    Returns
    -------
    Basis

    Raises
    ------
    InputError
        If the given basis has other numbers of functions.
    """
    own = (basis.n_bp, basis.n_rp) if basis else DR3.n_coefficients
    asked = (n_bp or own[0], n_rp or own[1])
    if basis is None:
        return GaiaXPyBasis(*asked)
    if asked != own:
        raise InputError(
            f"these spectra have {asked[0]} + {asked[1]} coefficients, the basis "
            f"{basis.identifier} has {own[0]} + {own[1]} functions; give the file of the "
            "functions that the spectra were made with (--basis)"
        )
    return basis


def sampled_design(
    wavelength: np.ndarray, n_bp: int = 0, n_rp: int = 0, basis: Basis | None = None
) -> SampledDesign:
    """Design matrices at given wavelengths, cached.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm, increasing, 330 to 1050.
    n_bp, n_rp, basis
        As for `basis_of`.

    Returns
    -------
    SampledDesign

    Raises
    ------
    InputError
        As `basis_of`, or if GaiaXPy does not know these numbers, or the basis has no functions
        there.
    """
    return _design(basis_of(n_bp, n_rp, basis), tuple(float(w) for w in wavelength))


@lru_cache(maxsize=16)
def _design(basis: Basis, wavelength: tuple[float, ...]) -> SampledDesign:
    return basis.design(np.array(wavelength))


def coefficient_space(n_bp: int = 0, n_rp: int = 0, basis: Basis | None = None) -> CoefficientSpace:
    """Coefficient space of Gaia's XP spectra with 2MASS and WISE, cached.

    Parameters
    ----------
    n_bp, n_rp : int
        Number of coefficients; by default those of the basis.
    basis : Basis, optional
        Basis functions, from `load_basis`; by default those of Gaia DR3, or what the installed
        GaiaXPy has for these numbers of coefficients.

    Returns
    -------
    CoefficientSpace
        On 121 pseudo-wavelengths in each band.

    Raises
    ------
    InputError
        If there are no such functions, or they are known as flux alone.
    """
    return _space(basis_of(n_bp, n_rp, basis))


@lru_cache(maxsize=16)
def _space(basis: Basis) -> CoefficientSpace:
    return basis.space()
