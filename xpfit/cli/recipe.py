"""Print a training recipe, as a TOML file to modify."""

from __future__ import annotations

import argparse

from ..train.recipe_file import RECIPES, load_recipe, recipe_text
from .parser import Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("action", choices=("show",))
    command.option("name NAME", f"{', '.join(RECIPES)}, or a TOML file, which is checked")


def run(options: argparse.Namespace) -> None:
    """Print a recipe."""
    print(recipe_text(load_recipe(options.name)), end="")
