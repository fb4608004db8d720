"""Write a catalogue in another format, without loss."""

from __future__ import annotations

import argparse

from ..catalogue import read_catalogue, write_catalogue
from . import options as shared
from .parser import CATALOGUE_HELP, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "catalogue CATALOGUE",
        "catalogue in any format that xpfit writes, or the directory of 'xpfit run'",
    )
    command.option("output OUT", CATALOGUE_HELP)
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Read and write."""
    shared.check_catalogue(options)
    table = read_catalogue(options.catalogue)
    write_catalogue(table, options.output, overwrite=options.overwrite)
    shared.say(options, f"wrote {len(table)} rows to {options.output}")
