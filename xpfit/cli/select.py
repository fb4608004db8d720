"""``xpfit select``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..catalogue import catalogue_format, write_catalogue
from ..catalogue.cuts import CUTS, ZGR23_PERCENTAGES, counts, iterate_catalogue, passes
from ..catalogue.parquet import write_parts
from ..files import atomic_output, check_output
from .options import CATALOGUE_HELP, add_command


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "select",
        _select,
        "Count the stars that pass the cuts of ZGR23's table 3, and write those that pass some.",
    )
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
    command.add_argument("--output", metavar="OUT", help=CATALOGUE_HELP)


def _select(options: argparse.Namespace) -> None:
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
    parts = _passing(path, cuts)
    if catalogue_format(options.output) == "Parquet":
        with atomic_output(options.output, overwrite=options.overwrite) as part:
            n_rows = write_parts(parts, part)
    else:
        table = vstack(list(parts), metadata_conflicts="silent")
        write_catalogue(table, options.output, overwrite=options.overwrite)
        n_rows = len(table)
    if not options.quiet:
        print(f"wrote {n_rows} stars that pass {' and '.join(cuts)} to {options.output}")


def _passing(path: Path, cuts: list[str]) -> Iterator[Table]:
    """Rows that pass, part by part."""
    for table in iterate_catalogue(path):
        yield table[np.flatnonzero(passes(table, cuts))]


def _counts_text(number: dict[str, int]) -> str:
    """ZGR23's table 3 for this catalogue, their percentages beside it."""
    lines = [f"{'cut':48}{'stars':>12}{'share':>9}{'ZGR23':>9}"]
    for name, n in number.items():
        share = f"{n / max(number['all'], 1):9.1%}"
        theirs = f"{ZGR23_PERCENTAGES[name]:8.1f}%" if name in ZGR23_PERCENTAGES else ""
        lines.append(f"{CUTS[name][0]:48}{n:12d}{share}{theirs:>9}")
    return "\n".join(lines)
