"""Count the stars that pass the cuts of ZGR23's table 3, and write those that pass some."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..catalogue.cuts import (
    CUTS,
    QUALITY_CUTS,
    ZGR23_PERCENTAGES,
    counts,
    iterate_catalogue,
    passes,
)
from . import options as shared
from .parser import Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("catalogue CATALOGUE", "catalogue file, or the directory of 'xpfit run'")
    command.option(
        "--cut",
        "cut that stars must pass; may be given several times (default: basic). "
        + "; ".join(f"{name}: {meaning}" for name, (meaning, _) in CUTS.items()),
        action="append",
        choices=tuple(CUTS),
    )
    command.common("output", required=False)
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Count, and write what passes."""
    path = Path(options.catalogue)
    if options.output:
        shared.check_catalogue(options)
    if not options.quiet:
        also = [name for name in options.cut or () if name not in QUALITY_CUTS]
        print(_counts_text(counts(iterate_catalogue(path), also)))
    if not options.output:
        return
    cuts = options.cut or ["basic"]
    passing = (table[np.flatnonzero(passes(table, cuts))] for table in iterate_catalogue(path))
    n_rows = shared.save_catalogue(options, passing)
    shared.say(options, f"wrote {n_rows} stars that pass {' and '.join(cuts)} to {options.output}")


def _counts_text(number: dict[str, int]) -> str:
    """ZGR23's table 3 for this catalogue, with their percentages."""
    rows = [["cut", "stars", "share", "ZGR23"]]
    for name, n in number.items():
        theirs = f"{ZGR23_PERCENTAGES[name]:.1f}%" if name in ZGR23_PERCENTAGES else ""
        rows.append([CUTS[name][0], n, f"{n / max(number['all'], 1):.1%}", theirs])
    return shared.text_table([48, 12, 9, 9], rows)
