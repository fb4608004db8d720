"""``xpfit plot``."""

from __future__ import annotations

import argparse

from ..files import atomic_output, check_output, output_directory
from ..model.store import load_model
from ..validate.model_plots import model_figures
from .common import add_command

FORMATS = ("png", "pdf", "svg")


def add(commands) -> None:
    """Add the command."""
    command = add_command(commands, "plot", _plot, "Draw pictures of a trained model.")
    command.add_argument("what", choices=("model",), help="what to draw")
    command.add_argument(
        "model",
        metavar="MODEL.h5",
        nargs="?",
        help="model file (default: the one that comes with xpfit)",
    )
    command.add_argument(
        "--output-dir", required=True, metavar="DIR", help="directory for the pictures"
    )
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures")


def _plot(options: argparse.Namespace) -> None:
    """Draw and write all pictures."""
    directory = output_directory(options.output_dir)
    figures = model_figures(load_model(options.model))
    paths = {name: directory / f"{name}.{options.format}" for name in figures}
    for path in paths.values():
        check_output(path, overwrite=options.overwrite)
    for name, figure in figures.items():
        with atomic_output(paths[name], overwrite=options.overwrite) as part:
            figure.savefig(part, dpi=130)
    if not options.quiet:
        print(f"wrote {', '.join(path.name for path in paths.values())} to {directory}")
