"""The trainer: a loop over phases, in which stars and model are updated in turn (ZGR23, 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data import Spectra
from ..errors import InputError, XpfitError
from ..model import ForwardModel
from ..model.gauge import curve_scale, fix_gauge, reddest_channel, standardise_variation
from .choice import MIN_TRAINING_STARS, choose_stars, epoch_minibatches, too_few
from .cleaning import Tension
from .initial import (
    initial_theta,
    sky_prior,
    star_constraints,
    start_from_typical_spectrum,
    with_floor,
)
from .loss import model_loss
from .outcome import TrainingResult
from .projection import project
from .recipe import Phase, Recipe
from .record import TrainingIO, TrainingRecord, training_fingerprint
from .stage import Stage, model_optimiser
from .stars import StarData, chi2_per_dof, stellar_loss
from .updates import (
    AdamDescent,
    fit_amplitude,
    gauss_newton,
    gradient_descent,
    restart_free_extinction,
    xi_likelihood,
    xi_variance,
)

DUSTY = 0.1
"""E (mag) above which stars constrain the variation of the extinction curve."""


class Trainer:
    """A training: its data, and the state of model and stars.

    Parameters
    ----------
    spectra : Spectra
        Usable stars only (see `xpfit.train.cleaning.trainable`).
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
    absolute : bool
        Whether the stars' parallaxes are used, so that the model learns luminosities.
    io : TrainingIO, optional

    Attributes
    ----------
    spectra : Spectra
        As given.
    data : StarData
        The same stars with the recipe's floors of the errors.
    forward : ForwardModel
    theta : ndarray, shape (n_star, n_stellar)
    clean_flags : ndarray of int16, shape (n_star,)
        Why stars are outliers; zero for those that are kept.
    record : TrainingRecord
    """

    def __init__(
        self,
        spectra: Spectra,
        label_names: Sequence[str],
        recipe: Recipe,
        rng: np.random.Generator,
        *,
        absolute: bool = False,
        io: TrainingIO | None = None,
    ):
        self._io = io or TrainingIO()
        fingerprint = training_fingerprint(spectra, label_names, recipe, rng)
        self.record = TrainingRecord(self._io, fingerprint, recipe.n_epochs)
        self.label_names, self.recipe, self.rng = tuple(label_names), recipe, rng
        self.absolute, self.spectra = absolute, spectra
        constraints = star_constraints(spectra, label_names, recipe, absolute)
        floored = with_floor(spectra, recipe.flux_error_floor)
        self.data = StarData(floored.flux, floored.flux_err, floored.whitener, constraints)
        self.trained_grid = spectra.space.grid_channels(np.isfinite(spectra.flux_err).any(axis=0))
        self.forward = ForwardModel.initialise(
            constraints.labels,
            spectra.space,
            rng,
            recipe.hidden_layers,
            recipe.extinction_variation,
        )
        self.theta = initial_theta(
            spectra, constraints, self.trained_grid, recipe.extinction_variation
        )
        start_from_typical_spectrum(self.forward, spectra, self.theta, self.trained_grid)
        self._sky = sky_prior(spectra, recipe)
        self.clean_flags = np.zeros(len(spectra), dtype=np.int16)
        estimated = np.isfinite(spectra.extinction) & np.isfinite(spectra.extinction_err)
        self._extinction_known = bool(estimated.sum() >= MIN_TRAINING_STARS)
        self._stage = Stage(np.arange(len(spectra)), self.forward.parameters)

    @property
    def kept(self) -> np.ndarray:
        """Rows of the stars that are not outliers."""
        return np.flatnonzero(self.clean_flags == 0)

    def run(self) -> TrainingResult:
        """Run every phase of the recipe, from the checkpoint's state if that is wanted.

        Returns
        -------
        TrainingResult

        Raises
        ------
        XpfitError
            If the loss is no longer finite.
        InputError
            If a phase has too few stars, or the checkpoint is damaged or of another training.
        FileNotFoundError
            If there is no checkpoint to resume from.
        KeyboardInterrupt
            On Ctrl-C, after a checkpoint of the last whole epoch was written.
        """
        if self._io.resume:
            self._resume()
        with self.record:
            for phase in self.recipe.phases[self._stage.phase :]:
                self.run_phase(phase)
        # The stars' parameters and flags are those of the finished model.
        last = self.recipe.phases[-1]
        self._update_stars(last)
        if last.clean:
            self._clean()
        return TrainingResult(
            self.forward,
            self.recipe,
            self.label_names,
            self.spectra,
            self.data,
            self.theta,
            self.clean_flags,
            self.record.history,
        )

    def run_phase(self, phase: Phase) -> None:
        """Run the rest of a phase, from the current cycle and epoch on."""
        stage = self._stage
        if stage.cycle == stage.epoch == 0:
            stage.optimiser, stage.descent = model_optimiser(phase), None
        free = self._free_parameters(phase)
        while stage.cycle < phase.n_cycles:
            if stage.epoch == 0:
                self._begin_cycle(phase)
            while stage.epoch < phase.n_epochs:
                self._run_epoch(phase, free)
                stage.epoch += 1
                self._keep()
            if stage.descent:
                self.theta[stage.rows] = stage.descent.best
            if phase.updates_model and not self.absolute:
                fix_gauge(self.forward, self.trained_grid)
            if phase.updates_model and phase.free_curve and not self._extinction_known:
                self._fix_scale()
            stage.cycle, stage.epoch = stage.cycle + 1, 0
        stage.phase, stage.cycle = stage.phase + 1, 0
        stage.descent = stage.projection = None
        self._keep(write=True)

    def _fix_scale(self) -> None:
        """Keep the scale of the curve, which only estimates of E could tell, that of its start."""
        ln_scale = np.log(curve_scale(self.forward, self.trained_grid, self.absolute))
        self.theta[:, self.forward.layout.extinction] += ln_scale

    def _keep(self, *, write: bool = False) -> None:
        """Keep everything that the rest of the training depends on."""
        arrays, facts = self._stage.state()
        arrays |= {
            "parameters": self.forward.parameters,
            "theta": self.theta,
            "clean_flags": self.clean_flags,
        }
        if self._sky is not None:
            known, one = self.data.constraints, np.ones(len(self.theta))
            arrays |= {"xi_mean": known.xi_mean * one, "xi_variance": known.xi_variance * one}
        self.record.keep(arrays, facts | {"rng": self.rng.bit_generator.state}, write=write)

    def _resume(self) -> None:
        """Restore what the checkpoint holds."""
        arrays, facts = self.record.restore()
        self.forward.parameters = arrays["parameters"]
        self.theta, self.clean_flags = arrays["theta"], arrays["clean_flags"]
        if self._sky is not None:
            self._set_sky_prior(arrays["xi_mean"], arrays["xi_variance"])
        self.rng.bit_generator.state = facts["rng"]
        self._stage = Stage.from_state(arrays, facts, self.recipe)
        if self._stage.epoch:
            self._project(self.recipe.phases[self._stage.phase])

    def _free_parameters(self, phase: Phase) -> np.ndarray:
        """Which global parameters a phase learns."""
        free = self.forward.channel_mask(self.trained_grid)
        if not phase.free_curve:
            free[self.forward.network.n_parameters :] = False
        if self.forward.curve_varies:
            # The gauge: where E is measured, the curve does not vary.
            anchor = reddest_channel(self.forward.space, self.trained_grid)
            free[len(free) - self.forward.space.n_grid + anchor] = False
        return free

    def _begin_cycle(self, phase: Phase) -> None:
        """Update and clean the stars, and choose those that the epochs use."""
        self._update_stars(phase)
        if phase.clean:
            self._clean()
        stage = self._stage
        per_dof = chi2_per_dof(self.forward, self.theta, self.data)
        stage.median_chi2 = float(np.median(per_dof[self.kept]))
        stage.rows = choose_stars(
            phase, self.clean_flags, self.data.constraints, self.label_names, self.recipe
        )
        if len(stage.rows) < MIN_TRAINING_STARS:
            raise InputError(too_few(phase, len(stage.rows), self.data.constraints))
        if phase.star_step == "adam":
            stage.descent = AdamDescent(self.theta[stage.rows])
        stage.cycle_parameters = self.forward.parameters
        self._project(phase)

    def _project(self, phase: Phase) -> None:
        """Set the projection of the cycle's start, where the phase uses one."""
        self._stage.projection = None
        if phase.star_step == "projected":
            start = replace(self.forward, parameters=self._stage.cycle_parameters)
            self._stage.projection = project(start, self.theta, self.data)

    def _run_epoch(self, phase: Phase, free: np.ndarray) -> None:
        """Pass once over the stars of the cycle."""
        stage = self._stage
        at = stage.cycle * phase.n_epochs + stage.epoch
        model_rate, star_rate = (schedule(at) for schedule in phase.rates())
        with np.errstate(over="ignore", invalid="ignore"):
            if phase.updates_model:
                loss = self._model_epoch(phase, model_rate, star_rate, free)
            else:
                loss = self._star_epoch(star_rate)
        if not np.isfinite(loss):
            raise XpfitError(
                f"training diverged in phase {phase.name!r} (loss {loss}); lower its learning rate"
            )
        self.record.add(
            {
                "phase": phase.name,
                "cycle": stage.cycle,
                "epoch": stage.epoch,
                "learning_rate": model_rate,
                "star_learning_rate": star_rate,
                "n_stars": len(stage.rows),
                "n_kept": len(self.kept),
                "median_chi2": stage.median_chi2,
                "loss": loss,
            }
        )

    def _star_epoch(self, star_rate: float) -> float:
        """Update the stars at a fixed model; returns their mean loss."""
        stage, data = self._stage, self.data[self._stage.rows]
        if stage.descent:
            return stage.descent.step(self.forward, data, star_rate)
        theta = gradient_descent(self.forward, self.theta[stage.rows], data, star_rate)
        self.theta[stage.rows] = theta
        return float(np.mean(stellar_loss(self.forward, theta, data)))

    def _model_epoch(self, phase, model_rate, star_rate, free) -> float:
        """Update the model, and the stars where the phase says so; returns the mean loss."""
        stage, clip, total, n_seen = self._stage, self.recipe.gradient_clip, 0.0, 0
        for batch in epoch_minibatches(phase, len(stage.rows), self.recipe.batch_size, self.rng):
            stars = stage.rows[batch]
            data = self.data[stars]
            projection = stage.projection[stars] if stage.projection else None
            if not (self.absolute or projection):
                self.theta[stars] = fit_amplitude(self.forward, self.theta[stars], data)
            value, gradient = model_loss(
                self.forward, self.theta[stars], data.flux, data.whitener, self.recipe.turnover,
                projection,
            )  # fmt: skip
            gradient = np.where(free, gradient, 0.0)
            length = np.linalg.norm(gradient)
            self.forward.parameters = stage.optimiser.step(
                self.forward.parameters, gradient * min(1.0, clip / max(length, 1e-300)), model_rate
            )
            if phase.star_step == "sgd":
                self.theta[stars] = gradient_descent(
                    self.forward, self.theta[stars], data, star_rate
                )
            total, n_seen = total + value * len(stars), n_seen + len(stars)
        return total / n_seen

    def _update_stars(self, phase: Phase) -> None:
        """Fit every star's amplitude, and all its parameters where the phase says so."""
        if not self.absolute:
            self.theta = fit_amplitude(self.forward, self.theta, self.data)
        if phase.star_step != "none":
            self.theta = restart_free_extinction(
                self.forward, self.theta, self.data, fit=not phase.fits_stars
            )
        if not phase.fits_stars:
            return
        self.theta = gauss_newton(self.forward, self.theta, self.data, phase.star_iterations)
        if self._sky is not None:
            self._update_sky_prior()
        if self.forward.curve_varies and phase.free_curve:
            ln_extinction = self.theta[:, self.forward.layout.extinction]
            dusty = (ln_extinction > np.log(DUSTY)) & (self.clean_flags == 0)
            if dusty.sum() >= MIN_TRAINING_STARS:
                variance = xi_variance(self.forward, self.theta, self.data)
                self.theta = standardise_variation(self.forward, self.theta, variance, dusty)

    def _update_sky_prior(self) -> None:
        """Tell each star what the others say of the curve in its part of the sky."""
        xi, information = xi_likelihood(self.forward, self.theta, self.data)
        # What an outlier says of its xi is as wrong as the rest.
        information[self.clean_flags != 0] = 0.0
        self._set_sky_prior(*self._sky.given_the_others(xi, information))

    def _set_sky_prior(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Use another prior of xi from now on."""
        constraints = replace(self.data.constraints, xi_mean=mean, xi_variance=variance)
        self.data = replace(self.data, constraints=constraints)

    def _clean(self) -> None:
        """Find the stars that disagree with the model, and why (ZGR23, section 3.2)."""
        residual = (self.forward.flux(self.theta) - self.data.flux) / self.data.flux_err
        tension = Tension.measure(
            self.data.constraints,
            self.theta,
            residual,
            chi2_per_dof(self.forward, self.theta, self.data),
            self.label_names,
            self.recipe,
        )
        self.clean_flags = tension.flags(self.recipe.clean_fraction)
