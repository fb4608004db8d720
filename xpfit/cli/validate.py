"""Compare fitted with reference labels, a simulated truth or a dust map."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from .. import plots, validate
from ..catalogue import read_catalogue
from ..dust import DUST_MAPS, load_dust_map
from ..errors import InputError
from ..plots.clusters import cluster_figure
from ..quantities import quantity
from ..read import read_table
from ..read.columns import ASTROMETRY
from ..validate.clusters import cluster_numbers
from ..validate.membership import find_clusters
from . import options as shared
from .parser import DEFAULT_MODEL, REFERENCE_HELP, Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_NAMES = (
    "residuals.png",
    "residuals_by_label.png",
    "pulls_by_label.png",
    "survey_pulls_by_label.png",
    "confidence.png",
)
DUST_FIGURE_NAME, TRUTH_FIGURE_NAME, METRICS_NAME = "dust.png", "coverage.png", "metrics.json"
CLUSTER_FIGURE_NAME = "clusters.png"

EMPTY = ["", "", "", "no stars"]
"""Cells of a group without stars."""

NOTHING_LEFT = (
    "no star is left to compare, as the steps of the selection show; --include-flagged, --min-snr, "
    "--max-teff and --include-training widen it"
)


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("fitted FITTED", "catalogue written by 'xpfit fit'")
    command.option("--reference TABLE", REFERENCE_HELP)
    command.option(
        "--model MODEL.h5",
        f"model whose extinction curve turns A_V and A_0 of the reference into E {DEFAULT_MODEL}",
    )
    command.option(
        "--cuts",
        "which stars are compared: default, by --min-snr, --max-teff and flags; zgr23, by parallax "
        "S/N and loss / dof as in ZGR23's section 4.4",
        choices=tuple(validate.SELECTIONS),
        default="default",
    )
    command.option(
        "--include-training",
        "compare stars that the model was trained on too, if it was trained with --validation",
    )
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
        "--clusters",
        "compare parallaxes, [Fe/H] and E of members of globular clusters with those of the "
        "clusters; members are found by position and proper motion (of --astrometry)",
    )
    command.option(
        "--members TABLE",
        "the same of a list of members: cluster, source_id and the cluster's parallax",
    )
    command.option("--astrometry TABLE", "with --clusters: rows of gaia_source of the stars")
    command.option(
        "--output DIR",
        f"directory for {METRICS_NAME} and figures: {', '.join(FIGURE_NAMES)}; {DUST_FIGURE_NAME} "
        f"with --dust-map; {TRUTH_FIGURE_NAME} with --truth; {CLUSTER_FIGURE_NAME} with --clusters",
    )
    command.option("--json", "print the numbers as JSON")
    defaults = validate.Selection()
    command.option(
        "--min-snr S/N",
        f"lowest S/N of the reference (default: {defaults.min_snr:g}; of zgr23 20)",
        type=float,
    )
    command.option(
        "--max-teff K",
        f"highest reference Teff in K (default: {defaults.max_teff:g}; of zgr23 none)",
        type=float,
    )
    command.option("--include-flagged", "compare flagged fits as well")
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Compare fitted with reference labels; print and write the outcome."""
    of_clusters = options.clusters or options.members
    names = [TRUTH_FIGURE_NAME] if options.truth else list(FIGURE_NAMES)
    names = [CLUSTER_FIGURE_NAME] if of_clusters else names
    names += [METRICS_NAME] + [DUST_FIGURE_NAME] * bool(options.dust_map)
    if options.output:
        shared.make_directory(options, options.output, names)
    fitted = read_catalogue(options.fitted)
    if options.truth:
        _validate_truth(options, fitted)
        return
    if of_clusters:
        _validate_clusters(options, fitted)
        return
    if options.reference:
        reference = validate.read_reference(options.reference, options.model)
        fitted = validate.attach_reference(fitted, reference)
    if options.independent_dust_map and not options.dust_map:
        raise InputError("--independent-dust-map goes with --dust-map")
    dust_map, independent = (
        load_dust_map(name) if name else None
        for name in (options.dust_map, options.independent_dust_map)
    )
    selection = _selection(options)
    comparison = validate.compare(fitted, selection)
    numbers = validate.metrics(comparison)
    if not options.quiet:
        steps = [f"{count:7d} stars {step}" for step, count in comparison.counts.items()]
        print("\n".join(steps), file=sys.stderr if options.json else sys.stdout)
    figures = _figures(fitted, comparison, selection)
    texts = [_metrics_text(numbers)]
    texts.append(_paper_text(fitted, options) if len(comparison) else NOTHING_LEFT)
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
        plots.residual_grid_figure(comparison, survey_errors=True),
        plots.confidence_residual_figure(fitted, selection),
    ]
    return dict(zip(FIGURE_NAMES, figures, strict=True))


def _validate_truth(options: argparse.Namespace, fitted: Table) -> None:
    """Compare with the truth of a simulated survey; print and write the outcome."""
    truth = validate.attach_truth(fitted, options.truth)
    numbers = validate.coverage(fitted, truth, include_flagged=options.include_flagged)
    figures = {TRUTH_FIGURE_NAME: plots.coverage_figure(numbers)} if options.output else {}
    _show(options, numbers, figures, _coverage_text(numbers))


def _validate_clusters(options: argparse.Namespace, fitted: Table) -> None:
    """Compare with clusters; print and write the outcome."""
    astrometry = read_table(options.astrometry, ASTROMETRY) if options.astrometry else None
    fitted, clusters = find_clusters(fitted, options.members, astrometry)
    numbers = cluster_numbers(fitted, clusters)
    figures = {}
    if options.output:
        figures[CLUSTER_FIGURE_NAME] = cluster_figure(fitted, clusters)
    _show(options, numbers, figures, _clusters_text(numbers))


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


def _selection(options: argparse.Namespace) -> validate.Selection:
    """The selection that is named, with what the options change."""
    given = {name: getattr(options, name) for name in ("min_snr", "max_teff")}
    changes = {name: value for name, value in given.items() if value is not None}
    for name in ("include_flagged", "include_training"):
        if getattr(options, name):
            changes[name] = True
    return replace(validate.SELECTIONS[options.cuts], **changes)


def _metrics_text(numbers: dict) -> str:
    """Metrics as a text table."""
    rows = [["", "n", "bias", "scatter", "rmse", "pull", "/survey"]]
    for group, by_label in numbers.items():
        for name, m in by_label.items():
            known = _cells(name, m, "bias", "scatter", "rmse") if m["n"] else EMPTY
            survey = "" if m["survey_pull"] is None else f"{m['survey_pull']:.2f}"
            rows.append([f"{group:8}{name}", m["n"], *known, survey])
    return shared.text_table([19, 6, 10, 10, 10, 8, 8], rows)


def _paper_text(fitted: Table, options: argparse.Namespace) -> str:
    """Scatter beside the paper's, of the stars that pass the paper's cuts."""
    selection = replace(validate.SELECTIONS["zgr23"], include_training=options.include_training)
    comparison = validate.compare(fitted, selection)
    if not len(comparison):
        return (
            "no star passes the cuts of ZGR23 (--cuts zgr23): nothing to put beside their numbers"
        )
    numbers = validate.metrics(comparison)
    pulls = validate.pulls_beside_zgr23(numbers)
    rows = [["", "here", "ZGR23", "ratio", "/survey", "ZGR23"]]
    for name, (ours, theirs) in validate.beside_zgr23(numbers).items():
        digits, pull = quantity(name).digits, ["", ""]
        if name in pulls:
            pull = [f"{pulls[name][0]:.2f}", f"{pulls[name][1]:g}"]
        rows.append(
            [name, f"{ours:.{digits}f}", f"{theirs:.{digits}f}", f"{ours / theirs:.2f}", *pull]
        )
    title = (
        f"scatter of {len(comparison)} stars by ZGR23's cuts, beside theirs against LAMOST, "
        "Bayestar19 and Gaia\n(section 4.4); /survey: over the reference's errors alone (fig. 8)\n"
    )
    return title + shared.text_table([17, 10, 10, 8, 9, 8], rows)


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


def _clusters_text(numbers: dict) -> str:
    """Clusters as a text table."""
    head = ["cluster", "members", "faint", "parallax", "gaia", "fitted", "pull"]
    rows = [[*head, "[Fe/H]", "known", "E", "known"]]
    for name, entry in numbers.items():
        cells: list[object] = [name, entry["n_member"], entry["gaia"]["n"]]
        cells.append(f"{entry['parallax']:.3f}")
        numbers_of = [entry[kind]["scatter"] for kind in ("gaia", "fitted")]
        numbers_of.append(entry["fitted"]["pull"])
        for label in ("feh", "extinction"):
            numbers_of += [entry[label]["median"], entry[label]["literature"]]
        cells += ["" if value is None else f"{value:.3f}" for value in numbers_of]
        rows.append(cells)
    title = (
        "gaia, fitted: scatter of parallaxes of members whose measured one is uncertain by more "
        "than a fifth\n(mas; ZGR23, fig. 19); known: [Fe/H] and E(B-V) of Harris (2010)\n"
    )
    return title + shared.text_table([12, 8, 7, 9, 8, 8, 7, 8, 8, 8, 8], rows)


def _cells(name: str, numbers: dict, *columns: str) -> list[str]:
    """Numbers in the unit of a quantity, with as many digits as are meaningful, and the pull."""
    digits = quantity(name).digits
    return [f"{numbers[k]:.{digits}f}" for k in columns] + [f"{numbers['pull']:.2f}"]
