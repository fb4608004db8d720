"""What a set of basis functions must say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ...data.space import CoefficientSpace


@dataclass(frozen=True)
class SampledDesign:
    """Design matrices of the externally calibrated spectrum, merge weights included.

    Attributes
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    bp, rp : ndarray, shape (n_coefficient, n_obs)
        ``flux = bp_coefficients @ bp + rp_coefficients @ rp`` in 1e-18 W m-2 nm-1: c D m of
        ZGR23's section 2.1, with D the design matrix and m the merge weights.
    """

    wavelength: np.ndarray
    bp: np.ndarray
    rp: np.ndarray


class Basis(ABC):
    """Basis functions of BP and RP.

    Those of the same type, identifier and numbers are equal.

    Attributes
    ----------
    identifier : str
        Name, with a digest of the functions if they are the user's.
    n_bp, n_rp : int
        Number of functions in each band.
    """

    identifier: str

    @property
    @abstractmethod
    def n_bp(self) -> int:
        """Number of BP's functions."""

    @property
    @abstractmethod
    def n_rp(self) -> int:
        """Number of RP's functions."""

    @abstractmethod
    def design(self, wavelength: np.ndarray, /) -> SampledDesign:
        """Design matrices at wavelengths (nm, increasing, 330 to 1050).

        Raises
        ------
        InputError
            If the functions are not known there.
        """

    @abstractmethod
    def space(self) -> CoefficientSpace:
        """Coefficient space of these functions, with 2MASS and WISE.

        Raises
        ------
        InputError
            If the functions are not known as the instrument sees them.
        """
