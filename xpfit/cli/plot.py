"""``xpfit plot``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalogue.cuts import iterate_catalogue
from ..errors import InputError
from ..files import atomic_output, check_output, output_directory
from ..model.store import load_model
from ..validate import reliability_diagram
from ..validate.model_plots import model_figures
from .common import add_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")


def _of_model(file: str | None) -> dict[str, Figure]:
    return model_figures(load_model(file))


def _of_catalogue(file: str | None) -> dict[str, Figure]:
    if file is None:
        raise InputError("name the catalogue whose reliability is to be drawn")
    return {"reliability": reliability_diagram(iterate_catalogue(Path(file)))}


PLOTS: dict[str, Callable[[str | None], dict[str, Figure]]] = {
    "model": _of_model,
    "reliability": _of_catalogue,
}
"""What can be drawn; each makes figures by name from a file."""


def add(commands) -> None:
    """Add the command."""
    command = add_command(commands, "plot", _plot, "Draw pictures of a model or a catalogue.")
    command.add_argument(
        "what",
        choices=tuple(PLOTS),
        help="model: a trained model; reliability: the share of a catalogue's sources that pass "
        "the basic cut, over the colour-absolute-magnitude diagram (ZGR23, fig. 18)",
    )
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="model file (default: the one that comes with xpfit), or catalogue or run directory",
    )
    command.add_argument(
        "--output-dir", required=True, metavar="DIR", help="directory for the pictures"
    )
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures")


def _plot(options: argparse.Namespace) -> None:
    """Draw and write all pictures."""
    directory = output_directory(options.output_dir)
    figures = PLOTS[options.what](options.file)
    paths = {name: directory / f"{name}.{options.format}" for name in figures}
    for path in paths.values():
        check_output(path, overwrite=options.overwrite)
    for name, figure in figures.items():
        with atomic_output(paths[name], overwrite=options.overwrite) as part:
            figure.savefig(part, dpi=200)
    if not options.quiet:
        print(f"wrote {', '.join(path.name for path in paths.values())} to {directory}")
