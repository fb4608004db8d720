"""``xpfit validate``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .. import validate
from ..catalogue import read_catalogue
from ..files import atomic_output, check_output, output_directory
from ..read import read_table
from .common import add_command

FIGURE_NAME = "residuals.png"
METRICS_NAME = "metrics.json"


def add(commands) -> None:
    """Add the command."""
    command = add_command(commands, "validate", _validate, "Compare fitted with reference labels.")
    command.add_argument("fitted", metavar="FITTED", help="catalogue written by 'xpfit fit'")
    command.add_argument(
        "--reference",
        metavar="TABLE",
        help="FITS or ECSV table of labels (default: those that came with the spectra)",
    )
    command.add_argument(
        "--output", metavar="DIR", help=f"directory for {FIGURE_NAME} and {METRICS_NAME}"
    )
    command.add_argument("--json", action="store_true", help="print the numbers as JSON")
    defaults = validate.Selection()
    command.add_argument(
        "--min-snr", type=float, default=defaults.min_snr, help="lowest S/N of the reference"
    )
    command.add_argument(
        "--max-teff", type=float, default=defaults.max_teff, help="highest reference Teff in K"
    )
    command.add_argument(
        "--include-flagged", action="store_true", help="compare flagged fits as well"
    )


def _validate(options: argparse.Namespace) -> None:
    """Compare fitted with reference labels; print and write the outcome."""
    directory = _output_directory(options)
    fitted = read_catalogue(options.fitted)
    if options.reference:
        reference = read_table(options.reference)
        fitted = validate.attach_reference(fitted, reference)
    selection = validate.Selection(options.min_snr, options.max_teff, options.include_flagged)
    comparison = validate.compare(fitted, selection)
    numbers = validate.metrics(comparison)
    if not options.quiet:
        print(_selection_text(comparison), file=sys.stderr if options.json else sys.stdout)
    text = json.dumps(numbers, indent=2)
    print(text if options.json else _metrics_text(numbers))
    if directory:
        with atomic_output(directory / METRICS_NAME, overwrite=options.overwrite) as part:
            part.write_text(text + "\n", encoding="utf-8")
        with atomic_output(directory / FIGURE_NAME, overwrite=options.overwrite) as part:
            validate.residual_figure(comparison).savefig(part, dpi=200)
        print(f"wrote {directory / METRICS_NAME} and {FIGURE_NAME}", file=sys.stderr)


def _output_directory(options: argparse.Namespace) -> Path | None:
    """Make the output directory, refusing to replace files in it unasked."""
    if not options.output:
        return None
    directory = output_directory(options.output)
    for name in (METRICS_NAME, FIGURE_NAME):
        check_output(directory / name, overwrite=options.overwrite)
    return directory


def _selection_text(comparison: validate.Comparison) -> str:
    """Stars left after each step of the selection."""
    return "\n".join(f"{count:7d} stars {step}" for step, count in comparison.counts.items())


def _metrics_text(numbers: dict) -> str:
    """Metrics as a table for people."""
    lines = [f"{'':8}{'':9}{'n':>6}{'bias':>10}{'scatter':>10}{'rmse':>10}{'pull':>8}"]
    for group, by_label in numbers.items():
        for name, m in by_label.items():
            digits = 0 if name == "teff" else 3
            cells = (
                "".join(f"{m[k]:10.{digits}f}" for k in ("bias", "scatter", "rmse"))
                + f"{m['pull']:8.2f}"
                if m["n"]
                else f"{'no stars':>38}"
            )
            lines.append(f"{group:8}{name:9}{m['n']:6d}{cells}")
    return "\n".join(lines)
