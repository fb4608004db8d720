"""Recipe (data), trainer (alternating steps), star updates, cleaning, checkpoints, outcome."""

from .recipe import Phase, Recipe
from .recipe_file import RECIPES, load_recipe, recipe_text
from .record import TrainingIO
from .trainer import Trainer
from .training import TrainingSummary, train_model

__all__ = [
    "RECIPES",
    "Phase",
    "Recipe",
    "Trainer",
    "TrainingIO",
    "TrainingSummary",
    "load_recipe",
    "recipe_text",
    "train_model",
]
