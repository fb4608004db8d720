"""Recipe, trainer (alternating steps), cleaning."""

from .recipe import Phase, Recipe
from .trainer import Trainer, TrainingSummary, train_model

__all__ = ["Phase", "Recipe", "Trainer", "TrainingSummary", "train_model"]
