"""``xpfit train-confidence``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ..data.spectra import Spectra
from ..errors import InputError
from ..files import atomic_output, check_output, output_directory
from ..fit import Fitter
from ..model.store import load_model
from ..plots.reliability import reliability_figure
from ..prepare import read_spectra
from ..quality import CONFIDENCE_LABELS, judge, labelled_fits, train_confidence
from ..quality.training import with_report
from ..read import read_source_ids
from .options import add_command

FIGURE_NAME = "reliability.png"
REPORT_NAME = "confidence.json"


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "train-confidence",
        _train_confidence,
        "Train the classifiers that say which of a model's fits to trust (ZGR23, section 4.4).",
    )
    command.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="spectra of stars with known labels: the APOGEE-XP library, or prepared spectra",
    )
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    command.add_argument(
        "--output", required=True, metavar="CONFIDENCE.h5", help="classifiers to write"
    )
    command.add_argument(
        "--exclude",
        metavar="IDS",
        help="source ids never to train on: text, one a line, or a table with ids",
    )
    command.add_argument("--jobs", type=int, default=-1, help="threads for the fits; -1 for all")
    command.add_argument("--seed", type=int, default=1, help="seed of all randomness")
    command.add_argument(
        "--report", metavar="DIR", help=f"directory for {FIGURE_NAME} and {REPORT_NAME}"
    )


def _train_confidence(options: argparse.Namespace) -> None:
    """Fit stars with known labels, and learn which fits agree with them."""
    check_output(options.output, overwrite=options.overwrite)
    directory = output_directory(options.report) if options.report else None
    if directory:
        for name in (FIGURE_NAME, REPORT_NAME):
            check_output(directory / name, overwrite=options.overwrite)
    model = load_model(options.model)
    spectra = _read(options, model)
    result = Fitter(model, n_jobs=options.jobs).fit(spectra, not options.quiet)
    stars = labelled_fits(model, spectra, result)
    confidence, held_out = train_confidence(
        model, stars, np.random.default_rng(options.seed), progress=not options.quiet
    )
    report = judge(confidence, held_out)
    with_report(confidence, report).save(options.output, overwrite=options.overwrite)
    if directory:
        with atomic_output(directory / REPORT_NAME, overwrite=options.overwrite) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        with atomic_output(directory / FIGURE_NAME, overwrite=options.overwrite) as part:
            reliability_figure(report).savefig(part, dpi=200)
    if not options.quiet:
        print(_report_text(report))
        print(f"wrote {options.output}")


def _read(options: argparse.Namespace, model) -> Spectra:
    """Stars of all inputs, without those to be left out."""
    parts = [read_spectra(path, model=model) for path in options.inputs]
    spectra = Spectra.concatenate(parts)
    if options.exclude:
        keep = ~np.isin(spectra.source_id, read_source_ids(options.exclude))
        spectra = spectra[np.flatnonzero(keep)]
    if not len(spectra):
        raise InputError(f"{Path(options.inputs[0]).name}: no stars are left to train on")
    return spectra


def _report_text(report: dict) -> str:
    """How the classifiers do on held-out stars, as a table for people."""
    lines = [
        f"{'held-out stars':16}{'confident':>10}{'others':>8}{'scatter':>10}{'others':>10}"
        f"{'Brier':>8}{'(mean)':>8}"
    ]
    for label in CONFIDENCE_LABELS:
        entry = report[label]
        unit = 1000.0 if label == "teff" else 1.0
        digits = 0 if label == "teff" else 3
        lines.append(
            f"{label:16}{entry['n_confident']:10d}{entry['n_others']:8d}"
            f"{unit * entry['scatter_confident']:10.{digits}f}"
            f"{unit * entry['scatter_others']:10.{digits}f}"
            f"{entry['brier']:8.3f}{entry['brier_of_the_mean']:8.3f}"
        )
    return "\n".join(lines)
