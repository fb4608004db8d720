"""Where a training is in its recipe, and what its current phase and cycle work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..nn import SGD, Adam, Optimiser, arrays_below
from .projection import Projection
from .recipe import Phase, Recipe
from .updates import AdamDescent


@dataclass
class Stage:
    """Position in the recipe, and what the current phase and cycle work with.

    Attributes
    ----------
    rows : ndarray of int
        Stars that the cycle's epochs use.
    cycle_parameters : ndarray, shape (n_parameters,)
        The model's, at the start of the cycle.
    phase, cycle, epoch : int
        The next ones.
    median_chi2 : float
        Per degree of freedom, of the stars that are kept, at the start of the cycle.
    optimiser : Optimiser, optional
        Of the model.
    descent : AdamDescent, optional
        Of the stars, where they are updated by Adam.
    projection : Projection, optional
        Of the stars `rows`, where they follow the model.
    """

    rows: np.ndarray
    cycle_parameters: np.ndarray
    phase: int = 0
    cycle: int = 0
    epoch: int = 0
    median_chi2: float = np.nan
    optimiser: Optimiser | None = None
    descent: AdamDescent | None = None
    projection: Projection | None = None

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """All but the projection, which follows from the rest: arrays, and what JSON can hold."""
        arrays = {"rows": self.rows, "cycle_parameters": self.cycle_parameters}
        for name in ("optimiser", "descent"):
            method = getattr(self, name)
            if method and (self.cycle or self.epoch):
                arrays |= {f"{name}/{key}": value for key, value in method.state().items()}
        position = [self.phase, self.cycle, self.epoch]
        return arrays, {"position": position, "median_chi2": self.median_chi2}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], facts: dict, recipe: Recipe) -> Stage:
        """Restore what `state` returned."""
        stage = cls(
            arrays["rows"], arrays["cycle_parameters"], *facts["position"], facts["median_chi2"]
        )
        if optimiser := arrays_below(arrays, "optimiser"):
            stage.optimiser = model_optimiser(recipe.phases[stage.phase])
            stage.optimiser.restore(optimiser)
        if descent := arrays_below(arrays, "descent"):
            stage.descent = AdamDescent.from_state(descent)
        return stage


def model_optimiser(phase: Phase) -> Optimiser:
    """Optimiser of the model in a phase."""
    return SGD(phase.momentum) if phase.optimiser == "sgd" else Adam()
