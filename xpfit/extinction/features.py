"""Equivalent widths of the broad features of the extinction curve at 770 and 850 nm.

Maiz Apellaniz et al. (2021, MNRAS 501, 2487) found the first, 18 nm wide, in spectra of hot stars;
both are in the curves that XP spectra give. A feature is what a curve has above a smooth continuum:
a parabola in 1 / wavelength through the curve on both sides. So equivalent widths are linear in
the extinction, and can be measured on single stars and averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..constants import LN_PER_MAG
from ..data import SampledSpace, Spectra
from ..errors import InputError
from ..fit import FitResult
from ..model import XPModel
from ..validate.flux_residuals import good_stars, positions
from ..validate.sky import SkyMeans, cells_of
from .continuation import ContinuedModel
from .reddening import VISUAL, monochromatic

DEGREE = 2
"""Of the continuum, a polynomial in 1 / wavelength."""

EMULATOR_ERROR = 0.01
"""Relative error of predicted flux, in the weights of stars: bright ones do not count for all."""

MIN_STARS = 20
"""Stars without which a part of the sky has no mean."""

DISTANCE_EDGES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""kpc, of the slices in distance."""

NSIDE = 4
"""Of the parts of the sky, 15 degrees."""


@dataclass(frozen=True)
class Feature:
    """A feature of the extinction curve.

    Attributes
    ----------
    name : str
    core : tuple of float
        nm; where it is.
    sides : tuple of tuple of float
        nm; where the continuum is measured.
    """

    name: str
    core: tuple[float, float]
    sides: tuple[tuple[float, float], tuple[float, float]]

    def operator(self, wavelength: np.ndarray) -> np.ndarray:
        """Weights that give the equivalent width of an extinction curve.

        Parameters
        ----------
        wavelength : ndarray, shape (n,)
            nm.

        Returns
        -------
        ndarray, shape (n,)
            Their product with A(lambda) in mag is the equivalent width in nm of weak dust, the
            integral of ln 10 / 2.5 (A - A_continuum) over `core`.

        Raises
        ------
        InputError
            If there are too few wavelengths.
        """
        beside = np.any([(wavelength >= a) & (wavelength <= b) for a, b in self.sides], axis=0)
        core = (wavelength >= self.core[0]) & (wavelength <= self.core[1])
        if beside.sum() < DEGREE + 3 or core.sum() < 3:
            raise InputError(
                f"the feature at {self.name} nm needs samples from {self.sides[0][0]:g} to "
                f"{self.sides[1][1]:g} nm, 10 nm apart or less"
            )
        x = 1000.0 / wavelength
        design = np.vander(x - x[core].mean(), DEGREE + 1)
        step = np.diff(wavelength[core])
        width = 0.5 * (np.append(step, 0.0) + np.insert(step, 0, 0.0))
        weights = np.zeros(len(wavelength))
        weights[beside] = -width @ design[core] @ np.linalg.pinv(design[beside])
        weights[core] += width
        return LN_PER_MAG * weights

    def continuum(self, wavelength: np.ndarray, curve: np.ndarray) -> np.ndarray:
        """The smooth curve through the sides, at all wavelengths, shape (n,)."""
        beside = np.any([(wavelength >= a) & (wavelength <= b) for a, b in self.sides], axis=0)
        x = 1000.0 / wavelength
        return np.polyval(np.polyfit(x[beside], curve[beside], DEGREE), x)


FEATURES = (
    Feature("770", (740.0, 800.0), ((690.0, 740.0), (800.0, 830.0))),
    Feature("850", (830.0, 880.0), ((800.0, 830.0), (880.0, 930.0))),
)
"""By the wavelengths (nm) of their centres."""


def curve_in_samples(model: XPModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The learned curve at the samples of a model's spectrum, without bands.

    Returns
    -------
    index : ndarray of int, shape (n,)
        Of the samples on the model's grid, in ascending wavelength.
    wavelength : ndarray, shape (n,)
        nm.
    curve : ndarray, shape (n,)
        A(lambda) / A(550 nm) at xi = 0.

    Raises
    ------
    InputError
        If the model is in coefficient space.
    """
    continued = ContinuedModel(model)
    index = np.flatnonzero(model.trained_grid & ~model.space.is_band)
    index = index[np.argsort(model.wavelength[index])]
    wavelength = model.wavelength[index]
    visual = monochromatic(continued, np.array([VISUAL]), np.zeros(1))[0, 0]
    curve = model.forward.extinction_curve[index] / LN_PER_MAG / visual
    return index, wavelength, curve


def learned_widths(model: XPModel) -> dict[str, tuple[float, float]]:
    """Equivalent widths of the features of the learned curve.

    Parameters
    ----------
    model : XPModel
        In sampled space.

    Returns
    -------
    dict of str to tuple of float
        By feature: nm for A(550 nm) = 1 mag, and its error, from the scatter of the curve around
        the continuum beside the feature, independent from sample to sample.

    Raises
    ------
    InputError
        If the model is in coefficient space, or has too few samples.
    """
    _, wavelength, curve = curve_in_samples(model)
    widths = {}
    for feature in FEATURES:
        operator = feature.operator(wavelength)
        residual = curve - feature.continuum(wavelength, curve)
        beside = np.any([(wavelength >= a) & (wavelength <= b) for a, b in feature.sides], axis=0)
        scatter = np.sqrt(np.sum(residual[beside] ** 2) / (beside.sum() - DEGREE - 1))
        widths[feature.name] = (
            float(operator @ curve), float(scatter * np.linalg.norm(operator))
        )  # fmt: skip
    return widths


@dataclass(frozen=True)
class Mean:
    """Mean of a residual over stars, for A(550 nm) = 1 mag.

    Attributes
    ----------
    value, error : ndarray
        Slope of residual extinction with A(550 nm); the error is that of the stars' scatter.
    """

    value: np.ndarray
    error: np.ndarray


class StackedResiduals:
    """Residual extinction of fitted stars, by direction and distance.

    What the flux of a star lacks, in magnitudes, beyond its fit: its slope with A(550 nm) is by how
    much the extinction curve of these stars differs from the learned one. Its mean over all stars
    without dust, which the emulator is to blame for, is subtracted.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    edges : sequence of float
        kpc; of the slices in distance, rising. Models without luminosities have one slice.
    nside : int
        Of the HEALPix cells (nested, Galactic), a power of two.

    Raises
    ------
    InputError
        If the model is in coefficient space, or the edges do not rise.
    """

    def __init__(self, model: XPModel, edges: Sequence[float] = DISTANCE_EDGES, nside: int = NSIDE):
        self.edges = np.asarray(edges, dtype=float) if model.absolute else np.array([0.0, np.inf])
        if len(self.edges) < 2 or not np.all(np.diff(self.edges) > 0) or self.edges[0] < 0:
            raise InputError(f"edges must be rising distances in kpc, got {self.edges.tolist()}")
        self.model, self.healpix = model, SkyMeans(nside).healpix
        self.index, self.wavelength, self.curve = curve_in_samples(model)
        operators = [feature.operator(self.wavelength) for feature in FEATURES]
        # Residuals at all samples, then the equivalent widths: rows of one matrix.
        self._operators = np.vstack([np.eye(len(self.wavelength)), *operators])
        self.n_slice = len(self.edges) - 1
        n_group = self.n_slice * self.healpix.npix
        self.count = np.zeros(n_group, dtype=np.int64)
        self._sums = np.zeros((6, n_group, len(self._operators)))

    def add(self, spectra: Spectra, result: FitResult) -> None:
        """Add fitted stars.

        Parameters
        ----------
        spectra : Spectra
        result : FitResult
            Fit of `spectra` by the model.
        """
        assert isinstance(self.model.space, SampledSpace)
        flux, error = spectra.flux[:, self.index], spectra.flux_err[:, self.index]
        with np.errstate(invalid="ignore", divide="ignore"):
            predicted = self.model.forward.flux(result.theta)[:, self.index]
            residual = -np.log(flux / predicted) / LN_PER_MAG
            variance = ((error / predicted) ** 2 + EMULATOR_ERROR**2) / LN_PER_MAG**2
        group = self._groups(spectra, result)
        dust = self._a_550(result)
        keep = (group >= 0) & good_stars(self.model, spectra, result) & np.isfinite(dust)
        keep &= np.isfinite(residual).all(axis=1) & np.isfinite(variance).all(axis=1)
        rows = np.flatnonzero(keep)
        if not len(rows):
            return
        values = residual[rows] @ self._operators.T
        weights = 1.0 / (variance[rows] @ self._operators.T**2)
        dust, group = dust[rows, None], group[rows]
        self.count += np.bincount(group, minlength=len(self.count))
        powers = (1.0, dust, dust**2, values, dust * values, values**2)
        for total, power in zip(self._sums, powers, strict=True):
            np.add.at(total, group, weights * power)

    def _groups(self, spectra: Spectra, result: FitResult) -> np.ndarray:
        """Number of each star's slice and cell; -1 for those outside."""
        cells = cells_of(positions(spectra), self.healpix)
        place = np.zeros(len(cells), dtype=np.int64)
        if self.model.absolute:
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = 1.0 / result["parallax"]
            place = np.searchsorted(self.edges, distance, side="right") - 1
            place[~np.isfinite(distance)] = -1
        inside = (place >= 0) & (place < self.n_slice) & (cells >= 0)
        return np.where(inside, place * self.healpix.npix + cells, -1)

    def _a_550(self, result: FitResult) -> np.ndarray:
        """A(550 nm) of each star, mag."""
        varies = self.model.forward.curve_varies
        xi = np.nan_to_num(result["xi"]) if varies else np.zeros(len(result.theta))
        at = monochromatic(ContinuedModel(self.model), np.array([VISUAL]), xi)[:, 0]
        return result["extinction"] * at

    def _without_dust(self) -> np.ndarray:
        """Mean residual of stars without dust: intercept of all stars' straight line."""
        one, dust, square, value, product, _ = self._sums.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (value * square - product * dust) / (one * square - dust**2)

    def mean(self, groups: np.ndarray | slice = slice(None)) -> tuple[Mean, Mean]:
        """Means over the stars of some groups together.

        Parameters
        ----------
        groups : ndarray of int, or slice
            Numbers of groups: slice * n_cell + cell; by default all.

        Returns
        -------
        curve : Mean, of shape (n,)
            Residual A(lambda) / A(550 nm) at `wavelength`.
        widths : Mean, of shape (n_feature,)
            nm; by how much the equivalent widths differ from those of the learned curve.
            NaN with fewer than `MIN_STARS` stars.
        """
        count = int(self.count[groups].sum())
        one, dust, square, value, product, squares = self._sums[:, groups].sum(axis=1)
        zero = self._without_dust()
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (product - zero * dust) / square
            # Sum of weighted squares of what is left, zero and slope taken off.
            rest = squares - 2.0 * zero * value + zero**2 * one - slope**2 * square
            error = np.sqrt(np.maximum(rest, 0.0) / max(count - 1, 1) / square)
        if count < MIN_STARS:
            slope, error = np.full_like(slope, np.nan), np.full_like(error, np.nan)
        n = len(self.wavelength)
        return Mean(slope[:n], error[:n]), Mean(slope[n:], error[n:])

    def groups_of_slice(self, number: int) -> slice:
        """Groups of a slice in distance."""
        n = self.healpix.npix
        return slice(number * n, (number + 1) * n)
