"""Two stars in one spectrum, against one: which sources are unresolved binaries.

Both stars stand at one distance, behind the same dust, and are made of the same stuff; temperature
and gravity are each star's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..constants import AMPLITUDE_WINDOW
from ..data.spectra import Spectra, drop_channels, whiten
from ..errors import InputError
from ..model import XPModel
from ..nn import chi2
from .descent import Descents, iterate
from .engines import ArrayEngine
from .fitter import MAX_ITERATIONS, Fitter
from .objective import Evaluation, Objective, infinite_if_undefined
from .result import FitResult, FitStatus

OWN_LABELS = ("teff", "logg")
"""Labels that the companion has for its own."""

START_MASS_RATIOS = (0.5, 0.65, 0.8, 0.95)
"""Companions that descents start from, on the main sequence of the fitted star."""

STARS_AT_A_TIME = 500


class BinaryObjective:
    """-2 ln posterior of N unresolved binaries, with its derivatives.

    Parameters
    ----------
    single : Objective
        Of the same sources, taken as single stars.
    label_names : tuple of str

    Notes
    -----
    The parameters are those of the primary, then the companion's own labels. Each star's theta is
    a linear map of them, so that the derivatives of chi2 are those of `ForwardModel` under these
    maps. The prior is p(Theta_1) p(Theta_2 | what both share).
    """

    def __init__(self, single: Objective, label_names: tuple[str, ...]):
        self.single, self.label_names = single, label_names
        n, k = single.forward.n_stellar, single.forward.n_label
        own = [label_names.index(name) for name in OWN_LABELS]
        primary, companion = (np.eye(n, n + len(own)) for _ in range(2))
        companion[own] = 0.0
        companion[own, n + np.arange(len(own))] = 1.0
        self.maps = (primary, companion)
        self._shared = np.array([i for i in range(k) if i not in own])
        self._shared_prior = single.prior.marginal(self._shared)

    def __getitem__(self, rows) -> BinaryObjective:
        """Some of the sources."""
        return BinaryObjective(self.single[rows], self.label_names)

    def evaluate(self, theta: np.ndarray) -> Evaluation:
        """Loss and derivatives, shape of `theta` (n_star, n_stellar + 2)."""
        single, k = self.single, self.single.forward.n_label
        stars = [theta @ place.T for place in self.maps]
        light = [single.forward.flux_and_jacobian(star) for star in stars]
        residual = whiten(single.whitener, sum(flux for flux, _ in light) - single.flux)
        flux_chi2, d_residual = chi2(residual)
        jacobian = sum(place.T @ j for place, (_, j) in zip(self.maps, light, strict=True))
        white = whiten(single.whitener, jacobian)
        gradient = (white @ d_residual[:, :, None])[:, :, 0]
        information = white @ white.transpose(0, 2, 1)
        gauss_newton, hessian = 2.0 * information, 2.0 * information
        weights = single.unwhiten(2.0 * residual)
        ln_prior = np.zeros(len(theta))
        for place, star in zip(self.maps, stars, strict=True):
            hessian = hessian + place.T @ single.forward.curvature(star, weights) @ place
            value, slope, bend, precision = single.prior.ln_p_derivatives(star[:, :k])
            labels = place[:k]
            ln_prior = ln_prior + value
            gradient = gradient - 2.0 * slope @ labels
            gauss_newton = gauss_newton + 2.0 * labels.T @ precision @ labels
            hessian = hessian - 2.0 * labels.T @ bend @ labels
        shared = np.eye(theta.shape[1])[self._shared]
        value, slope, bend, _ = self._shared_prior.ln_p_derivatives(theta @ shared.T)
        ln_prior = ln_prior - value
        gradient = gradient + 2.0 * slope @ shared
        hessian = hessian + 2.0 * shared.T @ bend @ shared
        total = flux_chi2 - 2.0 * ln_prior - 2.0 * theta[:, k]
        gradient[:, k] -= 2.0
        for column, bends, (term, first, second) in single.own_terms(stars[0]):
            total = total + term
            gradient[:, column] += first
            gauss_newton[:, column, column] += second
            hessian[:, column, column] += second + bends
        total = infinite_if_undefined(total)
        return Evaluation(total, flux_chi2, ln_prior, gradient, information, gauss_newton, hessian)


_UNITS = {"teff": u.K, "companion_teff": u.K, "extinction": u.mag, "parallax": u.mas}
"""Of the columns that have one."""


@dataclass
class BinaryResult:
    """The best two-star model of each source beside the best single star.

    Attributes
    ----------
    source_id : ndarray of int64, shape (n_star,)
    parameter_names : tuple of str
        The primary's, then ``companion_teff``, ``companion_logg``.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, in kK, dex, mag, mas; the primary is the brighter at 592-782 nm. NaN without a fit.
    flux_ratio : ndarray, shape (n_star,)
        Companion over primary at 592-782 nm.
    delta_chi2 : ndarray, shape (n_star,)
        chi2 of the single star minus that of the binary, parallax included.
    delta_loss : ndarray, shape (n_star,)
        The same of -2 ln posterior.
    delta_bic : ndarray, shape (n_star,)
        `delta_chi2` less the price of two more parameters, 2 ln n_obs: the difference of the
        Bayesian information criterion, evidence for a binary where positive.
    converged : ndarray of bool, shape (n_star,)
    """

    source_id: np.ndarray
    parameter_names: tuple[str, ...]
    parameters: np.ndarray
    flux_ratio: np.ndarray
    delta_chi2: np.ndarray
    delta_loss: np.ndarray
    delta_bic: np.ndarray
    converged: np.ndarray

    def table(self) -> Table:
        """One row per source, temperatures in K."""
        table = Table({"gdr3_source_id": self.source_id})
        for name in ("delta_chi2", "delta_loss", "delta_bic", "flux_ratio", "converged"):
            table[name] = getattr(self, name)
        for name, values in zip(self.parameter_names, self.parameters.T, strict=True):
            table[name] = values * (1000.0 if name.endswith("teff") else 1.0)
            table[name].unit = _UNITS.get(name)
        return table


def fit_binaries(
    model: XPModel, spectra: Spectra, result: FitResult | None = None, *, n_jobs: int = 1
) -> BinaryResult:
    """Fit two stars to each spectrum, and compare with one.

    Parameters
    ----------
    model : XPModel
        Where it knows luminosities, stars that are too bright for their spectrum count as evidence;
        else the shape of the spectrum alone does.
    spectra : Spectra
    result : FitResult, optional
        Fit of single stars to `spectra` by the model; by default it is made first.
    n_jobs : int
        Threads of that fit.

    Returns
    -------
    BinaryResult

    Raises
    ------
    InputError
        If `result` is of other stars.
    """
    if result is None:
        result = Fitter(model, n_jobs=n_jobs).fit(spectra, progress=False)
    if not np.array_equal(result.source_id, spectra.source_id):
        raise InputError("the fits are of other stars than the spectra; give those of these")
    binary = _unknown(model, result)
    fitted = np.flatnonzero(
        (result.status != FitStatus.NOT_FITTED) & np.isfinite(result.parameters).all(axis=1)
    )
    engine = ArrayEngine(model, model.covariance)
    for start in range(0, len(fitted), STARS_AT_A_TIME):
        rows = fitted[start : start + STARS_AT_A_TIME]
        some = drop_channels(spectra[rows], model.trained_channels)
        _fit_some(engine, some, result.take(rows), rows, binary)
    return binary


def _unknown(model: XPModel, result: FitResult) -> BinaryResult:
    """Result of sources none of which was fitted yet."""
    n = len(result)
    names = (*model.parameter_names, *(f"companion_{name}" for name in OWN_LABELS))
    numbers = (np.full(n, np.nan) for _ in range(4))
    parameters = np.full((n, len(names)), np.nan)
    return BinaryResult(result.source_id, names, parameters, *numbers, np.zeros(n, dtype=bool))


def _fit_some(engine, spectra, result, rows, binary) -> None:
    """Fit some of the sources, and put the outcome in its place."""
    model, forward = engine.model, engine.model.forward
    single = Objective(forward, model.prior, model.absolute, *engine.load(spectra).data)
    objective = BinaryObjective(single, model.label_names)
    alone = result.theta
    settings = engine.lm_settings._replace(
        scale=np.concatenate([engine.lm_settings.scale, engine.lm_settings.scale[_own(model)]])
    )
    best = None
    for mass_ratio in START_MASS_RATIOS:
        start = Descents.empty(np.arange(len(rows)), _start(model, alone, mass_ratio), settings)
        start.set_evaluation(objective.evaluate(start.theta))
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is refused
            for done, there in iterate(objective, settings, start, MAX_ITERATIONS):
                start.put(done, there)
        if best is None:
            best = start
        else:
            better = np.flatnonzero(start.loss < best.loss)
            best.put(better, start.take(better))
    ours = single.evaluate(alone)
    n, place = forward.n_stellar, objective.maps[1]
    theta, flux_ratio = _brighter_first(model, best.theta, place)
    binary.parameters[rows] = theta
    binary.parameters[rows, forward.n_label : forward.n_label + 2] = np.exp(
        theta[:, forward.n_label : forward.n_label + 2]
    )
    binary.flux_ratio[rows] = flux_ratio
    binary.delta_loss[rows] = ours.loss - best.loss
    binary.delta_chi2[rows] = (ours.chi2 + _parallax_chi2(single, alone)) - (
        best.chi2 + _parallax_chi2(single, best.theta[:, :n])
    )
    binary.delta_bic[rows] = binary.delta_chi2[rows] - len(OWN_LABELS) * np.log(result.n_obs)
    binary.converged[rows] = best.finished & np.isfinite(best.loss)


def _own(model: XPModel) -> list[int]:
    """Places of the companion's own labels among all."""
    return [model.label_names.index(name) for name in OWN_LABELS]


def _start(model: XPModel, alone: np.ndarray, mass_ratio: float) -> np.ndarray:
    """A pair as bright as the single star.

    The companion stands down the main sequence, where Teff ~ M^0.6 and g ~ M^-0.6; gravities are
    higher by what it adds to the light, which goes as M^3.
    """
    teff, logg = _own(model)
    own = alone[:, [teff, logg]].copy()
    own[:, 0] *= mass_ratio**0.6
    own[:, 1] -= 0.6 * np.log10(mass_ratio)
    start = np.concatenate([alone, own], axis=1)
    dimmer = np.log10(1.0 + mass_ratio**3.0)
    low, high = model.label_ranges[logg]
    start[:, [logg, -1]] = np.clip(start[:, [logg, -1]] + dimmer, low, high)
    start[:, -2] = np.maximum(start[:, -2], model.label_ranges[teff, 0])
    if not model.absolute:
        start[:, model.forward.n_label + 1] -= 0.5 * np.log1p(mass_ratio**3.0)
    return start


def _brighter_first(model: XPModel, theta: np.ndarray, companion: np.ndarray):
    """Exchange the stars where the companion is the brighter; and companion over primary."""
    n = model.forward.n_stellar
    low, high = AMPLITUDE_WINDOW
    window = (model.wavelength >= low) & (model.wavelength <= high) & model.trained_channels
    if not window.any():
        window = model.trained_channels
    flux = [
        np.maximum(model.forward.flux(star)[:, window].sum(axis=1), 1e-300)
        for star in (theta[:, :n], theta @ companion.T)
    ]
    ratio = flux[1] / flux[0]
    own, swapped = _own(model), theta.copy()
    swapped[:, own], swapped[:, n:] = theta[:, n:], theta[:, own]
    swap = ratio > 1.0
    return np.where(swap[:, None], swapped, theta), np.where(swap, 1.0 / ratio, ratio)


def _parallax_chi2(single: Objective, theta: np.ndarray) -> np.ndarray:
    """((varpi - varpi_obs) / s)^2, zero where none is known."""
    if not single.absolute:
        return np.zeros(len(theta))
    known = np.isfinite(single.parallax_err)
    parallax = np.exp(theta[:, single.forward.n_label + 1])
    pull = (parallax - np.where(known, single.parallax, 0.0)) / single.parallax_err
    return np.where(known, pull, 0.0) ** 2
