"""The trainer: stars and model take turns until both settle (ZGR23, section 3.2)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

import numpy as np
from tqdm.auto import tqdm

from ..errors import InputError, XpfitError
from ..model import ForwardModel, GaussianMixture, XPModel
from ..model.gauge import amplitude_channels, best_ln_parallax, fix_gauge
from ..model.prior import N_COMPONENTS
from ..model.residuals import ModelCovariance, measured_covariance, residual_scale
from ..nn import Adam, CosineSchedule, asinh_turnover, chi2, l2_penalty, minibatches
from ..spectra import Spectra, whiten
from .cleaning import outliers, trainable
from .recipe import Phase, Recipe
from .stars import StarConstraints, update_stars

MIN_STARS = 10 * N_COMPONENTS
"""Fewest stars that a model and its prior can be trained on."""

DEFAULT_EXTINCTION = 0.1
"""Where E starts (mag) for stars without an estimate."""

MIN_EXTINCTION = 0.02
"""Lowest start of E (mag): ln E has to be finite."""

FAINTEST = 1e-3
"""Flux, relative to the brightest point, below which training does not start."""


@dataclass
class TrainingSummary:
    """What a training did.

    Attributes
    ----------
    n_read, n_used, n_cleaned : int
        Rows given, stars trained on, stars among them that were outliers at the end.
    dropped : dict of str to int
        Rows left out at the outset, by reason.
    loss : list of float
        Mean robust chi2 per star of each epoch.
    median_chi2 : float
        Median chi2 per degree of freedom of the stars kept, at their fitted labels.
    seconds : float
    """

    n_read: int
    n_used: int
    dropped: dict[str, int]
    n_cleaned: int = 0
    loss: list[float] = field(default_factory=list)
    median_chi2: float = np.nan
    seconds: float = 0.0

    def __str__(self) -> str:
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.dropped.items() if n)
        return (
            f"{self.n_read} rows read; left out: {reasons or 'none'}\n"
            f"{self.n_used} stars trained on, {self.n_cleaned} of them "
            f"({self.n_cleaned / self.n_used:.1%}) dropped as outliers\n"
            f"median chi2 per degree of freedom {self.median_chi2:.2f}; {self.seconds:.0f} s"
        )


def model_loss(
    forward: ForwardModel,
    theta: np.ndarray,
    flux: np.ndarray,
    whitener: np.ndarray,
    turnover: float,
) -> tuple[float, np.ndarray]:
    """Loss of the global parameters for one batch, and its gradient.

    Parameters
    ----------
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_label + 2)
    flux : ndarray, shape (n_star, n_obs)
    whitener : ndarray, shape (n_star, n_obs) or (n_star, n_obs, n_obs)
    turnover : float
        Scale of the robust turnover of chi2.

    Returns
    -------
    value : float
        Mean over stars of the robust chi2, plus ``||W||^2 / n_W`` (ZGR23, eq. 12).
    gradient : ndarray, shape (n_parameters,)
    """
    predicted, pullback = forward.flux_and_pullback(theta)
    value, d_residual = chi2(whiten(whitener, predicted - flux))
    robust, influence = asinh_turnover(value, turnover)
    d_residual *= influence[:, None] / len(theta)
    # d chi2 / d flux = L^T (d chi2 / d residual); a diagonal L is its own transpose.
    transposed = whitener if whitener.ndim == 2 else np.swapaxes(whitener, 1, 2)
    penalty, d_penalty = l2_penalty(forward.parameters, forward.is_weight)
    gradient = pullback(whiten(transposed, d_residual)) + d_penalty
    return float(robust.mean()) + penalty, gradient


class Trainer:
    """State of a training without parallaxes: the model, the stars, and which stars are kept.

    Parameters
    ----------
    spectra : Spectra
        Usable stars only (see `xpfit.train.cleaning.trainable`).
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
    progress : bool
        Show a progress bar.
    log : file open for writing text, optional
        Gets one line of JSON per epoch: phase, cycle, epoch, learning rate, stars, loss, seconds.
    """

    def __init__(
        self,
        spectra: Spectra,
        label_names: Sequence[str],
        recipe: Recipe,
        rng: np.random.Generator,
        progress: bool = True,
        log: TextIO | None = None,
    ):
        self.measured, self.recipe, self.rng = spectra, recipe, rng
        self.spectra = spectra = _with_floor(spectra, recipe.flux_error_floor)
        self.trained_channels = np.isfinite(spectra.flux_err).any(axis=0)
        self.constraints = _constraints(spectra, label_names, recipe)
        self.trained_grid = spectra.space.grid_channels(self.trained_channels)
        self.forward = ForwardModel.initialise(self.constraints.labels, spectra.space, rng)
        self.theta = _initial_theta(spectra, self.constraints, self.trained_grid)
        self._start_from_typical_spectrum()
        self.kept = np.arange(len(spectra))
        self.loss: list[float] = []
        self._log, self._started = log, time.perf_counter()
        self._bar = tqdm(total=recipe.n_epochs, unit="epoch", disable=not progress)

    def run(self) -> None:
        """Run every phase of the recipe."""
        with self._bar:
            for phase in self.recipe.phases:
                self.run_phase(phase)
        fix_gauge(self.forward, self.trained_grid)
        self._update_stars(self.recipe.phases[-1].star_iterations)
        self.kept = self._well_behaved()

    def run_phase(self, phase: Phase) -> None:
        """Let stars and model take turns as a phase prescribes."""
        optimiser = Adam()
        schedule = CosineSchedule(
            phase.learning_rate, phase.n_cycles * phase.n_epochs, phase.final_learning_rate
        )
        free = self.forward.channel_mask(self.trained_grid)
        if not phase.free_curve:
            free[self.forward.network.n_parameters :] = False
        for cycle in range(phase.n_cycles):
            self._update_stars(phase.star_iterations)
            if phase.clean:
                self.kept = self._well_behaved()
            rows = self.kept
            if phase.low_extinction_only:
                rows = rows[self.constraints.extinction[rows] < self.recipe.low_extinction]
            self._require(len(rows), phase)
            for epoch in range(phase.n_epochs):
                rate = schedule(cycle * phase.n_epochs + epoch)
                self._run_epoch(rows, optimiser, rate, free, phase.name)
                self._write_log(phase=phase.name, cycle=cycle, epoch=epoch, rate=rate, rows=rows)
            fix_gauge(self.forward, self.trained_grid)

    def model_covariance(self) -> ModelCovariance:
        """What measurement errors do not explain of the residuals of well-behaved stars."""
        stars = self.measured[self.kept]
        predicted = self.forward.flux(self.theta[self.kept])
        scale = residual_scale(stars.space, predicted)
        known = np.isfinite(stars.flux_err)
        residual = np.where(known, (stars.flux - predicted) / scale, np.nan)
        if stars.whitener.ndim == 2:
            variance = np.where(known, stars.flux_err / scale, 0.0) ** 2
        else:
            variance = measured_covariance(stars) / (scale[:, :, None] * scale[:, None, :])
        return ModelCovariance.fit(residual, variance, rank=self.recipe.covariance_rank)

    def chi2_per_dof(self) -> np.ndarray:
        """chi2 per degree of freedom of every star, shape (n_star,)."""
        data = self.spectra
        value, _ = chi2(whiten(data.whitener, self.forward.flux(self.theta) - data.flux))
        return value / (data.n_obs - self.theta.shape[1])

    def _run_epoch(self, rows, optimiser, rate, free, name) -> None:
        """Update the model once with every star, in minibatches."""
        total = 0.0
        for batch in minibatches(len(rows), self.recipe.batch_size, self.rng):
            stars = rows[batch]
            flux, whitener = self.spectra.flux[stars], self.spectra.whitener[stars]
            self._solve_amplitude(stars)
            value, gradient = model_loss(
                self.forward, self.theta[stars], flux, whitener, self.recipe.turnover
            )
            self.forward.parameters = optimiser.step(
                self.forward.parameters, np.where(free, gradient, 0.0), rate
            )
            total += value * len(stars)
        self.loss.append(total / len(rows))
        if not np.isfinite(self.loss[-1]):
            raise XpfitError(
                f"training diverged in phase {name!r} (loss {self.loss[-1]}); "
                "lower its learning rate"
            )
        self._bar.set_postfix_str(f"{name}: loss {self.loss[-1]:.1f}", refresh=False)
        self._bar.update()

    def _write_log(self, *, phase: str, cycle: int, epoch: int, rate: float, rows) -> None:
        """Add a line to the log, if there is one."""
        if self._log is None:
            return
        line = {
            "phase": phase,
            "cycle": cycle,
            "epoch": epoch,
            "learning_rate": rate,
            "n_stars": len(rows),
            "loss": self.loss[-1],
            "seconds": round(time.perf_counter() - self._started, 3),
        }
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    def _start_from_typical_spectrum(self) -> None:
        """Let the untrained network predict the median star's spectrum for every type."""
        observed = self.spectra.space.grid_channels(np.isfinite(self.spectra.flux_err))
        spectrum = self.spectra.space.spectrum(self.spectra.flux)
        relative = np.where(observed, spectrum * np.exp(-2.0 * self.theta[:, -1:]), np.nan)
        typical = np.ones(len(self.trained_grid))
        typical[self.trained_grid] = np.nanmedian(relative[:, self.trained_grid], axis=0)
        # Where the instrument sees no light, the basis functions leave ripples around zero.
        typical = np.maximum(typical, FAINTEST * typical.max())
        output = self.forward.network.layers[-1]
        _, bias = output.split(self.forward.weights[self.forward.network.slices[-1]])
        bias += np.log(typical)

    def _solve_amplitude(self, stars: np.ndarray) -> None:
        """Give stars the amplitude that fits them best under the present model."""
        theta, whitener = self.theta[stars], self.spectra.whitener[stars]
        predicted = whiten(whitener, self.forward.flux(theta))
        observed = whiten(whitener, self.spectra.flux[stars])
        self.theta[stars, -1] = best_ln_parallax(theta, predicted, observed)

    def _update_stars(self, n_iterations: int) -> None:
        """Update amplitude, and with `n_iterations` labels and extinction, of every star."""
        data = self.spectra
        self._solve_amplitude(np.arange(len(data)))
        if n_iterations:
            self.theta = update_stars(
                self.forward, self.theta, data.flux, data.whitener, self.constraints, n_iterations
            )

    def _well_behaved(self) -> np.ndarray:
        """Rows of the stars that are not outliers."""
        known = self.constraints
        pull = (self.theta[:, : self.forward.n_label] - known.labels) / known.label_err
        bad = outliers(
            pull,
            self.chi2_per_dof(),
            max_sigma=self.recipe.clean_sigma,
            max_chi2=self.recipe.clean_chi2,
            max_fraction=self.recipe.clean_fraction,
        )
        return np.flatnonzero(~bad)

    def _require(self, n_stars: int, phase: Phase) -> None:
        if n_stars < MIN_STARS:
            raise InputError(
                f"only {n_stars} stars for training phase {phase.name!r}, at least {MIN_STARS} are "
                "needed; give more stars, or a recipe with wider limits"
            )


def train_model(
    spectra: Spectra,
    label_names: Sequence[str] = ("teff", "feh", "logg"),
    *,
    rng: np.random.Generator,
    recipe: Recipe | None = None,
    exclude: Sequence[int] = (),
    progress: bool = True,
    provenance: dict | None = None,
    log: TextIO | None = None,
) -> tuple[XPModel, TrainingSummary]:
    """Train a model on stars with known labels and no parallaxes.

    Parameters
    ----------
    spectra : Spectra
        With labels, and extinction estimates where there are any.
    label_names : sequence of str
        The stellar type: `teff`, `feh`, `logg` and, if wanted, `alpha_m`.
    rng : numpy.random.Generator
        The same generator state gives the same model.
    recipe : Recipe, optional
    exclude : sequence of int
        Source ids never to be trained on.
    progress : bool
        Show a progress bar.
    provenance : dict, optional
        JSON-able facts (data file, seed, ...) to be kept in the model.
    log : file open for writing text, optional
        Gets one line of JSON per epoch (see `Trainer`).

    Returns
    -------
    model : XPModel
        ``absolute`` is False: it knows shapes, not luminosities.
    summary : TrainingSummary

    Raises
    ------
    InputError
        If labels are missing or too few stars are left.

    Notes
    -----
    Alternates the global parameters with per-star updates, as ZGR23 (section 3.2) do, but with Adam
    for the model and Gauss-Newton steps for the stars.
    """
    started = time.perf_counter()
    recipe = recipe or Recipe()
    rows, dropped = trainable(spectra, label_names, np.asarray(exclude, dtype=np.int64))
    if len(rows) < MIN_STARS:
        raise InputError(f"{len(rows)} usable stars; training needs at least {MIN_STARS}")
    stars = spectra[rows]
    trainer = Trainer(stars, label_names, recipe, rng, progress, log)
    trainer.run()
    kept = trainer.kept
    summary = TrainingSummary(
        n_read=len(spectra),
        n_used=len(stars),
        dropped=dropped,
        n_cleaned=len(stars) - len(kept),
        loss=trainer.loss,
        median_chi2=float(np.median(trainer.chi2_per_dof()[kept])),
        seconds=time.perf_counter() - started,
    )
    return _assemble(trainer, tuple(label_names), summary, provenance or {}), summary


def _assemble(
    trainer: Trainer, label_names: tuple[str, ...], summary: TrainingSummary, provenance: dict
) -> XPModel:
    """Model with prior, ranges and provenance from a finished training."""
    labels = trainer.constraints.labels[trainer.kept]
    prior = GaussianMixture.fit(labels, trainer.rng)
    return XPModel(
        forward=trainer.forward,
        prior=prior,
        trained_channels=trainer.trained_channels,
        label_names=label_names,
        label_ranges=np.column_stack([labels.min(axis=0), labels.max(axis=0)]),
        absolute=False,
        ln_prior_threshold=prior.ln_p_threshold(trainer.rng),
        preparation=trainer.spectra.preparation,
        training={
            **provenance,
            "recipe": trainer.recipe.to_dict(),
            "n_stars": summary.n_used,
            "n_cleaned": summary.n_cleaned,
            "dropped": summary.dropped,
            "median_chi2_per_dof": summary.median_chi2,
            "loss": [round(value, 4) for value in summary.loss],
        },
        source_ids=np.sort(trainer.spectra.source_id),
        covariance=trainer.model_covariance(),
    )


def _with_floor(spectra: Spectra, floor: float) -> Spectra:
    """Spectra without covariances with a fraction of the flux added to their errors."""
    if spectra.whitener.ndim == 3 or not floor:
        return spectra
    n_xp = spectra.space.n_obs - spectra.space.n_bands
    flux_err = spectra.flux_err.copy()
    flux_err[:, :n_xp] = np.hypot(flux_err[:, :n_xp], floor * spectra.flux[:, :n_xp])
    return replace(spectra, flux_err=flux_err, whitener=1.0 / flux_err)


def _constraints(spectra: Spectra, label_names, recipe: Recipe) -> StarConstraints:
    """Labels with floored errors, and extinction estimates."""
    floor = np.array([recipe.label_error_floor.get(name, 0.0) for name in label_names])
    labels = np.column_stack([spectra.labels[name] for name in label_names])
    error = np.column_stack([spectra.label_err[name] for name in label_names])
    # A label without an error is as good as the floor says.
    error = np.hypot(np.where(np.isfinite(error), error, 0.0), floor)
    return StarConstraints(labels, error, spectra.extinction, spectra.extinction_err)


def _initial_theta(
    spectra: Spectra, constraints: StarConstraints, trained: np.ndarray
) -> np.ndarray:
    """Measured labels, estimated extinction, and the flux in the amplitude window."""
    known = np.isfinite(spectra.extinction)
    extinction = np.where(known, spectra.extinction, DEFAULT_EXTINCTION)
    window = amplitude_channels(spectra.space) & trained
    spectrum = spectra.space.spectrum(spectra.flux)
    level = np.maximum(np.median(spectrum[:, window], axis=1), np.finfo(float).tiny)
    return np.column_stack(
        [
            constraints.labels,
            np.log(np.maximum(extinction, MIN_EXTINCTION)),
            0.5 * np.log(level),
        ]
    )
