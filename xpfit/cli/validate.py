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
from ..dust import DUST_MAPS, load_dust_map
from ..errors import InputError
from ..quantities import quantity
from ..read import read_table
from ..read.columns import LABELLED
from . import options as shared
from .parser import REFERENCE_HELP, Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_NAMES = ("residuals.png", "residuals_by_label.png", "pulls_by_label.png", "confidence.png")
DUST_FIGURE_NAME, TRUTH_FIGURE_NAME, METRICS_NAME = "dust.png", "coverage.png", "metrics.json"

EMPTY = ["", "", "", "no stars"]
"""Cells of a group without stars."""

NOTHING_LEFT = (
    "no star is left to compare, as the steps of the selection show; --include-flagged, --min-snr "
    "and --max-teff widen it"
)


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("fitted FITTED", "catalogue written by 'xpfit fit'")
    command.option("--reference TABLE", REFERENCE_HELP)
    command.option(
        "--truth SURVEY.h5",
        "simulated survey that the catalogue is of: bias, scatter, pulls and coverage of the true "
        "values, by magnitude",
    )
    command.option(
        "--dust-map MAP",
        "compare extinction with this dust map, for stars beyond the dust: "
        f"{', '.join(DUST_MAPS)}, or a file (see docs/dust.md)",
    )
    command.option(
        "--independent-dust-map MAP",
        "show the residuals against E of this one, whose errors are independent of the other's, "
        "as ZGR23 do with SFD and Planck (default: against the mean of fit and map)",
    )
    command.option(
        "--output DIR",
        f"directory for {METRICS_NAME} and figures: {', '.join(FIGURE_NAMES)}; {DUST_FIGURE_NAME} "
        f"with --dust-map; {TRUTH_FIGURE_NAME} with --truth",
    )
    command.option("--json", "print the numbers as JSON")
    defaults = validate.Selection()
    command.option("--min-snr S/N", "lowest S/N of the reference", default=defaults.min_snr)
    command.option("--max-teff K", "highest reference Teff in K", default=defaults.max_teff)
    command.option("--include-flagged", "compare flagged fits as well")
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Compare fitted with reference labels; print and write the outcome."""
    names = [TRUTH_FIGURE_NAME] if options.truth else list(FIGURE_NAMES)
    names += [METRICS_NAME] + [DUST_FIGURE_NAME] * bool(options.dust_map)
    if options.output:
        shared.make_directory(options, options.output, names)
    fitted = read_catalogue(options.fitted)
    if options.truth:
        _validate_truth(options, fitted)
        return
    if options.reference:
        fitted = validate.attach_reference(fitted, read_table(options.reference, LABELLED))
    if options.independent_dust_map and not options.dust_map:
        raise InputError("--independent-dust-map goes with --dust-map")
    dust_map, independent = (
        load_dust_map(name) if name else None
        for name in (options.dust_map, options.independent_dust_map)
    )
    selection = validate.Selection(options.min_snr, options.max_teff, options.include_flagged)
    comparison = validate.compare(fitted, selection)
    numbers = validate.metrics(comparison)
    if not options.quiet:
        steps = [f"{count:7d} stars {step}" for step, count in comparison.counts.items()]
        print("\n".join(steps), file=sys.stderr if options.json else sys.stdout)
    figures = _figures(fitted, comparison, selection)
    texts = [_metrics_text(numbers), _paper_text(numbers) if len(comparison) else NOTHING_LEFT]
    if dust_map:
        behind = validate.attach_dust_map(fitted, dust_map, independent)
        rows = validate.beyond_the_dust(behind)
        numbers["dust"] = validate.dust_numbers(behind, rows)
        figures[DUST_FIGURE_NAME] = plots.dust_figure(
            behind, rows, map_title(options.dust_map), map_title(options.independent_dust_map)
        )
        texts.append(f"E against {options.dust_map}: {json.dumps(numbers['dust'])}")
    _show(options, numbers, figures, "\n\n".join(texts))


def map_title(name: str | None) -> str:
    """What a figure calls a map: its name, or that of its file."""
    return Path(name).name if name else ""


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


def _validate_truth(options: argparse.Namespace, fitted: Table) -> None:
    """Compare with the truth of a simulated survey; print and write the outcome."""
    truth = validate.attach_truth(fitted, options.truth)
    numbers = validate.coverage(fitted, truth, include_flagged=options.include_flagged)
    figures = {TRUTH_FIGURE_NAME: plots.coverage_figure(numbers)} if options.output else {}
    _show(options, numbers, figures, _coverage_text(numbers))


def _show(
    options: argparse.Namespace, numbers: dict, figures: dict[str, Figure], text: str
) -> None:
    """Write numbers and figures, then print the numbers, as text or JSON."""
    files = {METRICS_NAME: numbers, **figures}
    if options.output:
        shared.save_files(options, Path(options.output), files)
    print(json.dumps(numbers, indent=2) if options.json else text)
    if options.output:
        print(f"wrote {', '.join(files)} to {options.output}", file=sys.stderr)


def _metrics_text(numbers: dict) -> str:
    """Metrics as a text table."""
    rows = [["", "n", "bias", "scatter", "rmse", "pull"]]
    for group, by_label in numbers.items():
        for name, m in by_label.items():
            known = _cells(name, m, "bias", "scatter", "rmse") if m["n"] else EMPTY
            rows.append([f"{group:8}{name}", m["n"], *known])
    return shared.text_table([19, 6, 10, 10, 10, 8], rows)


def _paper_text(numbers: dict) -> str:
    """Scatter beside the paper's."""
    rows = [["", "here", "ZGR23", "ratio"]]
    for name, (ours, theirs) in validate.beside_zgr23(numbers).items():
        digits = quantity(name).digits
        rows.append([name, f"{ours:.{digits}f}", f"{theirs:.{digits}f}", f"{ours / theirs:.2f}"])
    title = "scatter of all stars beside ZGR23's against LAMOST, Bayestar19, Gaia (section 4.4)\n"
    return title + shared.text_table([17, 10, 10, 8], rows)


def _coverage_text(numbers: dict) -> str:
    """Coverage as a text table."""
    texts = []
    for group, by_name in numbers.items():
        rows = [["", "bias", "scatter", "pull", "68 %", "95 %"]]
        for name, m in by_name.items():
            known = [""] * 3 if name == "joint" else _cells(name, m, "bias", "scatter")
            rows.append([name, *known, f"{m['cover68']:.3f}", f"{m['cover95']:.3f}"])
        texts.append(f"{group}: {by_name['joint']['n']} stars")
        texts.append(shared.text_table([12, 10, 10, 8, 8, 8], rows))
    return "\n".join(texts)


def _cells(name: str, numbers: dict, *columns: str) -> list[str]:
    """Numbers in the unit of a quantity, with as many digits as are meaningful, and the pull."""
    digits = quantity(name).digits
    return [f"{numbers[k]:.{digits}f}" for k in columns] + [f"{numbers['pull']:.2f}"]
