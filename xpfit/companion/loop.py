"""The loop that trains companions: minibatches, a rate, early stopping, and a way to go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm.auto import tqdm

from ..errors import InputError
from ..files import atomic_output
from ..nn import Optimiser, minibatches

Loss = Callable[[np.ndarray, np.ndarray, np.random.Generator | None], tuple[float, np.ndarray]]
"""(parameters, rows, generator or None) -> mean loss of the rows, and its gradient."""

CHECKPOINT_EVERY = 20
"""Epochs."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and in what steps is trained.

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

    def __post_init__(self):
        for name in ("n_epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass
class LoopState:
    """Where a training stands.

    Attributes
    ----------
    parameters, best : ndarray, shape (n_parameters,)
        Now, and at the lowest validation loss.
    best_loss : float
    n_stale : int
        Epochs since then.
    epoch : int
        The next one.
    history : list of tuple of float
        Training and validation loss of each epoch.
    """

    parameters: np.ndarray
    best: np.ndarray
    best_loss: float = np.inf
    n_stale: int = 0
    epoch: int = 0
    history: list[tuple[float, float]] | None = None

    def __post_init__(self):
        self.history = self.history or []


def descend(
    loss: Loss,
    start: np.ndarray,
    rows: np.ndarray,
    validation: np.ndarray,
    *,
    settings: LoopSettings,
    optimiser: Optimiser,
    rate: Callable[[float], float],
    rng: np.random.Generator,
    before_epoch: Callable[[int, np.ndarray], None] | None = None,
    after_step: Callable[[np.ndarray], np.ndarray] | None = None,
    memory: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike | None = None,
) -> LoopState:
    """Minimise a mean loss over rows.

    Parameters
    ----------
    loss : callable
        Called without a generator for validation.
    start : ndarray, shape (n_parameters,)
    rows, validation : ndarray of int
        To learn from, and to stop by.
    settings : LoopSettings
    optimiser : Optimiser
    rate : callable
        Learning rate at a (fraction of an) epoch.
    rng : numpy.random.Generator
    before_epoch : callable, optional
        Told the epoch and the parameters.
    after_step : callable, optional
        Told the parameters after each step, returns what they become.
    memory : mapping of str to ndarray, optional
        What the loss depends on besides, changed in place by `before_epoch`.
    progress : bool
    checkpoint : path-like, optional
        File from which an interrupted training goes on, to the same end; removed at the end.

    Returns
    -------
    LoopState
    """
    state, identity = LoopState(start, start), ""
    if checkpoint is not None:
        identity = _identity(settings, start, rows, loss(start, validation, None)[0])
        if Path(checkpoint).exists():
            state = _restore(checkpoint, identity, optimiser, rng, memory or {})
    n_batch = -(-len(rows) // settings.batch_size)
    with tqdm(
        total=settings.n_epochs, initial=state.epoch, unit="epoch", disable=not progress
    ) as bar:
        while state.epoch < settings.n_epochs and state.n_stale < settings.patience:
            if before_epoch is not None:
                before_epoch(state.epoch, state.parameters)
            total = 0.0
            for i, batch in enumerate(minibatches(len(rows), settings.batch_size, rng)):
                value, gradient = loss(state.parameters, rows[batch], rng)
                gradient = gradient + settings.weight_decay * state.parameters
                # A plain number, lest it make single precision double.
                step_rate = float(rate(state.epoch + i / n_batch))
                state.parameters = optimiser.step(state.parameters, gradient, step_rate)
                if after_step is not None:
                    state.parameters = after_step(state.parameters)
                total += value * len(batch)
            _judge(state, loss(state.parameters, validation, None)[0], total / len(rows))
            bar.set_postfix(loss=state.history[-1][0], validation=state.history[-1][1])
            bar.update()
            if checkpoint is not None and state.epoch % CHECKPOINT_EVERY == 0:
                _save(checkpoint, identity, state, optimiser, rng, memory or {})
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return state


def _judge(state: LoopState, validation: float, training: float) -> None:
    """Take note of an epoch."""
    state.history.append((training, validation))
    state.epoch += 1
    state.n_stale += 1
    if validation < state.best_loss:
        state.best, state.best_loss, state.n_stale = state.parameters, validation, 0


def _identity(settings: LoopSettings, start: np.ndarray, rows: np.ndarray, loss: float) -> str:
    """What tells one training from another: settings, seed, split, and, by their loss, the data."""
    digest = hashlib.sha256(f"{settings} {loss:.6g}".encode())
    digest.update(start.tobytes() + rows.tobytes())
    return digest.hexdigest()


def _save(path, identity, state, optimiser, rng, memory) -> None:
    """Write where training stands."""
    with atomic_output(path, overwrite=True) as part, h5py.File(part, "w") as file:
        file.attrs["identity"] = identity
        file.attrs["rng"] = json.dumps(rng.bit_generator.state)
        for name in ("best_loss", "n_stale", "epoch"):
            file.attrs[name] = getattr(state, name)
        file["parameters"], file["best"] = state.parameters, state.best
        file["history"] = np.array(state.history)
        for name, values in optimiser.state().items():
            file[f"optimiser/{name}"] = values
        for name, values in memory.items():
            file[f"memory/{name}"] = values


def _restore(path, identity, optimiser, rng, memory) -> LoopState:
    """Go on from where training stood."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["identity"] != identity:
                raise InputError(
                    f"{path}: of a training with another seed, other settings or other data; "
                    "remove it to begin anew"
                )
            rng.bit_generator.state = json.loads(file.attrs["rng"])
            optimiser.restore({name: values[()] for name, values in file["optimiser"].items()})
            for name, values in memory.items():
                values[:] = file[f"memory/{name}"]
            return LoopState(
                file["parameters"][()],
                file["best"][()],
                float(file.attrs["best_loss"]),
                int(file.attrs["n_stale"]),
                int(file.attrs["epoch"]),
                [tuple(row) for row in file["history"][()].tolist()],
            )
    except InputError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint of this training ({error})") from error
