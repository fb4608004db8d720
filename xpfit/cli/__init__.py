"""The command line: one command per verb, one module per command."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from .._version import __version__
from ..errors import XpfitError
from . import (
    binaries,
    companion,
    convert,
    download,
    fit,
    plot,
    prepare,
    recipe,
    report,
    run,
    sample,
    select,
    simulate,
    train,
    train_confidence,
    validate,
)

COMMANDS = (
    download,
    prepare,
    simulate,
    recipe,
    train,
    train_confidence,
    plot,
    fit,
    run,
    convert,
    select,
    validate,
    report,
    sample,
    binaries,
    companion,
)
"""Modules with `add`, which adds the command to a parser, in the order in which users meet them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error that was explained on standard error.
    """
    options = build_parser().parse_args(arguments)
    warnings.showwarning = _show_warning
    try:
        options.run(options)
    except (XpfitError, FileNotFoundError) as error:
        print(f"xpfit {options.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        outcome = str(interruption) or "nothing was written"
        print(f"xpfit {options.command}: interrupted; {outcome}", file=sys.stderr)
        return 130
    return 0


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"xpfit: warning: {message}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="xpfit", description="Stellar parameters from Gaia BP/RP spectra (Zhang+ 2023)."
    )
    parser.add_argument("--version", action="version", version=f"xpfit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
