"""Compare fitted with reference labels, a simulated truth or a dust map."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from .. import plots, validate
from ..catalogue import read_catalogue
from ..files import check_output, output_directory
from ..quantities import quantity
from ..read import read_table
from . import options as shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_NAMES = ("residuals.png", "residuals_by_label.png", "pulls_by_label.png", "confidence.png")
DUST_FIGURE_NAME = "dust.png"
TRUTH_FIGURE_NAME = "coverage.png"
METRICS_NAME = "metrics.json"

NOTHING_LEFT = (
    "no star is left to compare, as the steps of the selection show; --include-flagged, --min-snr "
    "and --max-teff widen it"
)


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument("fitted", metavar="FITTED", help="catalogue written by 'xpfit fit'")
    command.add_argument(
        "--reference",
        metavar="TABLE",
        help="FITS or ECSV table of labels (default: those that came with the spectra)",
    )
    command.add_argument(
        "--truth",
        metavar="SURVEY.h5",
        help="simulated survey that the catalogue is of: bias, scatter, pulls and coverage of the "
        "true values, by magnitude",
    )
    command.add_argument(
        "--dust-map",
        choices=tuple(validate.DUST_MAPS),
        help="compare extinction with this map of the dustmaps package, for stars beyond the dust",
    )
    command.add_argument(
        "--output",
        metavar="DIR",
        help=f"directory for {METRICS_NAME} and figures: {', '.join(FIGURE_NAMES)}; "
        f"{DUST_FIGURE_NAME} with --dust-map; {TRUTH_FIGURE_NAME} with --truth",
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


def run(options: argparse.Namespace) -> None:
    """Compare fitted with reference labels; print and write the outcome."""
    directory = _output_directory(options)
    fitted = read_catalogue(options.fitted)
    if options.truth:
        _validate_truth(options, directory, fitted)
        return
    if options.reference:
        reference = read_table(options.reference)
        fitted = validate.attach_reference(fitted, reference)
    dust_map = validate.load_dust_map(options.dust_map) if options.dust_map else None
    selection = validate.Selection(options.min_snr, options.max_teff, options.include_flagged)
    comparison = validate.compare(fitted, selection)
    numbers = validate.metrics(comparison)
    if not options.quiet:
        print(_selection_text(comparison), file=sys.stderr if options.json else sys.stdout)
    figures = _figures(fitted, comparison, selection)
    lines = [_metrics_text(numbers)]
    lines.append(_paper_text(numbers) if len(comparison) else NOTHING_LEFT)
    if dust_map:
        behind = validate.attach_dust_map(fitted, dust_map)
        rows = validate.beyond_the_dust(behind)
        numbers["dust"] = validate.dust_numbers(behind, rows)
        figures[DUST_FIGURE_NAME] = plots.dust_figure(behind, rows, options.dust_map)
        lines.append(f"E against {options.dust_map}: {json.dumps(numbers['dust'])}")
    print(json.dumps(numbers, indent=2) if options.json else "\n\n".join(lines))
    if directory:
        _write(options, directory, numbers, figures)


def _figures(
    fitted: Table, comparison: validate.Comparison, selection: validate.Selection
) -> dict[str, Figure]:
    """Figures of the residuals, by file name; none where there are no stars."""
    if not len(comparison):
        return {}
    figures = [
        plots.residual_figure(comparison),
        plots.residual_grid_figure(comparison),
        plots.residual_grid_figure(comparison, normalised=True),
        plots.confidence_residual_figure(fitted, selection),
    ]
    return dict(zip(FIGURE_NAMES, figures, strict=True))


def _validate_truth(options: argparse.Namespace, directory: Path | None, fitted: Table) -> None:
    """Compare with the truth of a simulated survey; print and write the outcome."""
    truth = validate.attach_truth(fitted, options.truth)
    numbers = validate.coverage(fitted, truth, include_flagged=options.include_flagged)
    print(json.dumps(numbers, indent=2) if options.json else _coverage_text(numbers))
    if directory:
        figure = plots.coverage_figure(numbers)
        _write(options, directory, numbers, {TRUTH_FIGURE_NAME: figure})


def _write(
    options: argparse.Namespace, directory: Path, numbers: dict, figures: dict[str, Figure]
) -> None:
    """Write numbers and figures."""
    shared.save_json(numbers, directory / METRICS_NAME, overwrite=options.overwrite)
    for name, figure in figures.items():
        plots.save(figure, directory / name, overwrite=options.overwrite)
    names = ", ".join((METRICS_NAME, *figures))
    print(f"wrote {names} to {directory}", file=sys.stderr)


def _output_directory(options: argparse.Namespace) -> Path | None:
    """Make the output directory, refusing to replace files in it unasked."""
    if not options.output:
        return None
    directory = output_directory(options.output)
    names = [TRUTH_FIGURE_NAME] if options.truth else [*FIGURE_NAMES]
    if options.dust_map:
        names.append(DUST_FIGURE_NAME)
    for name in (METRICS_NAME, *names):
        check_output(directory / name, overwrite=options.overwrite)
    return directory


def _selection_text(comparison: validate.Comparison) -> str:
    """Stars left after each step of the selection."""
    return "\n".join(f"{count:7d} stars {step}" for step, count in comparison.counts.items())


def _metrics_text(numbers: dict) -> str:
    """Metrics as a table for people."""
    lines = [f"{'':8}{'':11}{'n':>6}{'bias':>10}{'scatter':>10}{'rmse':>10}{'pull':>8}"]
    for group, by_label in numbers.items():
        for name, m in by_label.items():
            cells = _cells(name, m, "bias", "scatter", "rmse") if m["n"] else f"{'no stars':>38}"
            lines.append(f"{group:8}{name:11}{m['n']:6d}{cells}")
    return "\n".join(lines)


def _paper_text(numbers: dict) -> str:
    """Scatter beside the paper's."""
    lines = ["scatter of all stars beside ZGR23's against LAMOST, Bayestar19, Gaia (section 4.4)"]
    lines.append(f"{'':17}{'here':>10}{'ZGR23':>10}{'ratio':>8}")
    for name, (ours, theirs) in validate.beside_zgr23(numbers).items():
        digits = quantity(name).digits
        lines.append(f"{name:17}{ours:10.{digits}f}{theirs:10.{digits}f}{ours / theirs:8.2f}")
    return "\n".join(lines)


def _coverage_text(numbers: dict) -> str:
    """Coverage as a table for people."""
    lines = []
    for group, by_name in numbers.items():
        lines.append(f"{group}: {by_name['joint']['n']} stars")
        lines.append(f"{'':12}{'bias':>10}{'scatter':>10}{'pull':>8}{'68 %':>8}{'95 %':>8}")
        for name, m in by_name.items():
            cells = " " * 28 if name == "joint" else _cells(name, m, "bias", "scatter")
            lines.append(f"{name:12}{cells}{m['cover68']:8.3f}{m['cover95']:8.3f}")
    return "\n".join(lines)


def _cells(name: str, numbers: dict, *columns: str) -> str:
    """Numbers in the unit of a quantity, with as many digits as are meaningful, and the pull."""
    digits = quantity(name).digits
    return "".join(f"{numbers[k]:10.{digits}f}" for k in columns) + f"{numbers['pull']:8.2f}"
