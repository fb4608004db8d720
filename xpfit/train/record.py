"""What a running training shows and writes: progress, history, log and checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from tqdm.auto import tqdm

from .._version import __version__
from ..data import Spectra
from ..nn import read_checkpoint, write_checkpoint
from .recipe import Recipe

CHECKPOINT_MINUTES = 5.0
"""Time between checkpoints within a phase."""


@dataclass(frozen=True)
class TrainingIO:
    """What a training shows and writes while it runs.

    Parameters
    ----------
    progress : bool
        Show a progress bar.
    log : file open for writing text, optional
        Gets one line of JSON per epoch.
    checkpoint : path-like, optional
        File that keeps the state: after every phase, every `minutes`, and when the training is
        interrupted (Ctrl-C). It is left there at the end.
    minutes : float
        Time between checkpoints within a phase.
    resume : bool
        Continue from `checkpoint`. All else must be as it was, the state of the random generator
        too; the model then is the same as if the training had not stopped.
    """

    progress: bool = True
    log: TextIO | None = None
    checkpoint: str | os.PathLike | None = None
    minutes: float = CHECKPOINT_MINUTES
    resume: bool = False


class TrainingRecord:
    """History of a training, and its copies on screen and disk.

    A context: leaving it closes the progress bar; if that is by Ctrl-C, the state of the last whole
    epoch is written.

    Parameters
    ----------
    io : TrainingIO
    fingerprint : str
        Identifies data, recipe and seed (`training_fingerprint`).
    n_epochs : int

    Attributes
    ----------
    history : list of dict
        One entry per epoch.
    """

    def __init__(self, io: TrainingIO, fingerprint: str, n_epochs: int):
        self.history: list[dict] = []
        self._io, self._fingerprint = io, fingerprint
        self._bar = tqdm(total=n_epochs, unit="epoch", disable=not io.progress)
        self._started = self._written = time.perf_counter()
        self._snapshot: tuple[dict, dict] | None = None

    def __enter__(self) -> TrainingRecord:
        return self

    def __exit__(self, kind, *_) -> None:
        self._bar.close()
        if self._snapshot and kind is not None and issubclass(kind, KeyboardInterrupt):
            write_checkpoint(self._io.checkpoint, *self._snapshot)

    def add(self, line: dict) -> None:
        """Add an epoch to history, log and progress bar."""
        self.history.append(line)
        self._write_log(line)
        self._bar.set_postfix_str(f"{line['phase']}: loss {line['loss']:.1f}", refresh=False)
        self._bar.update()

    def keep(self, arrays: dict[str, np.ndarray], facts: dict, *, write: bool = False) -> None:
        """Keep a copy of a state to resume from, and write it where that is due.

        Parameters
        ----------
        arrays : dict of str to ndarray
        facts : dict
            JSON-able.
        write : bool
            Write it whenever the last checkpoint was written.
        """
        if not self._io.checkpoint:
            return
        now = time.perf_counter()
        facts = facts | {
            "fingerprint": self._fingerprint,
            "history": list(self.history),
            "seconds": now - self._started,
        }
        self._snapshot = {name: np.array(value) for name, value in arrays.items()}, facts
        if write or now - self._written >= 60.0 * self._io.minutes:
            write_checkpoint(self._io.checkpoint, *self._snapshot)
            self._written = now

    def restore(self) -> tuple[dict[str, np.ndarray], dict]:
        """Read the checkpoint, and repeat its epochs in history, log and progress bar.

        Returns
        -------
        arrays : dict of str to ndarray
        facts : dict
            As given to `keep`.

        Raises
        ------
        FileNotFoundError, InputError
            If there is no checkpoint, or it is damaged or of another training.
        """
        arrays, facts = read_checkpoint(self._io.checkpoint, self._fingerprint)
        self.history = facts["history"]
        self._started -= facts["seconds"]
        self._bar.update(len(self.history))
        for line in self.history:
            self._write_log(line)
        return arrays, facts

    def _write_log(self, line: dict) -> None:
        """Write a line to the log, if there is one."""
        if self._io.log is not None:
            seconds = round(time.perf_counter() - self._started, 3)
            self._io.log.write(json.dumps({**line, "seconds": seconds}) + "\n")
            self._io.log.flush()


def training_fingerprint(
    spectra: Spectra, label_names: Sequence[str], recipe: Recipe, rng: np.random.Generator
) -> str:
    """SHA-256 of everything that a trained model depends on: data, labels, recipe, seed, version.

    Parameters
    ----------
    spectra : Spectra
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
        As the training starts with it.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    settings = [__version__, list(label_names), recipe.to_dict(), rng.bit_generator.state]
    digest.update(json.dumps(settings, sort_keys=True, default=repr).encode())
    arrays = [spectra.source_id, spectra.flux, spectra.flux_err, spectra.wavelength]
    arrays += [spectra.parallax, spectra.parallax_err, spectra.extinction, spectra.extinction_err]
    arrays += [
        values[name] for values in (spectra.labels, spectra.label_err) for name in label_names
    ]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
