"""What companions have in common."""

from __future__ import annotations

from abc import ABC

from ..errors import InputError
from ..prepare import prepared_with
from ..space import ObservationSpace
from ..spectra import Spectra
from .features import Features
from .loop import LoopState


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
    features_ : Features
    card_ : dict
        What it was trained on and how, and the history of its training.
    """

    kind: str
    settings_kind: type
    learned: tuple[str, ...]
    features_: Features
    card_: dict

    @property
    def space(self) -> ObservationSpace:
        """Observation space of the spectra that it looks at."""
        return self.features_.space

    def prepared_with(self, kind: type):
        """Settings with which the training data were prepared (see `XPModel.prepared_with`)."""
        return prepared_with(self.card_["preparation"], kind)

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
            "preparation": dict(spectra.preparation),
            "history": state.history,
            **more,
        }
