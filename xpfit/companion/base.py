"""Base class of companions: the steps of training, and the interface of predictions."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..arrays import StarRows, batches
from ..constraints import require
from ..data import ObservationSpace, Preparation, Spectra
from ..errors import InputError
from ..nn import LoopState, Network, Task, TrainingLoop
from .draws import SEED
from .features import Features
from .prediction import Prediction

MIN_HELD_OUT = 30
"""Held-out stars; with fewer, errors are calibrated on all stars."""

ROWS_AT_A_TIME = 500
"""Stars of which predictions, with all their random numbers, are held in memory at a time."""


@dataclass
class Examples(StarRows):
    """Stars to learn from.

    Attributes
    ----------
    spectra : Spectra
    labels, errors : ndarray, shape (n_star, n_label)
        As the network learns them; NaN where unknown.
    """

    spectra: Spectra
    labels: np.ndarray
    errors: np.ndarray


class Companion(ABC):
    """Another model of the same spectra, in the manner of scikit-learn's estimators.

    Subclasses define the networks, their training and the prediction; `fit`, `predict` and files
    are the same for all. Learned attributes end in ``_``.

    Parameters
    ----------
    label_names : sequence of str, optional
        By default `default_labels`.
    settings : optional
        Of `settings_kind`.

    Attributes
    ----------
    kind : str
        Name of the model, in files and commands.
    settings_kind : type
        Of its settings.
    task_kind : type
        Of the loss of its training, made from the companion and `Examples`.
    default_labels : tuple of str
    learned : tuple of str
        Names of the arrays that it learns, without the ``_``.
    learned_parts : mapping of str to type
        Dataclasses of arrays that it learns, by their names without the ``_``.
    dtype : type
        Of the network's parameters.
    keeps_best : bool
        Whether the parameters are those of the lowest validation loss, not the last ones.
    n_draws : int
        Random draws per star in a prediction, by default; zero if nothing is drawn.
    features_ : Features
    parameters_ : ndarray, shape (n_parameters,)
    card_ : dict
        Training set, settings and history of the training.
    """

    kind: str
    settings_kind: type
    task_kind: type[Task]
    default_labels: ClassVar[tuple[str, ...]] = ()
    learned: tuple[str, ...]
    learned_parts: ClassVar[Mapping[str, type]] = {}
    dtype: ClassVar[type] = np.float32
    keeps_best: ClassVar[bool] = True
    n_draws: ClassVar[int] = 0
    features_: Features
    parameters_: np.ndarray
    card_: dict

    def __init__(self, label_names: Sequence[str] | None = None, settings=None):
        self.label_names = tuple(self.default_labels if label_names is None else label_names)
        self.settings = settings or self.settings_kind()

    def fit(
        self,
        spectra: Spectra,
        *,
        rng: np.random.Generator,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
    ) -> Companion:
        """Train on spectra.

        Parameters
        ----------
        spectra : Spectra
            With labels, if the companion predicts any. Unknown label errors count as zero.
        rng : numpy.random.Generator
        progress : bool
        checkpoint : path-like, optional
            File from which an interrupted training resumes. It is left there at the end.

        Returns
        -------
        Companion
            Itself.

        Raises
        ------
        InputError
            If labels are missing, or there are too few stars with them.
        """
        examples = self._examples(spectra)
        only, with_colours = (
            getattr(self.settings, name, False) for name in ("spectrum_only", "colours")
        )
        self.features_ = Features.learn(
            examples.spectra, spectrum_only=only, with_colours=with_colours
        )
        loop = self._loop(self.task_kind(self, examples))
        order = rng.permutation(len(examples.spectra))
        n_held_out = max(int(self.settings.validation_share * len(order)), 1)
        start = np.concatenate([network.initialise(rng) for network in self.networks])
        state = loop.run(
            start.astype(self.dtype),
            order[n_held_out:],
            order[:n_held_out],
            rng,
            progress=progress,
            checkpoint=checkpoint,
        )
        self.parameters_ = state.best if self.keeps_best else state.parameters
        rows = np.sort(order[:n_held_out] if n_held_out >= MIN_HELD_OUT else order)
        self._calibrate(examples, rows, rng)
        self.card_ = self._card(examples, state)
        return self

    def predict(
        self, spectra: Spectra, *, seed: int = SEED, n_draws: int | None = None
    ) -> Prediction:
        """Predict, for stars one by one.

        Parameters
        ----------
        spectra : Spectra
            In the space of the training stars.
        seed : int
            Seed of random draws, together with each star's source_id: the result of a star depends
            neither on other stars nor on their order.
        n_draws : int, optional
            Random draws per star; see the class attribute.

        Returns
        -------
        Prediction
            NaN for stars without usable values.

        Raises
        ------
        InputError
            If the companion was not trained, or the spectra are in another space.
        """
        if not hasattr(self, "card_"):
            raise InputError(f"this {type(self).__name__} was not trained yet; call fit, or load")
        n_draws = self.n_draws if n_draws is None else n_draws
        if self.n_draws:
            require("n_draws", n_draws, (lambda n: n >= 2, "at least 2"))
        return self._predict_in_parts(spectra, seed, n_draws)

    @abstractmethod
    def score(self, spectra: Spectra, *, seed: int = SEED) -> float:
        """Quality of the predictions, of which higher is better."""

    @property
    @abstractmethod
    def networks(self) -> tuple[Network, ...]:
        """Networks whose parameters are, one after the other, `parameters_`."""

    @abstractmethod
    def _examples(self, spectra: Spectra) -> Examples:
        """Stars that can be learned from; raises InputError if there are too few."""

    @abstractmethod
    def _loop(self, task: Task) -> TrainingLoop:
        """Optimiser, schedule and length of the training."""

    @abstractmethod
    def _calibrate(self, examples: Examples, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Learn from the trained network's performance on held-out rows."""

    @abstractmethod
    def _predict(self, spectra: Spectra, seed: int, n_draws: int) -> Prediction:
        """Predict for a few stars, with random numbers that do not depend on the others."""

    def _predict_in_parts(self, spectra: Spectra, seed: int, n_draws: int) -> Prediction:
        """Predict for any number of stars, a few at a time."""
        parts = batches(len(spectra), ROWS_AT_A_TIME) or [slice(0, 0)]
        found = [self._predict(spectra[rows], seed, n_draws) for rows in parts]
        return found[0].concatenate(found)

    def _card(self, examples: Examples, state: LoopState) -> dict:
        """Record of the training."""
        return {
            "kind": self.kind,
            "n_stars": len(examples.spectra),
            "settings": self.settings.to_dict(),
            "preparation": examples.spectra.preparation.to_dict(),
            "history": state.history,
            "validation_loss": state.best_loss,
        }

    @property
    def space(self) -> ObservationSpace:
        """Observation space of the spectra."""
        return self.features_.space

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all networks."""
        return sum(network.n_parameters for network in self.networks)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""
        found = {name: np.asarray(getattr(self, f"{name}_")) for name in self.learned}
        for name, kind in self.learned_parts.items():
            part = getattr(self, f"{name}_")
            found |= {f"{name}/{f.name}": np.asarray(getattr(part, f.name)) for f in fields(kind)}
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what was learned from `arrays` of another one."""
        for name in self.learned:
            setattr(self, f"{name}_", arrays[name])
        for name, kind in self.learned_parts.items():
            setattr(self, f"{name}_", kind(*(arrays[f"{name}/{f.name}"] for f in fields(kind))))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that predictions depend on, in hexadecimal digits."""
        features = self.features_
        digest = hashlib.sha256(f"{self.kind} {self.label_names} {self.settings}".encode())
        for array in (features.mean, features.scale, *self.arrays.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def preparation(self) -> Preparation:
        """How the training data were prepared."""
        return Preparation.from_dict(self.card_["preparation"])
