"""The trainer: one loop that runs phases, in which stars and model take turns (ZGR23, 3.2)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm.auto import tqdm

from ..data.spectra import Spectra, whiten
from ..errors import InputError, XpfitError
from ..model import ForwardModel
from ..model.gauge import best_ln_parallax, fix_gauge, reddest_channel, standardise_variation
from ..model.prior import N_COMPONENTS
from ..nn import SGD, Adam, Optimiser, chi2, minibatches
from .checkpoint import read_checkpoint, training_fingerprint, write_checkpoint
from .cleaning import Tension, clean_reasons
from .initial import initial_theta, star_constraints, start_from_typical_spectrum, with_floor
from .loss import model_loss
from .recipe import Phase, Recipe
from .stars import Projection, StarData, loss_derivatives, project
from .updates import AdamDescent, gauss_newton, gradient_descent

MIN_STARS = 10 * N_COMPONENTS
"""Fewest stars that a model and its prior can be trained on."""

CHECKPOINT_MINUTES = 5.0
"""Time between checkpoints within a phase."""

DUSTY = 0.1
"""E (mag) from which a star tells something of the extinction curve's variation."""


class Trainer:
    """State of a training: the model, the stars, which of them are kept, and where it stands.

    Parameters
    ----------
    spectra : Spectra
        Usable stars only (see `xpfit.train.cleaning.trainable`).
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
    absolute : bool
        Whether the stars' parallaxes are used, so that the model learns luminosities.
    progress : bool
        Show a progress bar.
    log : file open for writing text, optional
        Gets one line of JSON per epoch.
    checkpoint : path-like, optional
        File that keeps the state: after every phase, every `checkpoint_minutes`, and when the
        training is interrupted (Ctrl-C).
    checkpoint_minutes : float
    """

    def __init__(
        self,
        spectra: Spectra,
        label_names: Sequence[str],
        recipe: Recipe,
        rng: np.random.Generator,
        *,
        absolute: bool = False,
        progress: bool = True,
        log: TextIO | None = None,
        checkpoint: str | os.PathLike | None = None,
        checkpoint_minutes: float = CHECKPOINT_MINUTES,
    ):
        self._fingerprint = training_fingerprint(spectra, label_names, recipe, rng)
        self.label_names, self.recipe, self.rng = tuple(label_names), recipe, rng
        self.absolute, self.measured = absolute, spectra
        self.spectra = spectra = with_floor(spectra, recipe.flux_error_floor)
        self.trained_channels = np.isfinite(spectra.flux_err).any(axis=0)
        self.trained_grid = spectra.space.grid_channels(self.trained_channels)
        self.constraints = star_constraints(spectra, label_names, recipe, absolute)
        self._data = StarData(spectra.flux, spectra.whitener, self.constraints)
        self.forward = ForwardModel.initialise(
            self.constraints.labels,
            spectra.space,
            rng,
            recipe.hidden_layers,
            recipe.extinction_variation,
        )
        self.theta = initial_theta(
            spectra, self.constraints, self.trained_grid, recipe.extinction_variation
        )
        start_from_typical_spectrum(self.forward, spectra, self.theta, self.trained_grid)
        self.clean_flags = np.zeros(len(spectra), dtype=np.int16)
        self.history: list[dict] = []
        self._phase = self._cycle = self._epoch = 0
        self._rows = np.arange(len(spectra))
        self._median_chi2 = np.nan
        self._optimiser: Optimiser | None = None
        self._descent: AdamDescent | None = None
        self._projection: Projection | None = None
        self._cycle_parameters = self.forward.parameters
        self._log = log
        self._bar = tqdm(total=recipe.n_epochs, unit="epoch", disable=not progress)
        self._checkpoint = Path(checkpoint) if checkpoint else None
        self._interval = 60.0 * checkpoint_minutes
        self._started = self._written = time.perf_counter()
        self._snapshot: tuple[dict, dict] | None = None

    @property
    def kept(self) -> np.ndarray:
        """Rows of the stars that are not outliers."""
        return np.flatnonzero(self.clean_flags == 0)

    @property
    def clean_reasons(self) -> dict[str, int]:
        """How many stars were dropped for which reason; a star may have several."""
        return clean_reasons(self.clean_flags, self.label_names)

    def run(self) -> None:
        """Run every phase of the recipe that is not done yet.

        Raises
        ------
        XpfitError
            If the loss is no longer a number.
        InputError
            If a phase has too few stars.
        KeyboardInterrupt
            On Ctrl-C, after a checkpoint of the last whole epoch was written.
        """
        try:
            with self._bar:
                for phase in self.recipe.phases[self._phase :]:
                    self.run_phase(phase)
        except KeyboardInterrupt:
            if self._checkpoint and self._snapshot:
                write_checkpoint(self._checkpoint, *self._snapshot)
            raise
        self._finish()

    def run_phase(self, phase: Phase) -> None:
        """Let stars and model take turns as a phase prescribes, from where the training stands."""
        if self._cycle == self._epoch == 0:
            self._optimiser = SGD(phase.momentum) if phase.optimiser == "sgd" else Adam()
            self._descent = None
        free = self._free_parameters(phase)
        while self._cycle < phase.n_cycles:
            if self._epoch == 0:
                self._begin_cycle(phase)
            while self._epoch < phase.n_epochs:
                self._run_epoch(phase, free)
                self._epoch += 1
                self._keep_state()
            if self._descent:
                self.theta[self._rows] = self._descent.best
            if phase.updates_model and not self.absolute:
                fix_gauge(self.forward, self.trained_grid)
            self._cycle, self._epoch = self._cycle + 1, 0
        self._phase, self._cycle = self._phase + 1, 0
        self._descent = self._projection = None
        self._keep_state(phase_done=True)

    def resume(self) -> None:
        """Take up the state that the checkpoint file holds.

        Raises
        ------
        FileNotFoundError, InputError
            As `xpfit.train.checkpoint.read_checkpoint`.
        """
        arrays, facts = read_checkpoint(self._checkpoint, self._fingerprint)
        self.forward.parameters = arrays["parameters"]
        self.theta, self.clean_flags = arrays["theta"], arrays["clean_flags"]
        self._rows = arrays["rows"]
        self._phase, self._cycle, self._epoch = facts["position"]
        self._median_chi2 = facts["median_chi2"]
        self.history = facts["history"]
        self.rng.bit_generator.state = facts["rng"]
        parts: dict[str, dict] = {"optimiser": {}, "descent": {}}
        for name, values in arrays.items():
            part, _, key = name.partition("/")
            if key:
                parts[part][key] = values
        if parts["optimiser"]:
            phase = self.recipe.phases[self._phase]
            self._optimiser = SGD(phase.momentum) if phase.optimiser == "sgd" else Adam()
            self._optimiser.restore(parts["optimiser"])
        self._cycle_parameters = arrays["cycle_parameters"]
        if self._epoch:
            self._project(self.recipe.phases[self._phase])
        if parts["descent"]:
            self._descent = AdamDescent.from_state(parts["descent"])
        self._started -= facts["seconds"]
        self._bar.update(len(self.history))
        for line in self.history:
            self._write_log(line)

    def chi2_per_dof(self) -> np.ndarray:
        """chi2 per degree of freedom of every star, shape (n_star,)."""
        data = self.spectra
        value, _ = chi2(whiten(data.whitener, self.forward.flux(self.theta) - data.flux))
        return value / (data.n_obs - self.theta.shape[1])

    def _finish(self) -> None:
        """Bring the stars up to date with the finished model, and judge them once more."""
        last = self.recipe.phases[-1]
        self._update_stars(last)
        if last.clean:
            self._clean()

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
        """Update and judge the stars, and choose those that the epochs use."""
        self._update_stars(phase)
        if phase.clean:
            self._clean()
        self._median_chi2 = float(np.median(self.chi2_per_dof()[self.kept]))
        self._rows = self._choose(phase.stars)
        if len(self._rows) < MIN_STARS:
            raise InputError(
                f"only {len(self._rows)} stars for training phase {phase.name!r}, at least "
                f"{MIN_STARS} are needed; give more stars, or a recipe with wider limits"
            )
        if phase.star_step == "adam":
            self._descent = AdamDescent(self.theta[self._rows])
        self._cycle_parameters = self.forward.parameters
        self._project(phase)

    def _project(self, phase: Phase) -> None:
        """Let the stars follow the model from the cycle's start on, if the phase wants that."""
        self._projection = None
        if phase.star_step == "projected":
            start = replace(self.forward, parameters=self._cycle_parameters)
            self._projection = project(start, self.theta, self._data)

    def _choose(self, which: str) -> np.ndarray:
        """Rows of the stars that `Phase.stars` names."""
        if which == "all":
            return np.arange(len(self.spectra))
        kept, known = self.clean_flags == 0, self.constraints
        if which == "kept":
            return np.flatnonzero(kept)
        for name, limit in self.recipe.high_quality.items():
            if name in self.label_names:
                kept &= known.label_err[:, self.label_names.index(name)] < limit
            elif name == "extinction":
                kept &= known.extinction_err < limit
            elif name == "parallax" and self.absolute:
                with np.errstate(invalid="ignore"):
                    kept &= known.parallax_err < limit * known.parallax
        if which == "low_extinction":
            with np.errstate(invalid="ignore"):
                kept &= known.extinction < self.recipe.low_extinction
        return np.flatnonzero(kept)

    def _run_epoch(self, phase: Phase, free: np.ndarray) -> None:
        """Give every star its turn once."""
        at = self._cycle * phase.n_epochs + self._epoch
        model_rate, star_rate = (schedule(at) for schedule in phase.rates())
        rows, data = self._rows, self._data
        with np.errstate(over="ignore", invalid="ignore"):
            if phase.updates_model:
                loss = self._model_epoch(phase, model_rate, star_rate, free)
            elif phase.star_step == "adam":
                loss = self._descent.step(self.forward, data[rows], star_rate)
            else:
                self.theta[rows] = gradient_descent(
                    self.forward, self.theta[rows], data[rows], star_rate
                )
                loss = float(
                    np.mean(loss_derivatives(self.forward, self.theta[rows], data[rows])[0])
                )
        if not np.isfinite(loss):
            raise XpfitError(
                f"training diverged in phase {phase.name!r} (loss {loss}); lower its learning rate"
            )
        line = {
            "phase": phase.name,
            "cycle": self._cycle,
            "epoch": self._epoch,
            "learning_rate": model_rate,
            "star_learning_rate": star_rate,
            "n_stars": len(rows),
            "n_kept": len(self.kept),
            "median_chi2": self._median_chi2,
            "loss": loss,
        }
        self.history.append(line)
        self._write_log(line)
        self._bar.set_postfix_str(f"{phase.name}: loss {loss:.1f}", refresh=False)
        self._bar.update()

    def _model_epoch(self, phase, model_rate, star_rate, free) -> float:
        """Update the model with every star once, and if so wished the stars; the mean loss."""
        total, rows, clip = 0.0, self._rows, self.recipe.gradient_clip
        for batch in minibatches(len(rows), self.recipe.batch_size, self.rng):
            stars = rows[batch]
            data = self._data[stars]
            projection = self._projection[stars] if self._projection else None
            if not (self.absolute or projection):
                self._solve_amplitude(stars)
            value, gradient = model_loss(
                self.forward,
                self.theta[stars],
                data.flux,
                data.whitener,
                self.recipe.turnover,
                projection,
            )
            gradient = np.where(free, gradient, 0.0)
            length = np.linalg.norm(gradient)
            self.forward.parameters = self._optimiser.step(
                self.forward.parameters, gradient * min(1.0, clip / max(length, 1e-300)), model_rate
            )
            if phase.star_step == "sgd":
                self.theta[stars] = gradient_descent(
                    self.forward, self.theta[stars], data, star_rate
                )
            total += value * len(stars)
        return total / len(rows)

    def _update_stars(self, phase: Phase) -> None:
        """Bring every star's amplitude, and with Gauss-Newton steps all else, up to date."""
        if not self.absolute:
            self._solve_amplitude(np.arange(len(self.spectra)))
        if phase.star_step not in ("gauss-newton", "projected"):
            return
        self.theta = gauss_newton(self.forward, self.theta, self._data, phase.star_iterations)
        if self.forward.curve_varies and phase.free_curve:
            self._standardise_variation()

    def _standardise_variation(self) -> None:
        """Hold xi to its gauge, over the stars with dust."""
        variance = np.empty(len(self.theta))
        for rows, part in self._data.chunks(np.arange(len(self.theta))):
            _, _, hessian = loss_derivatives(self.forward, self.theta[rows], part)
            # The loss is -2 ln p: half its Hessian is the inverse covariance.
            variance[rows] = 2.0 * np.linalg.inv(hessian)[:, -1, -1]
        dusty = (self.theta[:, self.forward.n_label] > np.log(DUSTY)) & (self.clean_flags == 0)
        if dusty.sum() >= MIN_STARS:
            self.theta = standardise_variation(self.forward, self.theta, variance, dusty)

    def _solve_amplitude(self, stars: np.ndarray) -> None:
        """Give stars the amplitude that fits them best under the present model."""
        theta, whitener = self.theta[stars], self.spectra.whitener[stars]
        predicted = whiten(whitener, self.forward.flux(theta))
        observed = whiten(whitener, self.spectra.flux[stars])
        amplitude = self.forward.n_label + 1
        self.theta[stars, amplitude] = best_ln_parallax(theta[:, amplitude], predicted, observed)

    def _clean(self) -> None:
        """Note which stars are in tension with the model, and why (ZGR23, section 3.2)."""
        residual = (self.forward.flux(self.theta) - self.spectra.flux) / self.spectra.flux_err
        tension = Tension.measure(
            self.constraints,
            self.theta,
            residual,
            self.chi2_per_dof(),
            self.label_names,
            self.recipe,
        )
        self.clean_flags = tension.flags(self.recipe.clean_fraction)

    def _keep_state(self, phase_done: bool = False) -> None:
        """Remember a state to go back to; write it if it is time to."""
        if not self._checkpoint:
            return
        self._snapshot = self._state()
        if phase_done or time.perf_counter() - self._written >= self._interval:
            write_checkpoint(self._checkpoint, *self._snapshot)
            self._written = time.perf_counter()

    def _state(self) -> tuple[dict, dict]:
        """Copies of all that the rest of the training depends on."""
        arrays = {
            "parameters": self.forward.parameters,
            "cycle_parameters": self._cycle_parameters,
            "theta": self.theta,
            "clean_flags": self.clean_flags,
            "rows": self._rows,
        }
        within_phase = self._cycle or self._epoch
        for part, keeper in (("optimiser", self._optimiser), ("descent", self._descent)):
            if keeper and within_phase:
                arrays |= {f"{part}/{name}": value for name, value in keeper.state().items()}
        facts = {
            "fingerprint": self._fingerprint,
            "position": [self._phase, self._cycle, self._epoch],
            "median_chi2": self._median_chi2,
            "history": list(self.history),
            "rng": self.rng.bit_generator.state,
            "seconds": time.perf_counter() - self._started,
        }
        return {name: np.array(value) for name, value in arrays.items()}, facts

    def _write_log(self, line: dict) -> None:
        """Add a line to the log, if there is one."""
        if self._log is not None:
            seconds = round(time.perf_counter() - self._started, 3)
            self._log.write(json.dumps({**line, "seconds": seconds}) + "\n")
            self._log.flush()
