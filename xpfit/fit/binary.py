"""Fits of two stars to one spectrum, compared with one: which sources are unresolved binaries.

Both stars share distance, extinction and chemical composition; each has its own temperature and
gravity. A companion may be dark, too: the two-star model contains that of one star as the limit of
no flux, so that its chi2 is never larger. Between this limit and the coolest, faintest stars that
the prior knows (of simulated pairs, 0.1 % of the primary's flux) there are no models: a companion
fainter than these counts as dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from astropy.table import Table

from ..arrays import Array, batches
from ..data import Spectra
from ..errors import InputError
from ..model import XPModel
from ..model.gauge import amplitude_channels
from ..model.luminosity import split_amplitude
from ..model.prior import FLAT
from ..model.terms import Penalty, parallax_penalty
from ..quantities import quantity
from ..releases import DR3
from .data import fit_data
from .descent import Descents, iterate
from .fitter import Fitter
from .lm_settings import LMSettings
from .objective import Objective, Posterior
from .result import FitResult, FitStatus
from .settings import FitSettings

COMPANION_LABELS = ("teff", "logg")
"""Labels in which the companion differs from the primary."""

START_MASS_RATIOS = (0.5, 0.65, 0.8, 0.95)
"""Mass ratios to start from, on the main sequence of the fitted star."""

STARS_AT_A_TIME = 500


class BinaryObjective(Posterior):
    """-2 ln posterior of N unresolved binaries, with its derivatives.

    Parameters
    ----------
    single : Objective
        Of the same sources, taken as single stars.
    label_names : tuple of str

    Notes
    -----
    The parameters are those of the primary, then the companion's own labels. Each star's theta is
    a linear map of them, with which the derivatives of `ForwardModel` are multiplied. The prior is
    p(Theta_1) p(Theta_2 | the labels that both share).
    """

    def __init__(self, single: Objective, label_names: tuple[str, ...]):
        self.single, self.label_names = single, label_names
        self.forward, self.data = single.forward, single.data
        n, k = self.forward.layout.size, self.forward.n_label
        own = [label_names.index(name) for name in COMPANION_LABELS]
        primary, companion = (np.eye(n, n + len(own)) for _ in range(2))
        companion[own] = 0.0
        companion[own, n + np.arange(len(own))] = 1.0
        self.maps = (primary, companion)
        shared = np.array([i for i in range(k) if i not in own])
        self._shared = np.eye(n + len(own))[shared]
        self._shared_prior = single.prior.marginal(shared)

    def __getitem__(self, rows: Any) -> BinaryObjective:
        """Some of the sources."""
        return BinaryObjective(self.single[rows], self.label_names)

    def predict(self, theta: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
        """See `Posterior.predict`."""
        stars = [theta @ matrix.T for matrix in self.maps]
        fluxes, jacobians = zip(*map(self.forward.flux_and_jacobian, stars), strict=True)

        def curvature(weights: Array) -> Array:
            each = (self.forward.curvature(star, weights) for star in stars)
            return sum(m.T @ hessian @ m for m, hessian in zip(self.maps, each, strict=True))

        jacobian = sum(m.T @ own for m, own in zip(self.maps, jacobians, strict=True))
        return sum(fluxes), jacobian, curvature

    def ln_priors(self, theta: Array) -> Iterator[tuple[Any, Array, Array, Array, Array]]:
        """See `Posterior.ln_priors`."""
        for matrix in self.maps:
            labels = matrix[self.forward.layout.labels]
            yield labels, *self.single.prior.ln_p_derivatives(theta @ labels.T)
        value, slope, hessian, _ = self._shared_prior.ln_p_derivatives(theta @ self._shared.T)
        yield self._shared, -value, -slope, -hessian, np.zeros_like(hessian)

    def penalties(self, theta: Array) -> Iterator[Penalty]:
        """See `Posterior.penalties`."""
        return self.single.penalties(theta)


@dataclass
class BinaryResult:
    """The best two-star model of each source, compared with the best single star.

    Attributes
    ----------
    source_id : ndarray of int64, shape (n_star,)
    parameter_names : tuple of str
        The primary's, then ``companion_teff``, ``companion_logg``.
    parameters : ndarray, shape (n_star, n_parameter)
        Linear, in kK, dex, mag, mas; the primary is the brighter at 592-782 nm. NaN without a fit;
        so are the companion's labels where it is dark.
    flux_ratio : ndarray, shape (n_star,)
        Companion over primary at 592-782 nm; zero where no companion with flux fits better than a
        dark one.
    delta_chi2 : ndarray, shape (n_star,)
        chi2 of the single star minus that of the binary, parallax included; not negative.
    delta_loss : ndarray, shape (n_star,)
        The same of -2 ln posterior.
    delta_bic : ndarray, shape (n_star,)
        `delta_chi2` minus the penalty for two more parameters, 2 ln n_obs: the difference of the
        Bayesian information criterion, evidence for a binary where positive. At least minus the
        penalty, which it is for dark companions: half of all single stars or more.
    converged : ndarray of bool, shape (n_star,)
    absolute : bool
        Whether `parallax` is one; if not, it is the square root of the primary's amplitude.
    """

    source_id: np.ndarray
    parameter_names: tuple[str, ...]
    parameters: np.ndarray
    flux_ratio: np.ndarray
    delta_chi2: np.ndarray
    delta_loss: np.ndarray
    delta_bic: np.ndarray
    converged: np.ndarray
    absolute: bool = True

    def table(self) -> Table:
        """One row per source, temperatures in K; without luminosities the parallax is NaN."""
        table = Table({DR3.id_column: self.source_id})
        for name in ("delta_chi2", "delta_loss", "delta_bic", "flux_ratio", "converged"):
            table[name] = getattr(self, name)
        for name, values in zip(self.parameter_names, self.parameters.T, strict=True):
            known = self.absolute or name != "parallax"
            table[name] = quantity(name).factor * values if known else np.nan
            table[name].unit = quantity(name).table_unit
        return table


def fit_binaries(
    model: XPModel, spectra: Spectra, result: FitResult | None = None, *, n_jobs: int = 1
) -> BinaryResult:
    """Fit two stars to each spectrum, and compare with one.

    Parameters
    ----------
    model : XPModel
        If it is absolute, stars that are too bright for their spectrum count as evidence; otherwise
        only the shape of the spectrum does.
    spectra : Spectra
    result : FitResult, optional
        Fit of single stars to `spectra` by the model; by default they are fitted first.
    n_jobs : int
        Threads of that fit.

    Returns
    -------
    BinaryResult

    Raises
    ------
    InputError
        If `result` and `spectra` are not of the same stars.
    """
    if result is None:
        result = Fitter(model, n_jobs=n_jobs).fit(spectra, progress=False)
    if not np.array_equal(result.source_id, spectra.source_id):
        raise InputError("result is of other stars than spectra: pass the fit of these spectra")
    n, names = len(result), (*model.parameter_names, *map("companion_{}".format, COMPANION_LABELS))
    unknown: dict[str, Any] = {f.name: np.full(n, np.nan) for f in fields(BinaryResult)}
    unknown |= {"source_id": result.source_id, "converged": np.zeros(n, dtype=bool)}
    unknown |= {"absolute": model.absolute}
    unknown |= {"parameter_names": names, "parameters": np.full((n, len(names)), np.nan)}
    binary = BinaryResult(**unknown)
    fitted = np.flatnonzero(
        (result.status != FitStatus.NOT_FITTED) & np.isfinite(result.parameters).all(axis=1)
    )
    for batch in batches(len(fitted), STARS_AT_A_TIME):
        rows = fitted[batch]
        for name, values in _fit(model, spectra[rows], result.take(rows)).items():
            getattr(binary, name)[rows] = values
    return binary


def _fit(model: XPModel, spectra: Spectra, result: FitResult) -> dict[str, Array]:
    """Fit pairs of stars: arrays of `BinaryResult` by name."""
    layout = model.forward.layout
    data = fit_data(model, spectra, model.covariance, result.luminosity_err)
    single = Objective(model.forward, model.prior, model.absolute, data, model.parallax_prior)
    objective = BinaryObjective(single, model.label_names)
    single_theta, scale = result.theta, model.forward.scale
    settings = LMSettings(np.concatenate([scale, scale[_companion_columns(model)]]))
    best: Any = None
    for mass_ratio in START_MASS_RATIOS:
        start = Descents.empty(
            np.arange(len(spectra)), _start(model, single_theta, mass_ratio), settings
        )
        start.set_evaluation(objective.evaluate(start.theta))
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is rejected
            for done, there in iterate(objective, settings, start, FitSettings.max_iterations):
                start.put(done, there)
        if best is None:
            best = start
        else:
            better = np.flatnonzero(start.loss < best.loss)
            best.put(better, start.take(better))
    at_single = single.evaluate(single_theta)
    theta, flux_ratio = _brighter_first(model, best.theta, objective.maps[1])
    delta_chi2 = (at_single.chi2 + _parallax_chi2(single, single_theta)) - (
        best.chi2 + _parallax_chi2(single, best.theta)
    )
    column, flat, n_own = layout.parallax, model.parallax_prior == FLAT, len(COMPANION_LABELS)
    measured = data.parallax, data.parallax_err, data.luminosity_err
    dark, single_converged = ~(delta_chi2 > 0.0), result.status == FitStatus.CONVERGED
    theta[dark] = np.column_stack([single_theta[dark], np.full((dark.sum(), n_own), np.nan)])
    theta[:, column], _ = split_amplitude(theta[:, column], *measured, flat)
    delta_chi2 = np.where(dark, 0.0, delta_chi2)
    return {
        "parameters": layout.to_linear(theta),
        "flux_ratio": np.where(dark, 0.0, flux_ratio),
        "delta_loss": np.where(dark, 0.0, at_single.loss - best.loss),
        "delta_chi2": delta_chi2,
        "delta_bic": delta_chi2 - n_own * np.log(result.n_obs),
        "converged": np.where(dark, single_converged, best.finished & np.isfinite(best.loss)),
    }


def _companion_columns(model: XPModel) -> list[int]:
    """Columns of the labels in which the companion differs."""
    return [model.label_names.index(name) for name in COMPANION_LABELS]


def _start(model: XPModel, single_theta: np.ndarray, mass_ratio: float) -> np.ndarray:
    """Parameters of a pair as bright as the single star.

    The companion is on the main sequence, where Teff ~ M^0.6 and g ~ M^-0.6; gravities are higher
    by the factor of its contribution to the flux, which scales as M^3.
    """
    teff, logg = _companion_columns(model)
    own = single_theta[:, [teff, logg]].copy()
    own[:, 0] *= mass_ratio**0.6
    own[:, 1] -= 0.6 * np.log10(mass_ratio)
    start = np.concatenate([single_theta, own], axis=1)
    flux_factor = 1.0 + mass_ratio**3.0
    low, high = model.label_ranges[logg]
    start[:, [logg, -1]] = np.clip(start[:, [logg, -1]] + np.log10(flux_factor), low, high)
    start[:, -2] = np.maximum(start[:, -2], model.label_ranges[teff, 0])
    if not model.absolute:
        start[:, model.forward.layout.parallax] -= 0.5 * np.log1p(mass_ratio**3.0)
    return start


def _brighter_first(
    model: XPModel, theta: np.ndarray, companion: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters with the brighter star first, and the flux ratio companion over primary."""
    n = model.forward.n_stellar
    window = amplitude_channels(model.space) & model.trained_grid
    if not window.any():
        window = model.trained_grid
    spectra = (
        model.space.spectrum(model.forward.flux(star))
        for star in (theta[:, :n], theta @ companion.T)
    )
    flux = [np.maximum(spectrum[:, window].sum(axis=1), 1e-300) for spectrum in spectra]
    ratio = flux[1] / flux[0]
    own, swapped = _companion_columns(model), theta.copy()
    swapped[:, own], swapped[:, n:] = theta[:, n:], theta[:, own]
    swap = ratio > 1.0
    return np.where(swap[:, None], swapped, theta), np.where(swap, 1.0 / ratio, ratio)


def _parallax_chi2(single: Objective, theta: np.ndarray) -> Array:
    """((varpi - varpi_obs) / s)^2 + (delta / s_L)^2, zero where no parallax was observed."""
    if not single.absolute:
        return np.zeros(len(theta))
    data, column = single.data, single.forward.layout.parallax
    measured = data.parallax, data.parallax_err, data.luminosity_err
    return parallax_penalty(theta, column, *measured, jacobian=False).value
