"""Say what files are, what would be used of them, and what is wrong with them."""

from __future__ import annotations

import argparse
import sys

from ..errors import XpfitError
from ..report.inspection import inspect_file
from .parser import Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "inputs FILE",
        "spectra, tables, catalogues, models, classifiers, companions, or directories of runs",
        nargs="+",
    )


def run(options: argparse.Namespace) -> int:
    """Inspect files one by one; one that cannot be read stops no other."""
    n_refused = 0
    for path in options.inputs:
        print(path)
        try:
            lines = inspect_file(path)
        except (XpfitError, OSError) as error:
            n_refused += 1
            sys.stdout.flush()
            print(f"  cannot be read: {error}", file=sys.stderr)
            continue
        print("\n".join(f"  {line}" for line in lines))
    return 1 if n_refused else 0
