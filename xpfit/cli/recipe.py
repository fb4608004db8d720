"""``xpfit recipe``."""

from __future__ import annotations

import argparse

from ..train.recipe_file import RECIPES, load_recipe, recipe_text


def add(commands) -> None:
    """Add the command."""
    text = "Show a training recipe, as a TOML file to start one's own from."
    command = commands.add_parser("recipe", help=text, description=text)
    command.set_defaults(run=_recipe)
    command.add_argument("action", choices=("show",))
    command.add_argument(
        "name", metavar="NAME", help=f"{', '.join(RECIPES)}, or a TOML file, which is checked"
    )


def _recipe(options: argparse.Namespace) -> None:
    """Print a recipe."""
    print(recipe_text(load_recipe(options.name)), end="")
