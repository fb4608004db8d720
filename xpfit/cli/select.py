"""Count the stars that pass the cuts of ZGR23's table 3, and write those that pass some."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..catalogue import catalogue_format
from ..catalogue.cuts import CUTS, ZGR23_PERCENTAGES, counts, iterate_catalogue, passes
from ..files import check_output
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "catalogue", metavar="CATALOGUE", help="catalogue file, or the directory of 'xpfit run'"
    )
    command.add_argument(
        "--cut",
        action="append",
        choices=tuple(CUTS),
        help="cut that stars must pass; may be given several times (default: basic). "
        + "; ".join(f"{name}: {meaning}" for name, (meaning, _) in CUTS.items()),
    )
    command.add_argument("--output", metavar="OUT", help=shared.CATALOGUE_HELP)


def run(options: argparse.Namespace) -> None:
    """Count, and write what passes."""
    path = Path(options.catalogue)
    if options.output:
        check_output(options.output, overwrite=options.overwrite)
        catalogue_format(options.output)
    if not options.quiet:
        print(_counts_text(counts(iterate_catalogue(path))))
    if not options.output:
        return
    cuts = options.cut or ["basic"]
    passing = (table[np.flatnonzero(passes(table, cuts))] for table in iterate_catalogue(path))
    n_rows = shared.save_catalogue(passing, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {n_rows} stars that pass {' and '.join(cuts)} to {options.output}")


def _counts_text(number: dict[str, int]) -> str:
    """ZGR23's table 3 for this catalogue, with their percentages."""
    lines = [f"{'cut':48}{'stars':>12}{'share':>9}{'ZGR23':>9}"]
    for name, n in number.items():
        share = f"{n / max(number['all'], 1):9.1%}"
        theirs = f"{ZGR23_PERCENTAGES[name]:8.1f}%" if name in ZGR23_PERCENTAGES else ""
        lines.append(f"{CUTS[name][0]:48}{n:12d}{share}{theirs:>9}")
    return "\n".join(lines)
