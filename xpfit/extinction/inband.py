"""Extinction in passbands: integrals over spectra with and without dust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from ..arrays import batches
from ..constants import LN_PER_MAG
from ..errors import InputError
from ..model import XPModel
from ..model.extinction import CCM_RANGE
from .continuation import ContinuedModel
from .curves import Curve
from .passband import Passband

STEP = 0.001
"""Largest step of the integrals in ln wavelength: 0.4 nm at 350 nm, 1 nm at 1 um.

A third of it changes extinctions by less than 1e-5 mag.
"""

MAX_OUTSIDE = 0.1
"""Part of a passband that may lie beyond the first and last sample of a model."""

MAX_CUT = 1e-3
"""Part of a passband that may lie where there is nothing at all, and is left out."""

STARS_PER_CHUNK = 200


def in_band_extinction(
    passband: Passband,
    wavelength: np.ndarray,
    flux: np.ndarray,
    curve: Curve,
    extinction: np.ndarray | float,
) -> np.ndarray:
    """Extinction of given spectra in a passband, under any extinction curve.

    Parameters
    ----------
    passband : Passband
    wavelength : ndarray, shape (n,)
        nm, ascending.
    flux : ndarray, shape (n_star, n)
        Per unit wavelength, without dust, positive; a power law between neighbouring wavelengths.
    curve : callable
        As from `published_curve`: wavelengths (nm) to A(lambda) in mag for unit amount of dust.
    extinction : ndarray, shape (n_star,), or float
        Amount of dust.

    Returns
    -------
    ndarray, shape (n_star,)
        mag: -2.5 lg of the signal with dust over that without. The signal is the integral of flux
        times `Passband.weight`: photons or energy, as the passband says.

    Raises
    ------
    InputError
        If shapes disagree, flux is not positive, or the spectra do not cover the passband.
    """
    wavelength, flux = np.asarray(wavelength, dtype=float), np.asarray(flux, dtype=float)
    if flux.ndim != 2 or flux.shape[1] != len(wavelength):
        raise InputError(
            f"flux has shape {flux.shape}; expected (n_star, {len(wavelength)}), the wavelengths'"
        )
    if np.any(np.diff(wavelength) <= 0) or not np.all(flux > 0):
        raise InputError("wavelengths must ascend, and flux must be positive and finite")
    _require_covered(passband, wavelength[0], wavelength[-1], MAX_CUT, "the spectra")
    grid, weight = _grid(passband, wavelength, wavelength[0], wavelength[-1])
    at = np.log(grid)
    ln_flux = np.array([np.interp(at, np.log(wavelength), np.log(f)) for f in flux])
    dust = np.broadcast_to(np.asarray(extinction, dtype=float), len(flux))[:, None]
    return _through_dust(np.log(weight) + ln_flux, -LN_PER_MAG * dust * curve(grid)[None])[0]


class BandSums(NamedTuple):
    """A passband on its grid of integration."""

    matrix: csr_array  # from a model's samples to the grid
    wavelength: np.ndarray  # nm, (n,)
    ln_weight: np.ndarray  # of flux in the sum, (n,)
    curve: np.ndarray  # ln of A(lambda) in mag for unit E, (n,)
    variation: np.ndarray  # its change with xi, (n,)


class ModelExtinction:
    """Extinction of a model's stars in passbands, by its learned curve or a published one.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    passbands : sequence of Passband
    curve : callable, optional
        As from `published_curve`; by default the learned one.
    max_outside : float
        Part of a passband that may lie beyond the model's samples, where spectra and the learned
        curve are continued (see `xpfit.extinction.continuation`).

    Attributes
    ----------
    names : tuple of str
        Of the passbands.
    shares : ndarray, shape (n_band, 2)
        Part of each passband that lies between bands of photometry, and part that lies beyond the
        first and last sample: there, the result rests on the continuation.

    Raises
    ------
    InputError
        If the model is in coefficient space, or more of a passband than that lies outside.
    """

    def __init__(
        self,
        model: XPModel,
        passbands: Sequence[Passband],
        curve: Curve | None = None,
        max_outside: float = MAX_OUTSIDE,
    ):
        self.model = model
        self.continued = ContinuedModel(model)
        self.names = tuple(passband.name for passband in passbands)
        self._varies = curve is None and model.forward.curve_varies
        first, last = self.continued.spectrum_range
        end = self.continued.wavelength[-1]
        for passband in passbands:
            _require_covered(passband, *CCM_RANGE, MAX_CUT, "the continuation of the model")
            _require_covered(passband, first, end, max_outside, "the model")
        self.shares = np.array(
            [[p.share(last, end), 1.0 - p.share(first, end)] for p in passbands]
        ).reshape(-1, 2)
        self._bands = [self._sums(passband, curve) for passband in passbands]

    def _sums(self, passband: Passband, curve: Curve | None) -> BandSums:
        """The passband on its grid."""
        grid, weight = _grid(passband, self.continued.wavelength, *CCM_RANGE)
        if curve is None:
            ln_curve, variation = self.continued.ln_curve(grid)
        else:
            ln_curve, variation = np.log(curve(grid)), np.zeros(len(grid))
        matrix = self.continued.interpolation(grid)
        return BandSums(matrix, grid, np.log(weight), ln_curve, variation)

    def extinction(self, parameters: np.ndarray) -> np.ndarray:
        """Extinction in each passband.

        Parameters
        ----------
        parameters : ndarray, shape (n_star, n_parameter)
            Linear, as a fit gives them: labels (Teff in kK), E, parallax[, xi].

        Returns
        -------
        ndarray, shape (n_star, n_band)
            mag; NaN for stars without all parameters. The parallax is not used.
        """
        return self.with_gradient(parameters)[0]

    def with_gradient(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Extinction in each passband, and its exact derivatives.

        Parameters
        ----------
        parameters : ndarray, shape (n_star, n_parameter)

        Returns
        -------
        extinction : ndarray, shape (n_star, n_band)
        gradient : ndarray, shape (n_star, n_band, n_parameter)
        """
        parameters = np.asarray(parameters, dtype=float)
        layout, n_band = self.model.forward.layout, len(self._bands)
        needed = [i for i in range(layout.size) if i != layout.parallax]
        known = np.flatnonzero(np.isfinite(parameters[:, needed]).all(axis=1))
        value = np.full((len(parameters), n_band), np.nan)
        gradient = np.full((len(parameters), n_band, layout.size), np.nan)
        for rows in batches(len(known), STARS_PER_CHUNK):
            stars = known[rows]
            value[stars], gradient[stars] = self._of_chunk(parameters[stars])
        return value, gradient

    def with_error(
        self, parameters: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Extinction in each passband, with its standard error.

        Parameters
        ----------
        parameters : ndarray, shape (n_star, n_parameter)
        covariance : ndarray, shape (n_star, n_parameter, n_parameter)
            Of the parameters.

        Returns
        -------
        extinction, error : ndarray, shape (n_star, n_band)
            The error is that of the star's parameters; the curve is taken to be exact.
        """
        value, gradient = self.with_gradient(parameters)
        used = np.delete(np.arange(covariance.shape[1]), self.model.forward.layout.parallax)
        slopes, part = gradient[:, :, used], covariance[:, used[:, None], used]
        return value, np.sqrt(np.einsum("sbi,sij,sbj->sb", slopes, part, slopes))

    def _of_chunk(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and derivatives of stars that fit in memory together."""
        layout = self.model.forward.layout
        labels, dust = parameters[:, layout.labels], parameters[:, layout.extinction, None]
        xi = parameters[:, layout.xi, None] if self._varies else np.zeros((len(labels), 1))
        flux = self.continued.ln_flux(labels)
        values, gradients = [], []
        for band in self._bands:
            ln_signal, slopes, planck_slope = self._spectra(band, labels, flux)
            curve = np.exp(band.curve + xi * band.variation)
            ln_dust = -LN_PER_MAG * dust * curve
            magnitudes, without, through = _through_dust(ln_signal, ln_dust)
            values.append(magnitudes)
            # Of labels: how much more they change the signal without dust than behind it.
            change = without - through
            gradient = np.zeros((len(labels), layout.size))
            on_samples = (band.matrix.T @ change.T).T
            by_label = np.einsum("si,ski->sk", on_samples, slopes)
            by_label[:, self._teff] += np.sum(change * planck_slope, axis=1)
            gradient[:, layout.labels] = by_label / LN_PER_MAG
            gradient[:, layout.extinction] = np.sum(through * curve, axis=1)
            if self._varies:
                by_xi = np.sum(through * curve * band.variation, axis=1)
                gradient[:, layout.xi] = dust[:, 0] * by_xi
            gradients.append(gradient)
        shape = (len(labels), 0)
        return (
            np.stack(values, axis=1) if values else np.empty(shape),
            np.stack(gradients, axis=1) if gradients else np.empty((*shape, layout.size)),
        )

    def _spectra(self, band: BandSums, labels: np.ndarray, flux: tuple) -> tuple:
        """Ln of the signal at each wavelength without dust, with what its derivatives need.

        These are the derivatives at the samples with respect to the labels, Planck's taken out,
        and of Planck's function at the wavelengths with respect to Teff.
        """
        ln_flux, slopes = flux
        at_samples, slope_at_samples = self.continued.ln_planck(self.continued.wavelength, labels)
        planck, planck_slope = self.continued.ln_planck(band.wavelength, labels)
        ln_signal = band.ln_weight + planck + (band.matrix @ (ln_flux - at_samples).T).T
        slopes = slopes.copy()
        slopes[:, self._teff] -= slope_at_samples
        return ln_signal, slopes, planck_slope

    @property
    def _teff(self) -> int:
        return self.model.label_names.index("teff")


def _require_covered(passband: Passband, low: float, high: float, most: float, what: str) -> None:
    """Raise an `InputError` if too much of a passband lies outside a range."""
    outside = 1.0 - passband.share(low, high)
    if outside > most:
        raise InputError(
            f"passband {passband.name}: {100 * outside:.1f} % of it lie outside {low:g} to "
            f"{high:g} nm, where {what} end; at most {100 * most:g} % may"
        )


def _grid(passband: Passband, knots: np.ndarray, low: float, high: float) -> tuple:
    """Wavelengths for an integral, with weights by the trapezoidal rule; all are positive."""
    low, high = max(low, passband.wavelength[0]), min(high, passband.wavelength[-1])
    known = np.concatenate([[low, high], knots, passband.wavelength])
    known = np.unique(known[(known >= low) & (known <= high)])
    n_step = np.ceil(np.log(known[1:] / known[:-1]) / STEP).astype(int)
    # Geometric steps between neighbours, each interval without its end.
    place = np.arange(n_step.sum()) - np.repeat(np.cumsum(n_step) - n_step, n_step)
    ratio = np.repeat(known[1:] / known[:-1], n_step) ** (place / np.repeat(n_step, n_step))
    grid = np.append(np.repeat(known[:-1], n_step) * ratio, known[-1])
    step = np.diff(grid)
    width = 0.5 * (np.append(step, 0.0) + np.insert(step, 0, 0.0))
    weight = passband.weight(grid) * width
    used = weight > 0
    return grid[used], weight[used]


def _through_dust(ln_signal: np.ndarray, ln_dust: np.ndarray) -> tuple:
    """Extinction of signals given by wavelength, and from where the signals come.

    Returns
    -------
    magnitudes : ndarray, shape (n_star,)
        -2.5 lg of the sum with dust over that without.
    without, through : ndarray, shape (n_star, n)
        Part of the signal without and with dust that comes from each wavelength.
    """
    parts, ln_sums = [], []
    # Behind much dust another wavelength is the brightest.
    for ln_values in (ln_signal, ln_signal + ln_dust):
        peak = ln_values.max(axis=1, keepdims=True)
        part = np.exp(ln_values - peak)
        total = part.sum(axis=1, keepdims=True)
        parts.append(part / total)
        ln_sums.append((peak + np.log(total))[:, 0])
    return (ln_sums[0] - ln_sums[1]) / LN_PER_MAG, *parts
