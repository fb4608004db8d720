"""The command line: one command per verb, one module per command.

A module is imported when its command is asked for. It has ``add``, which adds arguments to the
command's parser, and ``run``, which does the work.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module

from .._version import __version__
from ..integrity import VERIFY
from ..temporary import cleared
from .failure import ending_signals, explain
from .parser import HelpFormatter, Parser

COMMANDS = (
    ("download", "download", "Download spectra, astrometry and photometry from the Gaia archive."),
    ("inspect", "inspect", "Say what files are, and what would be used of them."),
    ("prepare", "prepare", "Prepare spectra once, for repeated fits and trainings."),
    ("simulate", "simulate", "Simulate a survey with known truth, to train on and to fit."),
    ("recipe", "recipe", "Print a training recipe, as a TOML file to modify."),
    ("train", "train", "Train a model on spectra of stars with known labels."),
    ("transfer", "transfer", "Recalibrate a model to the flux of another release."),
    ("train-confidence", "train_confidence", "Train classifiers of reliable fits for a model."),
    ("plot", "plot", "Draw figures of a model, a catalogue or single stars."),
    ("fit", "fit", "Fit stellar parameters to XP spectra."),
    ("run", "run", "Make a catalogue of any number of spectra; can be interrupted and resumed."),
    ("convert", "convert", "Write a catalogue in another format, without loss."),
    ("select", "select", "Count the stars that pass the cuts of ZGR23's table 3, and write them."),
    ("extinction", "extinction", "Extinctions in passbands, tables for maps of dust, features."),
    ("validate", "validate", "Compare fitted with reference labels."),
    ("report", "report", "Write a report on a catalogue, as one HTML file."),
    ("sample", "sample", "Sample the posterior of some stars, and compare it with the fit."),
    ("binaries", "binaries", "Fit two stars to each spectrum, and compare with the fit of one."),
    ("epochs", "epochs", "Tell variable stars from constant ones by their epoch spectra."),
    ("companion", "companion", "Train and use other models of the same spectra."),
)
"""Name, module and help of each command, in the order in which users need them."""

DEBUG, NO_VERIFY = "--debug", "--no-verify"
"""Anywhere in the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0; 1 after an error that was explained on standard error; 2 for a command line
        that is wrong; 3 if the work is done but inputs were refused; 130, 143 and 129 if it was
        interrupted, terminated or hung up (SIGINT, SIGTERM, SIGHUP).
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug, no_verify = DEBUG in arguments, NO_VERIFY in arguments
    arguments = [argument for argument in arguments if argument not in (DEBUG, NO_VERIFY)]
    # No option before the command takes a value.
    command = next((a for a in arguments if not a.startswith("-")), None)
    with ending_signals() as received, _environment({VERIFY: "0"} if no_verify else {}):
        try:
            with cleared():
                options = build_parser(command).parse_args(arguments)
                warnings.showwarning = _show_warning
                _show_log(quiet=getattr(options, "quiet", False))
                status = options.run(options) or 0
                sys.stdout.flush()
            return status
        except KeyboardInterrupt as interruption:
            outcome = str(interruption) or "unfinished output was removed"
            _say(command, f"interrupted; {outcome}")
            return 128 + (received[0] if received else signal.SIGINT)
        except BrokenPipeError:
            # Who reads the output has seen enough; nothing can be written at the end either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        except Exception as error:
            if debug:
                traceback.print_exc()
            _say(command, f"error: {explain(error)}")
            return 1


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, which worker processes inherit, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _say(command: str | None, text: str) -> None:
    """Print on standard error, in one line."""
    print(f"xpfit {command}: {' '.join(text.splitlines())}", file=sys.stderr)


def _show_log(*, quiet: bool) -> None:
    """Print what is logged, such as which columns of a table are used, on standard error."""
    log = logging.getLogger("xpfit")
    for handler in list(log.handlers):
        log.removeHandler(handler)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.WARNING if quiet else logging.INFO)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"xpfit: warning: {message}", file=sys.stderr)


def build_parser(command: str | None = None) -> Parser:
    """Parser of the command line.

    Parameters
    ----------
    command : str, optional
        The command whose arguments are added; of the others only names and help.

    Returns
    -------
    Parser
    """
    parser = Parser(
        prog="xpfit", description="Stellar parameters from Gaia BP/RP spectra (Zhang+ 2023)."
    )
    parser.add_argument("--version", action="version", version=f"xpfit {__version__}")
    parser.add_argument(
        DEBUG, action="store_true", help="show where an error arose (with any command)"
    )
    parser.add_argument(
        NO_VERIFY,
        action="store_true",
        help="read files whose checksums do not match (with any command)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module_name, text in COMMANDS:
        subparser = commands.add_parser(
            name, help=text, description=text, formatter_class=HelpFormatter
        )
        if name == command:
            module = import_module(f".{module_name}", __name__)
            subparser.description = module.__doc__
            module.add(subparser)
            subparser.set_defaults(run=module.run)
    return parser
