"""Write a catalogue in another format, without loss."""

from __future__ import annotations

import argparse

from ..catalogue import catalogue_format, read_catalogue, write_catalogue
from ..files import check_output
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "catalogue",
        metavar="CATALOGUE",
        help="catalogue in any format that xpfit writes, or the directory of 'xpfit run'",
    )
    command.add_argument("output", metavar="OUT", help=shared.CATALOGUE_HELP)


def run(options: argparse.Namespace) -> None:
    """Read and write."""
    check_output(options.output, overwrite=options.overwrite)
    catalogue_format(options.output)
    table = read_catalogue(options.catalogue)
    write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {len(table)} rows to {options.output}")
