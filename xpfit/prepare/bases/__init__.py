"""Basis functions of XP spectra: GaiaXPy's own, or those of a file that the user gives."""

from .base import Basis, SampledDesign
from .files import load_basis, save_basis
from .installed import PSEUDO_WAVELENGTH, GaiaXPyBasis
from .remembered import basis_of, coefficient_space, sampled_design

__all__ = [
    "PSEUDO_WAVELENGTH",
    "Basis",
    "GaiaXPyBasis",
    "SampledDesign",
    "basis_of",
    "coefficient_space",
    "load_basis",
    "sampled_design",
    "save_basis",
]
