"""A model of one release made one of another, with stars that both have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..data import SampledSpace, Spectra
from ..errors import InputError
from ..fit import FitResult, FitStatus, Fitter
from ..fit.checks import check_spectra
from ..fit.settings import FitSettings
from ..model import XPModel
from ..model.covariance import ModelCovariance
from ..model.gauge import amplitude_channels
from ..statistics import robust_width
from ..train.recalibration import (
    KnownParameters,
    Recalibration,
    StarFlux,
    recalibrate,
    recalibrated,
)
from .common_stars import known_from_labels

MIN_STARS = 300
"""Usable stars in common: with 240 to learn from, biases are a tenth of a sigma, and the 60 that
are held out show those of half a sigma.
"""

HELD_OUT = 5
"""One in so many stars is held out."""

SIGNIFICANT = 3.0
"""Standard errors by which held-out stars must be worse for a transfer to be refused."""

MEDIAN_ERROR = 1.2533
"""Standard error of a median in units of that of the mean."""

TRANSFERS = "transfers"
"""Key in a model's `training` of the records of its transfers."""


@dataclass(frozen=True)
class Quality:
    """How the held-out stars are fitted.

    Attributes
    ----------
    chi2_per_dof : float
        Median.
    bias, pull : dict of str to float
        Median and robust width of (fitted - known) / error of each parameter, both errors counted.
    """

    chi2_per_dof: float
    bias: dict[str, float]
    pull: dict[str, float]

    @property
    def mean_bias(self) -> float:
        """Root mean square of the biases."""
        return float(np.sqrt(np.mean(np.square(list(self.bias.values())))))


@dataclass(frozen=True)
class TransferReport:
    """What a transfer has found.

    Attributes
    ----------
    recalibration : Recalibration
    absolute : bool
        Whether the model predicts luminosities. If not, the factor is relative to that in the
        amplitude window (`xpfit.model.gauge`).
    wavelength : ndarray, shape (n_channel,)
        nm, of the channels whose flux was recalibrated.
    factor, error : ndarray, shape (n_channel,)
        By which the flux is multiplied there, and its standard error.
    residual : ndarray, shape (2, n_channel)
        Median of (observed - fitted) / fitted of the held-out stars, before and after.
    n_stars, n_held_out, n_outliers : int
        Stars that were used, those that were held out, and those with less than half a weight.
    before, after : Quality
        Of the fits of the held-out stars.
    """

    recalibration: Recalibration
    absolute: bool
    wavelength: np.ndarray
    factor: np.ndarray
    error: np.ndarray
    residual: np.ndarray
    n_stars: int
    n_held_out: int
    n_outliers: int
    before: Quality
    after: Quality

    def __str__(self) -> str:
        low, high = self.factor.min(), self.factor.max()
        relative = "" if self.absolute else ", relative to the amplitude window"
        lines = [
            f"{self.n_stars} stars, {self.n_outliers} of them outliers; {self.n_held_out} held out",
            f"flux times {low:.4f} to {high:.4f}, known to {self.error.min():.4f} to "
            f"{self.error.max():.4f}{relative}",
            f"held-out stars: chi2 per degree of freedom {self.before.chi2_per_dof:.2f} -> "
            f"{self.after.chi2_per_dof:.2f}",
            f"{'':12s}{'bias':>8s}{'pull':>8s}{'bias':>12s}{'pull':>8s}  (sigma; before, after)",
        ]
        for name, bias in self.before.bias.items():
            cells = f"{bias:+8.2f}{self.before.pull[name]:8.2f}"
            cells += f"{self.after.bias[name]:+12.2f}{self.after.pull[name]:8.2f}"
            lines.append(f"{name:12s}{cells}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        qualities = {name: vars(getattr(self, name)) for name in ("before", "after")}
        numbers = {k: getattr(self, k) for k in ("n_stars", "n_held_out", "n_outliers")}
        chosen = ("n_intervals", "scatter")
        return numbers | {k: getattr(self.recalibration, k) for k in chosen} | qualities


def transfer_model(
    model: XPModel,
    spectra: Spectra,
    known: tuple[KnownParameters, np.ndarray] | None = None,
    *,
    seed: int = 1,
    n_jobs: int = 1,
    progress: bool = False,
) -> tuple[XPModel, TransferReport]:
    """Recalibrate a model to the flux of another release.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    spectra : Spectra
        Of the other release, prepared for the model.
    known : tuple of KnownParameters and ndarray of bool, optional
        What is known of the stars otherwise, and which are usable: by default
        `known_from_labels`; `known_from_catalogue` takes fits of their old spectra.
    seed : int
        Which stars are held out depends on it, and on their ids.
    n_jobs : int
        Of the fits of the held-out stars.
    progress : bool
        Show progress bars of these fits.

    Returns
    -------
    model : XPModel
        Its flux is multiplied by a smooth function of wavelength, but for photometric bands; the
        error of that is added to its covariance.
    report : TransferReport
        Also, as numbers, in the new model's `training`.

    Raises
    ------
    InputError
        If the model is not in sampled space, the spectra are not prepared for it, fewer than
        `MIN_STARS` are usable, or held-out stars are fitted worse than before.

    Notes
    -----
    The error of the factor is the same for all stars. It is right for the errors of single stars;
    the mean of many has it too.
    """
    if not isinstance(model.space, SampledSpace):
        raise InputError(
            "this model works on coefficients, which another release has in another basis; a "
            "factor at each wavelength is exact for models in sampled space alone: transfer such "
            "a model, or train one on the new coefficients (xpfit train)"
        )
    check_spectra(model, spectra, FitSettings(ignore_release=True))
    channels = model.trained_channels & ~model.space.is_band
    parameters, usable = known_from_labels(model, spectra) if known is None else known
    measured = np.sum(np.isfinite(spectra.flux_err)[:, channels], axis=1)
    usable = usable & (measured > model.forward.n_stellar) & (spectra.flux > 0).any(axis=1)
    held_out = held_out_stars(spectra.source_id, seed)
    rows, test = np.flatnonzero(usable & ~held_out), np.flatnonzero(usable & held_out)
    if len(rows) + len(test) < MIN_STARS or not len(test):
        raise InputError(
            f"{len(rows) + len(test)} of {len(spectra)} stars are usable ({len(test)} held out); "
            f"at least {MIN_STARS} are needed, with known labels in the model's range or reliable "
            "fits of their old spectra: give more stars"
        )
    fits = [_fit(model, spectra[test], n_jobs, progress)]
    kept = spectra[rows].keep_channels(model.trained_channels)
    stars = StarFlux(kept.flux, kept.whitener, parameters[rows])
    found = recalibrate(model.forward, stars, channels, model.covariance)
    new = recalibrated_model(model, found, spectra.release)
    fits.append(_fit(new, spectra[test], n_jobs, progress))
    report = _report((model, new), spectra[test], fits, parameters[test], found)
    _require_better(report, *fits)
    record = {"from": model.fingerprint, "seed": seed, **report.to_dict()}
    new.training = {**new.training, TRANSFERS: [*new.training.get(TRANSFERS, []), record]}
    return new, report


def recalibrated_model(model: XPModel, found: Recalibration, release: str) -> XPModel:
    """The model with a factor, whose error is added to its covariance.

    Parameters
    ----------
    model : XPModel
        In sampled space.
    found : Recalibration
    release : str
        Data release of the spectra that the factor was found from.

    Returns
    -------
    XPModel
        The emulator's own error is relative, so that it is multiplied by the factor as well.
    """
    ln_factor, root = found.ln_factor, found.root
    if not model.absolute:
        # The mean over the amplitude window stays zero; the amplitudes of stars change instead.
        grid = model.trained_channels
        window = amplitude_channels(model.space) & grid
        window = window if window.any() else grid
        ln_factor = np.where(grid, ln_factor - ln_factor[window].mean(), 0.0)
        root = np.where(grid[:, None], root - root[window].mean(axis=0), 0.0)
    before = model.covariance or ModelCovariance(np.zeros((len(root), 0)), np.zeros(len(root)))
    return replace(
        model,
        forward=recalibrated(model.forward, ln_factor),
        preparation=replace(model.preparation, release=release),
        covariance=replace(before, loadings=np.hstack([before.loadings, root])),
        diagnostics={
            **model.diagnostics,
            "recalibration/ln_factor": ln_factor,
            "recalibration/ln_factor_err": np.sqrt(np.sum(root**2, axis=1)),
        },
    )


def held_out_stars(source_id: np.ndarray, seed: int) -> Array:
    """One in `HELD_OUT` stars, by a hash of its id and of the seed.

    Parameters
    ----------
    source_id : ndarray of int64, shape (n_star,)
    seed : int

    Returns
    -------
    ndarray of bool, shape (n_star,)
        The same for all spectra of a source.
    """
    digests = (hashlib.sha256(f"{seed} {source}".encode()).digest() for source in source_id)
    return np.array([digest[0] % HELD_OUT == 0 for digest in digests], dtype=bool)


def _fit(model: XPModel, spectra: Spectra, n_jobs: int, progress: bool) -> FitResult:
    """Fits to the spectra alone: parallaxes, with which they are compared, are left out."""
    alone = spectra.replace(parallax=None, parallax_err=None)
    return Fitter(model, n_jobs=n_jobs, ignore_release=True).fit(alone, progress=progress)


def _report(
    models: tuple[XPModel, XPModel],
    spectra: Spectra,
    fits: list[FitResult],
    known: KnownParameters,
    found: Recalibration,
) -> TransferReport:
    """What the held-out stars say."""
    new = models[1]
    at = np.flatnonzero(new.trained_channels & ~new.space.is_band)
    return TransferReport(
        recalibration=found,
        absolute=new.absolute,
        wavelength=new.wavelength[at],
        factor=np.exp(new.diagnostics["recalibration/ln_factor"][at]),
        error=new.diagnostics["recalibration/ln_factor_err"][at],
        residual=np.array(
            [_residual(m, spectra, fit)[at] for m, fit in zip(models, fits, strict=True)]
        ),
        n_stars=len(found.weight) + len(spectra),
        n_held_out=len(spectra),
        n_outliers=int(np.sum(found.weight < 0.5)),
        before=_quality(new, fits[0], known),
        after=_quality(new, fits[1], known),
    )


def _residual(model: XPModel, spectra: Spectra, fit: FitResult) -> Array:
    """Median of (observed - fitted) / fitted in each channel, shape (n_obs,)."""
    rows = np.flatnonzero(fit.status != FitStatus.NOT_FITTED)
    predicted = model.forward.flux(fit.take(rows).theta)
    used = np.isfinite(spectra.flux_err[rows])
    relative = np.ma.masked_array(spectra.flux[rows] / predicted - 1.0, ~used)
    return np.ma.filled(np.ma.median(relative, axis=0), np.nan)


def _quality(model: XPModel, fit: FitResult, known: KnownParameters) -> Quality:
    """Biases and pulls of fits."""
    bias, pull = {}, {}
    is_known = np.diagonal(known.information, axis1=1, axis2=2) > 0
    variance = np.diagonal(np.linalg.pinv(known.information, hermitian=True), axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, name in enumerate(model.parameter_names):
            own = fit.error(name) ** 2
            if name == "parallax":  # the error of the luminosity is in what is known already
                own = np.maximum(own - (0.5 * fit.luminosity_err * fit[name]) ** 2, 0.0)
            error = np.sqrt(own + variance[:, column])
            off = (fit[name] - known.values[:, column]) / error
            off = off[is_known[:, column] & np.isfinite(off)]
            if len(off) and name != "xi":
                bias[name], pull[name] = float(np.median(off)), float(robust_width(off))
    return Quality(float(np.nanmedian(fit.chi2 / fit.dof)), bias, pull)


def _require_better(report: TransferReport, before: FitResult, after: FitResult) -> None:
    """Refuse a transfer after which held-out stars are fitted worse."""
    rise = (after.chi2 - before.chi2)[np.isfinite(after.chi2 - before.chi2)]
    limit = SIGNIFICANT * MEDIAN_ERROR / np.sqrt(max(len(rise), 1))
    worse = ["chi2 is higher"] * bool(np.median(rise) > limit * robust_width(rise))
    if report.after.mean_bias - report.before.mean_bias > limit:
        worse.append("labels are more biased")
    if worse:
        raise InputError(
            f"of the {report.n_held_out} held-out stars {' and '.join(worse)} after the transfer, "
            f"so that no model is made; check labels and ids of the stars:\n{report}"
        )
