"""Flux corrections: a named, versioned step between sampling and whitening.

A correction plugs in as a function (`FluxCorrection`), or as a class of its own where it needs
errors, a grid of wavelengths or files; a model records the one of its training data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from ...data.preparation import UNCORRECTED
from ...errors import InputError
from ...releases import DR3

CAUTION = "correction_caution"
"""Name in `Spectra.gaia`, and in catalogues, of the codes that a correction gives."""


@dataclass(frozen=True)
class Samples:
    """Sampled spectra of N sources, as corrections take them.

    Attributes
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm.
    flux, flux_err : ndarray, shape (n_star, n_obs)
        1e-18 W m-2 nm-1, with Gaia's errors; NaN, or zero, where there is none.
    table : astropy.table.Table
        The sources.
    truncated : bool
        Whether they are sampled from the relevant coefficients only.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    table: Table
    truncated: bool = False


class Factors(NamedTuple):
    """What a correction does to N sources.

    Attributes
    ----------
    factor : ndarray, shape (n_star, n_obs)
        By which the fluxes are multiplied; one where there is no correction.
    corrected : ndarray of bool, shape (n_star,)
        False for stars outside of the range of the correction.
    caution : ndarray of int, shape (n_star,), or None
        Codes of a correction that gives some, also for stars outside of its range.
    """

    factor: np.ndarray
    corrected: np.ndarray
    caution: np.ndarray | None = None


class Correction(ABC):
    """A correction of sampled flux: a `name`, a `version` and `compute`.

    Attributes
    ----------
    name, version : str
        Recorded in files.
    release : str
        Of Gaia's data for which it was made.
    grid : ndarray, shape (n_grid,), or None
        Wavelengths (nm) at which it needs the flux, increasing; by default those of the data.
        Factors are interpolated linearly from there to those of the data.
    """

    name: str
    version: str
    release: str = DR3.name
    grid: np.ndarray | None = None

    @abstractmethod
    def compute(self, samples: Samples) -> Factors:
        """Factors at the wavelengths of the samples: those of `grid`, if there is one."""

    @property
    def identifier(self) -> str:
        """Name and version, as recorded in stores and models."""
        return f"{self.name} {self.version}"

    def check_release(self, release: str = DR3.name) -> None:
        """Refuse data of another release.

        Parameters
        ----------
        release : str
            Of the data.

        Raises
        ------
        InputError
            If the correction was made for another.
        """
        if release != self.release:
            raise InputError(
                f"the correction {self.identifier!r} is one of Gaia {self.release}'s spectra and "
                f"these are of {release}, which is calibrated otherwise; leave it out, or give a "
                "correction of that release"
            )

    def factors(self, wavelength: np.ndarray, sample: Callable[[np.ndarray], Samples]) -> Factors:
        """Factors of sources at the wavelengths of the data, checked.

        Parameters
        ----------
        wavelength : ndarray, shape (n_obs,)
            nm, increasing.
        sample : callable
            Gives the `Samples` of the sources at wavelengths.

        Returns
        -------
        Factors

        Raises
        ------
        InputError
            If wavelengths lie outside of `grid`, or `compute` gives another shape, or a factor that
            is not finite and positive.
        """
        grid = wavelength if self.grid is None else self.grid
        if wavelength[0] < grid[0] or wavelength[-1] > grid[-1]:
            raise InputError(
                f"the correction {self.identifier!r} is known from {grid[0]:g} to {grid[-1]:g} nm; "
                f"it cannot be applied from {wavelength[0]:g} to {wavelength[-1]:g} nm"
            )
        samples = sample(grid)
        result = self.compute(samples)
        factor = np.asarray(result.factor, dtype=float)
        if factor.shape != samples.flux.shape:
            raise InputError(
                f"correction {self.identifier!r} returned shape {factor.shape}; expected one "
                f"factor per flux, {samples.flux.shape}"
            )
        good = np.all(np.isfinite(factor) & (factor > 0), axis=1)
        if not np.all(good):
            raise InputError(
                f"correction {self.identifier!r} returned a factor that is not finite and positive "
                f"for source {samples.table['source_id'][int(np.argmin(good))]}"
            )
        return result._replace(factor=interpolated(factor, grid, wavelength))


def interpolated(values: np.ndarray, grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation along the last axis; constant beyond the ends.

    Parameters
    ----------
    values : ndarray, shape (..., n_grid)
    grid : ndarray, shape (n_grid,)
        Increasing.
    at : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (..., n)
    """
    low, weight = places(grid, at)
    return (1.0 - weight) * values[..., low] + weight * values[..., low + (len(grid) > 1)]


def places(grid: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Node below each value and the weight of the next one, for linear interpolation.

    Parameters
    ----------
    grid : ndarray, shape (n_grid,)
        Increasing.
    at : ndarray, shape (n,)
        Values beyond the ends, and NaN, count as at the ends.

    Returns
    -------
    low : ndarray of int, shape (n,)
    weight : ndarray, shape (n,)
    """
    inside = np.clip(np.where(np.isfinite(at), at, grid[0]), grid[0], grid[-1])
    low = np.clip(np.searchsorted(grid, inside, side="right") - 1, 0, max(len(grid) - 2, 0))
    step = np.diff(grid, append=np.inf)[low]
    return low, (inside - grid[low]) / step


@dataclass(frozen=True)
class FluxCorrection(Correction):
    """A correction of sampled flux by a function.

    Parameters
    ----------
    name, version : str
        Recorded in files.
    function : callable
        Takes wavelengths (n_obs,) in nm, fluxes (n_star, n_obs) in 1e-18 W m-2 nm-1 and the table
        of the sources, and returns the factors (n_star, n_obs) by which the fluxes are multiplied.
    release : str
        Of Gaia's data for which it was made.
    """

    name: str
    version: str
    function: Callable[[np.ndarray, np.ndarray, Table], np.ndarray]
    release: str = DR3.name

    def __post_init__(self):
        if not self.name or not self.version or self.name == UNCORRECTED:
            raise InputError(
                f"a correction needs a name (other than {UNCORRECTED!r}) and a version, so that "
                "models can record it"
            )

    def compute(self, samples: Samples) -> Factors:
        """What the function returns, for all stars."""
        flux = np.where(np.isfinite(samples.flux), samples.flux, 0.0)
        factor = self.function(samples.wavelength, flux, samples.table)
        return Factors(factor, np.ones(len(samples.table), dtype=bool))


def identifier_of(correction: Correction | None) -> str:
    """Name and version of a correction; `UNCORRECTED` where there is none."""
    return correction.identifier if correction else UNCORRECTED
