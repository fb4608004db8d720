"""What companions have in common."""

from __future__ import annotations

import hashlib
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..data.preparation import Preparation
from ..data.space import ObservationSpace
from ..data.spectra import Spectra
from ..errors import InputError
from ..nn import LoopState
from .features import Features


@dataclass
class LabelPrediction:
    """Labels of N stars and their uncertainties, all (n_star, n_label) in kK and dex.

    Attributes
    ----------
    label_names : tuple of str
    values : ndarray
    errors : dict of str to ndarray
        Parts of the uncertainty by their cause: ``model_err``, ``input_err``, ``excess_err``.
    """

    label_names: tuple[str, ...]
    values: np.ndarray
    errors: dict[str, np.ndarray]

    @property
    def total_err(self) -> np.ndarray:
        """All parts together (Fallows & Sanders 2024, eq. 11)."""
        return np.sqrt(sum(error**2 for error in self.errors.values()))


MIN_JUDGED = 30
"""Stars without which errors are not found on those that were not learned from, but on all."""


def judged_by(order: np.ndarray, n_validation: int) -> np.ndarray:
    """Rows by which errors are found: those of validation, or all where these are too few."""
    return np.sort(order[:n_validation] if n_validation >= MIN_JUDGED else order)


def labels_of(spectra: Spectra, label_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and their errors, each (n_star, n_label); errors that are unknown count as zero.

    Raises
    ------
    InputError
        If the spectra lack one of the labels.
    """
    missing = [name for name in label_names if name not in (spectra.labels or {})]
    if missing:
        raise InputError(f"the spectra have no labels {', '.join(missing)}")
    labels = np.column_stack([spectra.labels[name] for name in label_names])
    errors = np.column_stack([spectra.label_err[name] for name in label_names])
    return labels, np.nan_to_num(errors, nan=0.0, posinf=0.0)


class Companion(ABC):
    """Another model of the same spectra, in the manner of scikit-learn's estimators.

    Subclasses have `fit`, `predict` and `score`; what they have learned ends in ``_``.

    Attributes
    ----------
    kind : str
        Name of the model, in files and commands.
    settings_kind : type
        Of its settings.
    learned : tuple of str
        Names of the arrays that it has learned, without the ``_``.
    learned_parts : mapping of str to type
        Dataclasses of arrays that it has learned, by their names without the ``_``.
    features_ : Features
    card_ : dict
        What it was trained on and how, and the history of its training.
    """

    kind: str
    settings_kind: type
    learned: tuple[str, ...]
    learned_parts: ClassVar[Mapping[str, type]] = {}
    label_names: tuple[str, ...]
    features_: Features
    card_: dict

    @property
    def space(self) -> ObservationSpace:
        """Observation space of the spectra that it looks at."""
        return self.features_.space

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
        """What it is, as SHA-256 over all that predictions depend on, in hexadecimal digits."""
        features = self.features_
        digest = hashlib.sha256(f"{self.kind} {self.label_names} {self.settings}".encode())
        for array in (features.mean, features.scale, *self.arrays.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def preparation(self) -> Preparation:
        """How the training data were prepared."""
        return Preparation.from_dict(self.card_["preparation"])

    def _require_training(self) -> None:
        """Refuse to be used before it was trained."""
        if not hasattr(self, "card_"):
            raise InputError(f"this {type(self).__name__} was not trained yet; call fit, or load")

    def _fill_card(self, spectra: Spectra, state: LoopState, **more) -> None:
        """Write down how it came to be."""
        self.card_ = {
            "kind": self.kind,
            "n_stars": len(spectra),
            "settings": self.settings.to_dict(),
            "preparation": spectra.preparation.to_dict(),
            "history": state.history,
            **more,
        }
