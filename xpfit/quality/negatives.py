"""Spectra that should not be trusted, made from those of real stars.

Surveys with spectroscopic labels hold hardly anything but single stars of the kinds that a model is
trained on. So that classifiers know the rest, they see black bodies, stars cooler than any of the
training set, emission lines, sums of two stars, photometry and parallaxes of other stars, pieces of
different spectra, and noise. Each takes the errors, and the residual of the best fit, from a real
star, so that nothing gives it away but its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from ..data import Spectra
from ..errors import InputError
from ..fit import FitResult
from ..model import XPModel
from ..model.bolometric import planck
from ..model.extinction import ccm89_curve
from ..train.luminosity import DWARF_LOGG

BLACK_BODIES, LIKE_STARS = (2.4, 40.0), (3.5, 9.0)
"""kK; temperatures of black bodies, of all kinds and as hot as stars of the training set."""

COOL_STARS = (0.7, 0.96)
"""Temperatures to which the coolest stars are extrapolated, in units of the lowest in training."""

LINES = (486.1, 495.9, 500.7, 587.6, 656.3, 671.8, 906.9, 953.1)
"""Emission lines of nebulae and of active stars, in nm."""

LINE_WIDTH = (2.5, 6.0)
"""Standard deviations (nm) of unresolved lines at the blue and the red end of XP spectra."""

LINE_STRENGTH = (0.02, 20.0)
"""Range of the peak of the strongest line, in units of the spectrum's mean."""

OTHER_LIGHT = (0.2, 1.0)
"""Range of the second star's share, where two are added, in units of the first one's flux."""

PARALLAX_ERROR = (0.01, 0.15)
"""Range of the fractional errors of simulated parallaxes."""

PARALLAX_FACTOR = (1.5, 4.0)
"""Range of the factors by which wrong parallaxes are too large or too small."""

GOOD = ("simulated star", "right parallax")
"""Kinds that are good stars."""

LABELLED = (*GOOD, "sum of two stars", "other photometry", "wrong parallax")
"""Kinds with the labels of a star."""


class Negatives:
    """Makes spectra that should not be trusted.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
        Of real stars, with labels.
    result : FitResult
        Their best fits, without parallaxes.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If none of the stars was fitted.

    Notes
    -----
    Labels stay with those that are dominated by one star (`LABELLED`): whether the fit of such a
    spectrum is right depends on the star. The others have none. Two kinds are good stars (`GOOD`),
    so that neither simulated noise nor a parallax is a sign of something wrong.
    """

    def __init__(
        self, model: XPModel, spectra: Spectra, result: FitResult, rng: np.random.Generator
    ):
        fitted = np.isfinite(result.parameters).all(axis=1)
        if not fitted.any():
            raise InputError("none of the stars could be fitted; give spectra of other stars")
        self.model, self.rng = model, rng
        self._spectra, theta = spectra[fitted], result.theta[fitted]
        self._predicted = model.forward.flux(theta)
        self._parallax = result["parallax"][fitted]
        self._fit = {name: result[name][fitted] for name in model.label_names}
        self._luminosity_err = result.luminosity_err[fitted]

    def iterate(self, n: int) -> Iterator[tuple[str, Spectra]]:
        """Spectra of each kind.

        Parameters
        ----------
        n : int
            Number of spectra of each kind; a tenth of it of noise, which flags know as well.

        Yields
        ------
        kind : str
        spectra : Spectra
            With the source ids of the stars that they were made from.
        """
        makers: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "noise": lambda rows: np.zeros_like(self._predicted[rows]),
            "black body": lambda rows: self._black_bodies(rows, BLACK_BODIES),
            "black body like a star": lambda rows: self._black_bodies(rows, LIKE_STARS),
            "cool star": self._cool_stars,
            "emission lines": self._with_lines,
            "sum of two stars": self._sums,
            "pieces": self._pieces,
        }
        if self.model.space.n_bands:
            makers["other photometry"] = self._other_photometry
        for kind, make in makers.items():
            rows = self._draw(n if kind != "noise" else -(-n // 10))
            yield kind, self._observed(kind, rows, make(rows))
        rows = self._draw(n)
        stars = self._observed("simulated star", rows, self._predicted[rows])
        # Trivially right labels would teach nothing about those of real stars.
        yield (
            "simulated star",
            stars.replace(labels={name: np.full(n, np.nan) for name in stars.labels}),
        )
        if self.model.absolute:
            yield from self._parallaxes(self._draw(n))

    def _draw(self, n: int) -> np.ndarray:
        """Random stars, bright and faint."""
        return self.rng.integers(len(self._spectra), size=n)

    def _observed(self, kind: str, rows: np.ndarray, flux: np.ndarray) -> Spectra:
        """Spectra with the errors and residuals of some stars."""
        stars = self._spectra[rows]
        used = np.isfinite(stars.flux_err)
        error = np.where(used, stars.flux_err, 0.0)
        residual = np.where(used, stars.flux - self._predicted[rows], 0.0)
        white = error * self.rng.standard_normal(error.shape)
        amount = self.rng.random((len(rows), 1)) if kind != "noise" else 1.0
        is_white = self.rng.random((len(rows), 1)) < 0.5
        residual = np.where(is_white, white, residual) * amount
        labels = dict(stars.labels) if kind in LABELLED else {}
        return stars.replace(
            flux=np.where(used, flux + residual, stars.flux),
            labels=labels,
            label_err={name: stars.label_err[name] for name in labels},
        )

    def _uniform(self, limits: tuple[float, float], n: int, log: bool = True) -> np.ndarray:
        """Numbers, uniform in the logarithm, as a column."""
        low, high = np.log(limits) if log else limits
        drawn = self.rng.uniform(low, high, size=(n, 1))
        return np.exp(drawn) if log else drawn

    def _scaled(self, flux: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Spectra as bright, in the mean of their XP values, as the fits of some stars."""
        xp = ~self.model.space.is_band_channel
        norm = [np.linalg.norm(x[:, xp], axis=1) for x in (self._predicted[rows], flux)]
        return flux * (norm[0] / np.maximum(norm[1], 1e-300))[:, None]

    def _black_bodies(self, rows: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """Black bodies, half of them behind dust."""
        wavelength, n = self.model.space.wavelength, len(rows)
        extinction = self.rng.exponential(0.6, size=(n, 1)) * (self.rng.random((n, 1)) < 0.5)
        dust = np.exp(-extinction * np.exp(ccm89_curve(wavelength)))
        body = planck(wavelength, self._uniform(limits, n)[:, 0]) * dust
        return self._scaled(self.model.space.observe(body * self._response), rows)

    @cached_property
    def _response(self) -> np.ndarray:
        """Mean ratio of stars to black bodies where values are no fluxes, shape (n_grid,)."""
        space = self.model.space
        if space.is_flux:
            return np.ones(space.n_grid)
        hot = np.argsort(-self._fit["teff"])[: max(10, len(self._predicted) // 20)]
        body = planck(space.wavelength, self._fit["teff"][hot])
        ratio = space.spectrum(self._predicted[hot]) / body
        mean: np.ndarray = np.mean(ratio / np.linalg.norm(ratio, axis=1, keepdims=True), axis=0)
        return mean

    def _cool_stars(self, rows: np.ndarray) -> np.ndarray:
        """The coolest giants and dwarfs, made cooler by the ratio of black bodies."""
        space, n, teff = self.model.space, len(rows), self._fit["teff"]
        dwarf = self._fit["logg"] > DWARF_LOGG
        order = np.argsort(teff)
        coolest = [order[of_kind[order]] for of_kind in (dwarf, ~dwarf)]
        pool = np.concatenate([stars[: max(10, len(stars) // 100)] for stars in coolest])
        star = self.rng.choice(pool, size=n)
        wavelength = space.wavelength
        warm = planck(wavelength, teff[star])
        lowest = self.model.label_ranges[self.model.label_names.index("teff"), 0]
        cool = planck(wavelength, lowest * self._uniform(COOL_STARS, n)[:, 0])
        deeper = self._uniform((0.7, 2.0), n)
        spectrum = np.maximum(space.spectrum(self._predicted[star]), 0.0)
        shape = np.where(spectrum > 0, spectrum, 1.0) / warm
        shape /= np.median(shape, axis=1, keepdims=True)
        # Bands of molecules are deeper where it is cooler.
        spectrum = spectrum * shape ** (deeper - 1.0) * cool / warm
        return self._scaled(space.observe(spectrum), rows)

    def _with_lines(self, rows: np.ndarray) -> np.ndarray:
        """Stars and black bodies with emission lines."""
        space, n = self.model.space, len(rows)
        bodies = self._black_bodies(rows, BLACK_BODIES)
        flux = np.where(self.rng.random((n, 1)) < 0.5, bodies, self._predicted[rows])
        width = np.interp(space.wavelength, (400.0, 1000.0), LINE_WIDTH)
        lines = np.zeros((n, space.n_grid))
        for line in LINES:
            strength = self.rng.random((n, 1)) ** 3
            lines += strength * np.exp(-0.5 * ((space.wavelength - line) / width) ** 2)
        lines = np.where(space.is_band, 0.0, lines) * self._response
        peak = np.max(lines, axis=1, keepdims=True)
        lines *= self._uniform(LINE_STRENGTH, n) / np.where(peak > 0, peak, 1.0)
        level = np.abs(space.spectrum(flux))[:, ~space.is_band].mean(axis=1, keepdims=True)
        added: np.ndarray = flux + space.observe(lines * level)
        return added

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        """Two stars in one spectrum, the second one fainter."""
        second = self._scaled(self._predicted[self._draw(len(rows))], rows)
        return self._predicted[rows] + self._uniform(OTHER_LIGHT, len(rows), log=False) * second

    def _pieces(self, rows: np.ndarray) -> np.ndarray:
        """Pieces of a star's spectrum in another order, or one half of another star's."""
        flux, other = (
            self._predicted[rows],
            self._scaled(self._predicted[self._draw(len(rows))], rows),
        )
        xp = np.flatnonzero(~self.model.space.is_band_channel)
        mixed = flux.copy()
        for i in range(len(rows)):
            if i % 2:
                half = xp[: len(xp) // 2] if i % 4 == 1 else xp[len(xp) // 2 :]
                mixed[i, half] = other[i, half]
            else:
                parts = np.array_split(xp, self.rng.integers(2, len(xp)))
                order = self.rng.permutation(len(parts))
                mixed[i, xp] = flux[i, np.concatenate([parts[j] for j in order])]
        return mixed

    def _other_photometry(self, rows: np.ndarray) -> np.ndarray:
        """Photometric bands of another star, as bright or not."""
        other = self._predicted[self._draw(len(rows))]
        other = np.where(self.rng.random((len(rows), 1)) < 0.5, other, self._scaled(other, rows))
        return np.where(self.model.space.is_band_channel, other, self._predicted[rows])

    def _parallaxes(self, rows: np.ndarray) -> Iterator[tuple[str, Spectra]]:
        """Stars with parallaxes that are right, and the same with wrong ones."""
        stars, n = self._observed("right parallax", rows, self._predicted[rows]), len(rows)
        scatter = 0.5 * self._luminosity_err[rows] * self.rng.standard_normal(n)
        parallax = self._parallax[rows] * np.exp(scatter)
        error = parallax * self._uniform(PARALLAX_ERROR, n)[:, 0]
        factor = self._uniform(PARALLAX_FACTOR, n)[:, 0] ** self.rng.choice([-1.0, 1.0], size=n)
        for kind, value in (("right parallax", parallax), ("wrong parallax", parallax * factor)):
            observed = value + error * self.rng.standard_normal(n)
            yield kind, stars.replace(parallax=observed, parallax_err=error)
