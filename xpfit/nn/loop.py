"""The training loop: minibatches, learning-rate schedule, early stopping, checkpoints."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..constraints import AT_LEAST_1, CheckedSettings, each, require
from .checkpoint import arrays_below, read_checkpoint, write_checkpoint
from .optimisers import Optimiser
from .schedules import Schedule

CHECKPOINT_EVERY = 20
"""Epochs."""

LOOP_FACTS = ("best_loss", "n_stale", "history")
"""Attributes of `LoopState` that are no arrays."""


def minibatches(n_samples: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices of one epoch: every sample once, in random order.

    Parameters
    ----------
    n_samples, batch_size : int
        The last batch may be smaller.
    rng : numpy.random.Generator

    Yields
    ------
    ndarray of int, shape (<= batch_size,)

    Raises
    ------
    InputError
        If `batch_size` is not positive.
    """
    require("batch_size", batch_size, AT_LEAST_1)
    order = rng.permutation(n_samples)
    for start in range(0, n_samples, batch_size):
        yield order[start : start + batch_size]


class Task(ABC):
    """What is trained: a loss over rows of data, as a function of the network's parameters."""

    @abstractmethod
    def loss(
        self, parameters: np.ndarray, rows: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[float, np.ndarray | None]:
        """Mean loss of some rows, and its gradient; without `rng`, for validation, no gradient."""

    def before_epoch(self, epoch: int, parameters: np.ndarray) -> None:  # noqa: B027
        """Update what the loss depends on besides the parameters (`state`)."""

    def after_step(self, parameters: np.ndarray) -> np.ndarray:
        """Parameters after a step, with what the optimiser does not update."""
        return parameters

    @property
    def state(self) -> Mapping[str, np.ndarray]:
        """Arrays that `before_epoch` changes in place, to be kept in checkpoints."""
        return {}


@dataclass(frozen=True)
class LoopSettings(CheckedSettings):
    """Length and steps of a training.

    Parameters
    ----------
    n_epochs : int
    batch_size : int
    weight_decay : float
        Times the parameters, added to the gradient.
    patience : int
        Epochs without a new lowest validation loss after which training stops.
    """

    n_epochs: int
    batch_size: int
    weight_decay: float = 0.0
    patience: int = 1_000_000

    constraints = each(AT_LEAST_1, "n_epochs", "batch_size", "patience")


@dataclass
class LoopState:
    """State of a training.

    Attributes
    ----------
    parameters, best : ndarray, shape (n_parameters,)
        Current ones, and those of the lowest validation loss.
    best_loss : float
    n_stale : int
        Epochs since then.
    history : list of list of float
        Training and validation loss of each epoch.
    """

    parameters: np.ndarray
    best: np.ndarray
    best_loss: float = np.inf
    n_stale: int = 0
    history: list[list[float]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The next epoch."""
        return len(self.history)

    def add(self, training: float, validation: float) -> None:
        """Record the losses of an epoch."""
        self.history.append([training, validation])
        self.n_stale += 1
        if validation < self.best_loss:
            self.best, self.best_loss, self.n_stale = self.parameters, validation, 0


@dataclass
class TrainingLoop:
    """Minimises the loss of a task.

    Parameters
    ----------
    task : Task
    optimiser : Optimiser
    schedule : Schedule
        Learning rate at a (fraction of an) epoch.
    settings : LoopSettings
    title : str
        Of the progress bar.
    """

    task: Task
    optimiser: Optimiser
    schedule: Schedule
    settings: LoopSettings
    title: str = ""

    def run(
        self,
        start: np.ndarray,
        rows: np.ndarray,
        validation: np.ndarray,
        rng: np.random.Generator,
        *,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
    ) -> LoopState:
        """Train until the last epoch, or until the validation loss has stopped falling.

        Parameters
        ----------
        start : ndarray, shape (n_parameters,)
        rows, validation : ndarray of int
            Rows to learn from, and to stop by.
        rng : numpy.random.Generator
        progress : bool
        checkpoint : path-like, optional
            File from which an interrupted training resumes, with the same result as without the
            interruption. It is left there at the end, for whoever keeps the result to remove.

        Returns
        -------
        LoopState

        Raises
        ------
        InputError
            If the checkpoint is of another training, or damaged.
        """
        state, settings, fingerprint = LoopState(start, start), self.settings, ""
        if checkpoint is not None:
            fingerprint = self._fingerprint(start, rows, validation)
            if Path(checkpoint).exists():
                state = self._restore(checkpoint, fingerprint, rng)
        with tqdm(
            desc=self.title or None,
            total=settings.n_epochs,
            initial=state.epoch,
            unit="epoch",
            disable=not progress,
        ) as bar:
            while state.epoch < settings.n_epochs and state.n_stale < settings.patience:
                self._epoch(state, rows, validation, rng)
                bar.set_postfix(loss=state.history[-1][0], validation=state.history[-1][1])
                bar.update()
                if checkpoint is not None and state.epoch % CHECKPOINT_EVERY == 0:
                    self._save(checkpoint, fingerprint, state, rng)
        if checkpoint is not None:
            self._save(checkpoint, fingerprint, state, rng)
        return state

    def _epoch(self, state: LoopState, rows, validation, rng) -> None:
        """One pass over all rows."""
        task, settings, total = self.task, self.settings, 0.0
        n_batch = -(-len(rows) // settings.batch_size)
        task.before_epoch(state.epoch, state.parameters)
        for i, batch in enumerate(minibatches(len(rows), settings.batch_size, rng)):
            value, gradient = task.loss(state.parameters, rows[batch], rng)
            gradient = gradient + settings.weight_decay * state.parameters
            # As a Python float, so that single precision stays single.
            rate = float(self.schedule(state.epoch + i / n_batch))
            stepped = self.optimiser.step(state.parameters, gradient, rate)
            state.parameters = task.after_step(stepped)
            total += value * len(batch)
        state.add(total / len(rows), task.loss(state.parameters, validation, None)[0])
        self.schedule.observe(state.history[-1][1])

    def _fingerprint(self, start: np.ndarray, rows: np.ndarray, validation: np.ndarray) -> str:
        """Identity of a training: settings, seed, split and, through their loss, the data."""
        loss = self.task.loss(start, validation, None)[0]
        digest = hashlib.sha256(f"{self.settings} {loss:.6g}".encode())
        digest.update(start.tobytes() + rows.tobytes())
        return digest.hexdigest()

    def _save(self, path, fingerprint: str, state: LoopState, rng: np.random.Generator) -> None:
        """Write a checkpoint."""
        arrays = {"parameters": state.parameters, "best": state.best}
        arrays |= {f"optimiser/{name}": x for name, x in self.optimiser.state().items()}
        arrays |= {f"task/{name}": x for name, x in self.task.state.items()}
        facts = {"fingerprint": fingerprint, "rng": rng.bit_generator.state}
        facts |= {name: getattr(state, name) for name in LOOP_FACTS}
        write_checkpoint(path, arrays, facts)

    def _restore(self, path, fingerprint: str, rng: np.random.Generator) -> LoopState:
        """Resume from a checkpoint."""
        arrays, facts = read_checkpoint(path, fingerprint)
        rng.bit_generator.state = facts["rng"]
        self.optimiser.restore(arrays_below(arrays, "optimiser"))
        for name, values in self.task.state.items():
            values[:] = arrays[f"task/{name}"]
        for _, validation in facts["history"]:
            self.schedule.observe(validation)
        values = (facts[name] for name in LOOP_FACTS)
        return LoopState(arrays["parameters"], arrays["best"], *values)
