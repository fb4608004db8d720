"""Inputs of companions: spectra normalised by the star's brightness, and their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..constants import AMPLITUDE_WINDOW
from ..data import ObservationSpace, Spectra
from ..errors import InputError
from .colours import (
    COLOURS,
    GAIA_COLOUR,
    colour_slopes,
    colours,
    gaia_colour_err,
    pseudo_magnitude,
    pseudo_magnitude_slopes,
)
from .draws import star_generator

SOFTENING = 0.02
"""Relative flux below which features are linear in it, and above logarithmic."""

MIN_KNOWN = 0.5
"""Share of the training stars that must have a value for it to be an input."""


@dataclass(frozen=True)
class Features:
    """The map from data vectors to standardised inputs of a network.

    Attributes
    ----------
    space : ObservationSpace
        Of the spectra.
    channels : ndarray of bool, shape (n_obs,)
        Values that are inputs.
    reference : ndarray, shape (n_obs,)
        Weights of the sum that the data vector is divided by (Fallows & Sanders, eq. 1): the first
        RP coefficient; in sampled space the mean flux at 592-782 nm.
    with_parallax : bool
        Whether the pseudo-absolute magnitude is an input too (their eq. 3).
    mean, scale : ndarray, shape (n_input,)
        Of the training stars: inputs are the channels, the colours, the pseudo-absolute magnitude.
    colours : tuple of str
        Those of `xpfit.companion.colours.COLOURS` that are inputs, in place of the bands. With
        them the pseudo-absolute magnitude is corrected for extinction (their appendix A).

    Notes
    -----
    Relative flux enters through asinh(x / 0.02), which is logarithmic where stars differ by factors
    and goes through zero where noise makes it negative. Coefficients enter as they are.
    """

    space: ObservationSpace
    channels: np.ndarray
    reference: np.ndarray
    with_parallax: bool
    mean: np.ndarray
    scale: np.ndarray
    colours: tuple[str, ...] = ()

    @classmethod
    def learn(
        cls, spectra: Spectra, *, spectrum_only: bool = False, with_colours: bool = False
    ) -> Features:
        """Choose and standardise the inputs for a training set.

        Parameters
        ----------
        spectra : Spectra
        spectrum_only : bool
            Leave out photometric bands and the pseudo-absolute magnitude.
        with_colours : bool
            Colours instead of bands, as far as most stars have them.

        Returns
        -------
        Features

        Raises
        ------
        InputError
            If most values of the stars are unknown, or no colours are known.
        """
        known = np.isfinite(spectra.flux_err).mean(axis=0) >= MIN_KNOWN
        if known.sum() < 2:
            raise InputError("most of the spectra's values are unusable; there is nothing to learn")
        reference = _reference(spectra.space, known)
        channels = known.copy()
        if not spectra.space.is_flux:
            channels &= reference == 0  # which is one for all stars
        names = _known_colours(spectra) if with_colours else ()
        pseudo, _ = pseudo_magnitude(spectra, corrected=with_colours)
        with_parallax = bool(np.isfinite(pseudo).mean() >= MIN_KNOWN) and not spectrum_only
        if spectrum_only or with_colours:
            channels = channels & ~spectra.space.is_band_channel
        unit = np.zeros(1), np.ones(1)  # inputs as they are
        features = cls(spectra.space, channels, reference, with_parallax, *unit, names)
        raw = features._raw(spectra)
        spread = np.nanstd(raw, axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        return replace(features, mean=np.nanmean(raw, axis=0), scale=scale)

    @property
    def n_input(self) -> int:
        """Number of inputs."""
        return len(self.mean)

    @property
    def input_wavelength(self) -> np.ndarray:
        """Wavelength (nm) of each input; NaN for coefficients, colours and pseudo-magnitudes."""
        known = self.space.is_band_channel | self.space.is_flux
        wavelength = np.where(known, self.space.wavelength[-self.space.n_obs :], np.nan)
        others = [np.nan] * (len(self.colours) + self.with_parallax)
        return np.append(wavelength[self.channels], others)

    def inputs(self, spectra: Spectra) -> np.ndarray:
        """Standardised inputs, shape (n_star, n_input); zero, the mean star's, where unknown.

        Raises
        ------
        InputError
            If the spectra are of another space than the training stars'.
        """
        return np.nan_to_num((self._raw(spectra) - self.mean) / self.scale, nan=0.0)

    def is_usable(self, spectra: Spectra) -> np.ndarray:
        """Stars with any known input value: bool, shape (n_star,).

        Raises
        ------
        InputError
            If the spectra are of another space than the training stars'.
        """
        self._check(spectra)
        return np.isfinite(spectra.flux_err[:, self.channels]).any(axis=1)

    def input_variance(self, spectra: Spectra, jacobian: np.ndarray) -> np.ndarray:
        """Variance of outputs due to the errors of the inputs (Fallows & Sanders, eq. 7).

        Parameters
        ----------
        spectra : Spectra
        jacobian : ndarray, shape (n_star, n_output, n_input)
            Derivatives of the outputs with respect to the standardised inputs.

        Returns
        -------
        ndarray, shape (n_star, n_output)

        Notes
        -----
        With the covariance of the normalised data (eq. 2): the derivative with respect to
        the data vector f, of x = f / (a f), is (J - (J x) a) / (a f), which multiplies the data's
        own covariance from both sides. The weights a sum to one over the values that the star has.
        """
        level, relative = self._relative(spectra)
        n_spectral = int(self.channels.sum())
        slope = np.zeros((*jacobian.shape[:2], spectra.flux.shape[1]))
        factor = 1.0 / self.scale[:n_spectral]
        with np.errstate(invalid="ignore", over="ignore"):
            factor = factor * self._stretch_slope(relative[:, self.channels])
        known = np.isfinite(spectra.flux_err)
        factor = np.where(known[:, self.channels] & np.isfinite(factor), factor, 0.0)
        slope[:, :, self.channels] = jacobian[:, :, :n_spectral] * factor[:, None, :]
        along = np.sum(slope * np.where(known, np.nan_to_num(relative), 0.0)[:, None, :], axis=2)
        weights = self._weights(known)[:, None, :]
        slope = (slope - along[:, :, None] * weights) / level[:, None, None]
        slope = np.where(known[:, None, :] & np.isfinite(slope), slope, 0.0)
        others = jacobian[:, :, n_spectral:] / self.scale[n_spectral:]
        slopes, apart = self._others(spectra)
        slope = slope + others @ slopes
        variance = np.sum(spectra.whitener.solve_adjoint(slope) ** 2, axis=2)
        return variance + np.sum((others * apart[:, None]) ** 2, axis=2)

    def input_err(self, spectra: Spectra) -> np.ndarray:
        """Standard errors of the inputs, one by one, shape (n_star, n_input).

        Infinite where unknown. The error of the normalisation, a mean over many values, is
        neglected; so are correlations.
        """
        level, relative = self._relative(spectra)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = spectra.flux_err[:, self.channels] / level[:, None]
            error = error * self._stretch_slope(relative[:, self.channels])
        slopes, apart = self._others(spectra)
        by_flux = slopes * np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 0.0)[:, None]
        of_others = np.sqrt(np.sum(by_flux**2, axis=2) + apart**2)
        unknown = np.isnan(self._raw(spectra)[:, error.shape[1] :])
        error = np.column_stack([error, np.where(unknown, np.inf, of_others)]) / self.scale
        return np.where(np.isfinite(error), error, np.inf)

    def relative_flux(self, inputs: np.ndarray) -> np.ndarray:
        """Relative values (n_star, n_channel) from standardised inputs."""
        n_spectral = int(self.channels.sum())
        raw = inputs[:, :n_spectral] * self.scale[:n_spectral] + self.mean[:n_spectral]
        return SOFTENING * np.sinh(raw) if self.space.is_flux else raw

    @property
    def _places(self) -> list[int]:
        """Places of the colours that are inputs, among all."""
        return [COLOURS.index(name) for name in self.colours]

    def _others(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """Of colours and the pseudo-absolute magnitude: derivatives by the data vector, and errors.

        Shapes (n_star, n_other, n_obs) and (n_star, n_other); errors are those due to Gaia's
        parallaxes and magnitudes, which are not in the data vector. Zero where unknown.
        """
        slopes = colour_slopes(spectra)[:, self._places]
        apart = np.zeros(slopes.shape[:2])
        if self.colours[:1] == (GAIA_COLOUR,):
            apart[:, 0] = gaia_colour_err(spectra)
        if self.with_parallax:
            corrected = bool(self.colours)
            own = pseudo_magnitude_slopes(spectra) * corrected
            _, error = pseudo_magnitude(spectra, corrected=corrected)
            slopes = np.concatenate([slopes, own[:, None]], axis=1)
            apart = np.column_stack([apart, np.nan_to_num(error, nan=0.0)])
        return slopes, apart

    def _check(self, spectra: Spectra) -> None:
        """Refuse spectra of another space."""
        if not self.space.matches(spectra.space):
            raise InputError(
                f"the spectra are in {spectra.space}, this companion needs {self.space}; prepare "
                "them for it"
            )

    def _raw(self, spectra: Spectra) -> np.ndarray:
        """Inputs before they are standardised; NaN where unknown."""
        _, relative = self._relative(spectra)
        raw = relative[:, self.channels]
        if self.space.is_flux:
            raw = np.arcsinh(raw / SOFTENING)
        if self.colours:
            raw = np.column_stack([raw, colours(spectra)[:, self._places]])
        if self.with_parallax:
            pseudo, _ = pseudo_magnitude(spectra, corrected=bool(self.colours))
            raw = np.column_stack([raw, pseudo])
        return raw

    def _relative(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        """Normalisation of each data vector, and the normalised values; NaN where unknown."""
        self._check(spectra)
        known = np.isfinite(spectra.flux_err)
        with np.errstate(invalid="ignore", divide="ignore"):
            level = np.sum(self._weights(known) * np.where(known, spectra.flux, 0.0), axis=1)
            level = np.where(level > 0, level, np.nan)
            return level, np.where(known, spectra.flux / level[:, None], np.nan)

    def _weights(self, known: np.ndarray) -> np.ndarray:
        """Weights of the normalisation over the known values, (n_star, n_obs), summing to one."""
        weights = np.where(known, self.reference, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return weights / weights.sum(axis=1, keepdims=True)

    def _stretch_slope(self, relative: np.ndarray) -> np.ndarray:
        """Derivative of an input with respect to the relative flux."""
        return 1.0 / np.hypot(SOFTENING, relative) if self.space.is_flux else np.ones_like(relative)


def draw_noise(spectra: Spectra, n: int, seed: int) -> np.ndarray:
    """Noise of spectra, drawn from their errors or full covariances.

    Parameters
    ----------
    spectra : Spectra
    n : int
        Draws of each star.
    seed : int
        Together with the source_id (see `star_generator`).

    Returns
    -------
    ndarray, shape (n, n_star, n_obs)
        Zero where values are not known.
    """
    normal = np.empty((n, *spectra.flux.shape))
    for i, star in enumerate(spectra.source_id):
        normal[:, i] = star_generator(star, seed).standard_normal((n, normal.shape[2]))
    return np.swapaxes(spectra.whitener.solve(np.swapaxes(normal, 0, 1)), 0, 1)


def _reference(space: ObservationSpace, known: np.ndarray) -> np.ndarray:
    """Weights of the normalisation, summing to one."""
    weights = np.zeros(len(known))
    if space.is_flux:
        low, high = AMPLITUDE_WINDOW
        window = known & ~space.is_band & (space.wavelength >= low) & (space.wavelength <= high)
        weights[window] = 1.0
    else:
        weights[space.bp_basis.shape[0]] = 1.0
    if not weights.any():
        raise InputError("the spectra have no values at 592-782 nm to be normalised by")
    return weights / weights.sum()


def _known_colours(spectra: Spectra) -> tuple[str, ...]:
    """Colours that most stars have."""
    known = np.isfinite(colours(spectra)).mean(axis=0) >= MIN_KNOWN
    if not known.any():
        raise InputError(
            f"most stars have none of the colours {', '.join(COLOURS)}; attach photometry, or "
            "train without colours"
        )
    return tuple(name for name, is_known in zip(COLOURS, known, strict=True) if is_known)
