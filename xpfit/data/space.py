"""Observation spaces: what a data vector holds, and how a spectrum becomes one.

The emulator works on a grid of wavelengths, where dust multiplies the flux; the data vector is what
Gaia's flux is compared in. In sampled space the two are the same. In coefficient space the grid is
that of pseudo-wavelengths of BP and RP, and the data vector holds the archive's coefficients.
Photometric bands follow the spectrum in both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from array_api_compat import array_namespace

from ..arrays import Array
from ..constants import BANDS
from ..errors import InputError
from .hdf5 import require_arrays


class ObservationSpace(ABC):
    """What the data vector of a star is, and its relation to the spectrum on the grid.

    Both maps are linear; each has an adjoint, for gradients. All act on the
    last axis of arrays of any number of dimensions.

    Attributes
    ----------
    name : str
        ``"sampled"`` or ``"coefficient"``.
    is_flux : bool
        Whether the data vector holds fluxes at wavelengths, not coefficients.
    second_order : bool
        Whether dust needs a term in E^2, because the instrument has blurred the spectrum before.
    wavelength : ndarray, shape (n_grid,)
        nm; the photometric bands come last.
    covered : ndarray of bool, shape (n_grid,)
        Grid points in the instrument's passbands.
    """

    name: str
    is_flux: bool
    second_order: bool
    wavelength: np.ndarray
    covered: np.ndarray

    @property
    def n_grid(self) -> int:
        """Number of grid points."""
        return int(self.wavelength.shape[0])

    @property
    @abstractmethod
    def n_obs(self) -> int:
        """Number of values in the data vector."""

    @property
    @abstractmethod
    def n_bands(self) -> int:
        """Number of photometric bands at the end of the grid and of the data vector."""

    @abstractmethod
    def observe(self, spectrum: np.ndarray, /) -> np.ndarray:
        """Spectrum on the grid (..., n_grid) -> data vector (..., n_obs)."""

    @abstractmethod
    def observe_adjoint(self, values: np.ndarray, /) -> np.ndarray:
        """Transpose of `observe`: (..., n_obs) -> (..., n_grid)."""

    @abstractmethod
    def spectrum(self, values: np.ndarray, /) -> np.ndarray:
        """Data vector (..., n_obs) -> spectrum on the grid (..., n_grid)."""

    @abstractmethod
    def spectrum_adjoint(self, spectrum: np.ndarray, /) -> np.ndarray:
        """Transpose of `spectrum`: (..., n_grid) -> (..., n_obs)."""

    @abstractmethod
    def grid_channels(self, channels: np.ndarray, /) -> np.ndarray:
        """Grid points that some values of the data vector depend on.

        Parameters
        ----------
        channels : ndarray of bool, shape (..., n_obs)

        Returns
        -------
        ndarray of bool, shape (..., n_grid)
        """

    @abstractmethod
    def scale(self, values: np.ndarray, /) -> np.ndarray:
        """Flux that fractional residuals of the emulator refer to, (n_star, n_obs).

        The observed one, as in ZGR23's calibration terms (eq. 2): where that is mostly noise,
        the noise outweighs this term.

        Parameters
        ----------
        values : ndarray, shape (n_star, n_obs)
            Data vectors, observed or predicted.
        """

    @abstractmethod
    def datasets(self) -> dict[str, np.ndarray]:
        """Arrays from which `space_from_datasets` restores the space."""

    def kernel_arrays(self) -> tuple[np.ndarray, ...]:
        """Basis functions of BP, their pseudo-inverse, and the same of RP; empty if there are none.

        Returns
        -------
        tuple of ndarray
            Of shapes (n_coefficient, n_u) and (n_u, n_coefficient), for BP and for RP.
        """
        return (np.empty((0, 0)),) * 4

    @property
    def is_band(self) -> np.ndarray:
        """Grid points that are photometric bands, bool, shape (n_grid,)."""
        return np.arange(self.n_grid) >= self.n_grid - self.n_bands

    @property
    def is_band_channel(self) -> np.ndarray:
        """Values of the data vector that are photometric bands, bool, shape (n_obs,)."""
        return np.arange(self.n_obs) >= self.n_obs - self.n_bands

    def band_channel(self, wavelength: float) -> int:
        """Index of a photometric band in the data vector.

        Raises
        ------
        InputError
            If there is no such band.
        """
        where = np.flatnonzero(self.is_band & (self.wavelength == wavelength))
        if len(where) != 1:
            raise InputError(f"these spectra have no photometric band at {wavelength:g} nm")
        return int(where[0]) - self.n_grid + self.n_obs

    def matches(self, other: ObservationSpace) -> bool:
        """Whether data in the other space can be compared with data in this one."""
        mine, others = self.datasets(), other.datasets()
        return self.name == other.name and all(
            value.shape == others[name].shape
            and np.allclose(value, others[name], rtol=1e-9, atol=1e-12)
            for name, value in mine.items()
        )


@dataclass(frozen=True, eq=False)
class SampledSpace(ObservationSpace):
    """Flux at given wavelengths: ZGR23's data vector.

    Parameters
    ----------
    wavelength : ndarray, shape (n_obs,)
        nm; wavelengths of `xpfit.constants.BANDS` at the end are photometric bands.
    """

    wavelength: np.ndarray
    covered: np.ndarray = field(init=False)
    name = "sampled"
    is_flux = True
    second_order = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "wavelength", np.array(self.wavelength, dtype=float))
        object.__setattr__(self, "covered", np.ones(len(self.wavelength), dtype=bool))

    def __repr__(self) -> str:
        return (
            f"<SampledSpace: {self.n_obs} values from {self.wavelength[0]:g} to "
            f"{self.wavelength[-1]:g} nm>"
        )

    @property
    def n_obs(self) -> int:
        return int(self.wavelength.shape[0])

    @cached_property
    def n_bands(self) -> int:
        is_spectrum = ~np.isin(self.wavelength, [band.wavelength for band in BANDS])
        return int(np.argmax(is_spectrum[::-1])) if is_spectrum.any() else self.n_obs

    def observe(self, spectrum: np.ndarray) -> np.ndarray:
        return spectrum

    observe_adjoint = spectrum = spectrum_adjoint = grid_channels = scale = observe

    def datasets(self) -> dict[str, np.ndarray]:
        return {"wavelength": self.wavelength}


@dataclass(frozen=True, eq=False)
class CoefficientSpace(ObservationSpace):
    """Gaia's own coefficients of BP and RP, in photo-electrons per second.

    The grid is that of pseudo-wavelengths u, first of BP, then of RP. There a spectrum is
    ``coefficients @ basis`` (H), and ``spectrum @ pinv(basis)`` (H+) are its coefficients.

    Parameters
    ----------
    wavelength : ndarray, shape (2 n_u + n_bands,)
        nm; of the light that falls on each grid point.
    covered : ndarray of bool, same shape
        Grid points in the instrument's passbands.
    bp_basis, rp_basis : ndarray, shape (n_coefficient, n_u)
        Basis functions on the pseudo-wavelengths.

    Raises
    ------
    InputError
        If the shapes disagree, or a basis is ill-conditioned, so that a spectrum does not
        determine its coefficients.
    """

    wavelength: np.ndarray
    covered: np.ndarray
    bp_basis: np.ndarray
    rp_basis: np.ndarray
    inverses: tuple[np.ndarray, np.ndarray] = field(init=False)
    name = "coefficient"
    is_flux = False
    second_order = True

    MAX_CONDITION = 2.0
    """Condition number that the bases of Gaia DR3 stay below (BP 1.40, RP 1.22)."""

    DATASETS = ("wavelength", "space/covered", "space/bp_basis", "space/rp_basis")
    """Arrays of the space, in the order of its parameters, as files name them."""

    def __post_init__(self) -> None:
        n_grid = self.bp_basis.shape[1] + self.rp_basis.shape[1]
        if len(self.wavelength) < n_grid or self.covered.shape != self.wavelength.shape:
            raise InputError(
                f"coefficient space: {len(self.wavelength)} wavelengths for {n_grid} "
                "pseudo-wavelengths"
            )
        for band, basis in (("BP", self.bp_basis), ("RP", self.rp_basis)):
            condition = np.linalg.cond(basis)
            if not condition < self.MAX_CONDITION:
                raise InputError(
                    f"the {band} basis has condition number {condition:.3g} on this grid of "
                    f"pseudo-wavelengths, above {self.MAX_CONDITION}: take more of them, or "
                    "functions that are more nearly orthogonal"
                )
        # H+ of BP and RP, each (n_u, n_coefficient)
        inverses = np.linalg.pinv(self.bp_basis), np.linalg.pinv(self.rp_basis)
        object.__setattr__(self, "inverses", inverses)

    def __repr__(self) -> str:
        return (
            f"<CoefficientSpace: {len(self.bp_basis)} BP and {len(self.rp_basis)} RP coefficients, "
            f"{self.n_bands} bands>"
        )

    @property
    def n_obs(self) -> int:
        return int(self.bp_basis.shape[0] + self.rp_basis.shape[0]) + self.n_bands

    @property
    def n_bands(self) -> int:
        return int(self.wavelength.shape[0] - self.bp_basis.shape[1] - self.rp_basis.shape[1])

    def observe(self, spectrum: Array) -> Array:
        return _by_band(spectrum, self.inverses)

    def observe_adjoint(self, values: Array) -> Array:
        return _by_band(values, [inverse.T for inverse in self.inverses])

    def spectrum(self, values: Array) -> Array:
        return _by_band(values, (self.bp_basis, self.rp_basis))

    def spectrum_adjoint(self, spectrum: Array) -> Array:
        return _by_band(spectrum, (self.bp_basis.T, self.rp_basis.T))

    def grid_channels(self, channels: np.ndarray) -> np.ndarray:
        any_used = [np.ones_like(basis, dtype=bool) for basis in (self.bp_basis, self.rp_basis)]
        return np.asarray(_by_band(channels, any_used))

    def kernel_arrays(self) -> tuple[np.ndarray, ...]:
        bp_inverse, rp_inverse = self.inverses
        return self.bp_basis, bp_inverse, self.rp_basis, rp_inverse

    def scale(self, values: Array) -> Array:
        # Coefficients may vanish: the norm of their band's does not.
        scale, n_bp = values.copy(), len(self.bp_basis)
        for block in (slice(n_bp), slice(n_bp, self.n_obs - self.n_bands)):
            scale[:, block] = np.linalg.norm(values[:, block], axis=1, keepdims=True)
        return scale

    def datasets(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name.removeprefix("space/")) for name in self.DATASETS}


def _by_band(values: Array, matrices: Sequence[Array]) -> Array:
    """Multiply BP's and RP's parts of the last axis by their matrices; keep what follows."""
    parts, start = [], 0
    for matrix in matrices:
        parts.append(values[..., start : start + matrix.shape[0]] @ matrix)
        start += matrix.shape[0]
    return array_namespace(values).concat([*parts, values[..., start:]], axis=-1)


def as_space(space: ObservationSpace | Sequence[float]) -> ObservationSpace:
    """The space itself, or sampled space at the given wavelengths (nm)."""
    return space if isinstance(space, ObservationSpace) else SampledSpace(np.asarray(space))


def space_from_datasets(name: str, datasets: Mapping[str, np.ndarray]) -> ObservationSpace:
    """Space from the arrays of its `datasets`, or from an open HDF5 file that holds them.

    Raises
    ------
    KeyError
        If an array is missing, or there is no space of this name.
    ValueError
        If an array is not of the right shape or kind, or wavelengths are not positive.
    """
    wavelength = np.asarray(datasets["wavelength"])
    require_arrays({"wavelength": (wavelength, (None,))})
    if not len(wavelength) or np.any(wavelength <= 0):
        raise ValueError("wavelengths must be positive, and at least one")
    if name == SampledSpace.name:
        return SampledSpace(wavelength)
    if name != CoefficientSpace.name:
        raise KeyError(f"observation space {name!r} is not known to this version of xpfit")
    arrays = [np.asarray(datasets[key]) for key in CoefficientSpace.DATASETS]
    shapes = (wavelength.shape, wavelength.shape, (None, None), (None, None))
    require_arrays(
        dict(zip(CoefficientSpace.DATASETS, zip(arrays, shapes, strict=True), strict=True))
    )
    return CoefficientSpace(*arrays)
