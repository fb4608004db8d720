"""Flux corrections: a named, versioned step between sampling and whitening.

Published corrections of XP spectra (Huang et al. 2024, Ye et al. 2025, ...) plug in as a function;
a model records the one of its training data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..data.preparation import UNCORRECTED
from ..errors import InputError


@dataclass(frozen=True)
class FluxCorrection:
    """A correction of sampled flux.

    Parameters
    ----------
    name, version : str
        Recorded in files.
    function : callable
        Takes wavelengths (n_obs,) in nm, fluxes (n_star, n_obs) in 1e-18 W m-2 nm-1 and the table
        of the sources, and returns the factors (n_star, n_obs) by which the fluxes are multiplied.
    """

    name: str
    version: str
    function: Callable[[np.ndarray, np.ndarray, Table], np.ndarray]

    def __post_init__(self):
        if not self.name or not self.version or self.name == UNCORRECTED:
            raise InputError(
                f"a correction needs a name (other than {UNCORRECTED!r}) and a version, so that "
                "models can record it"
            )

    @property
    def identifier(self) -> str:
        """Name and version, as recorded in stores and models."""
        return f"{self.name} {self.version}"

    def factor(self, wavelength: np.ndarray, flux: np.ndarray, table: Table) -> np.ndarray:
        """Factors of sources, checked.

        Raises
        ------
        InputError
            If the function returns another shape, or a factor that is not finite and positive.
        """
        factor = np.asarray(self.function(wavelength, flux, table), dtype=float)
        if factor.shape != flux.shape:
            raise InputError(
                f"correction {self.identifier!r} returned shape {factor.shape}; expected one "
                f"factor per flux, {flux.shape}"
            )
        if not np.all(np.isfinite(factor) & (factor > 0)):
            row = int(np.argmin(np.all(np.isfinite(factor) & (factor > 0), axis=1)))
            raise InputError(
                f"correction {self.identifier!r} returned a factor that is not finite and positive "
                f"for source {table['source_id'][row]}"
            )
        return factor


def identifier_of(correction: FluxCorrection | None) -> str:
    """Name and version of a correction; `UNCORRECTED` where there is none."""
    return correction.identifier if correction else UNCORRECTED
