"""Train the classifiers of a model's reliable fits (ZGR23, section 4.4)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..data.spectra import Spectra
from ..errors import InputError
from ..files import check_output, output_directory
from ..fit import Fitter
from ..model import XPModel
from ..model.store import load_model
from ..plots import save
from ..plots.reliability import reliability_figure
from ..prepare import read_spectra
from ..quality import (
    CONFIDENCE_LABELS,
    calibration_report,
    labelled_fits,
    train_confidence,
)
from ..quality.training import with_report
from ..quantities import quantity
from . import options as shared

FIGURE_NAME = "reliability.png"
REPORT_NAME = "confidence.json"


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="spectra of stars with known labels: the APOGEE-XP library, or prepared spectra",
    )
    shared.add_model(command)
    command.add_argument(
        "--output", required=True, metavar="CONFIDENCE.h5", help="classifiers to write"
    )
    shared.add_exclude(command)
    shared.add_jobs(command, default=-1)
    shared.add_seed(command)
    command.add_argument(
        "--report", metavar="DIR", help=f"directory for {FIGURE_NAME} and {REPORT_NAME}"
    )


def run(options: argparse.Namespace) -> None:
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
    report = calibration_report(confidence, held_out)
    with_report(confidence, report).save(options.output, overwrite=options.overwrite)
    if directory:
        shared.save_json(report, directory / REPORT_NAME, overwrite=options.overwrite)
        figure = reliability_figure(report)
        save(figure, directory / FIGURE_NAME, overwrite=options.overwrite)
    if not options.quiet:
        print(_report_text(report))
        print(f"wrote {options.output}")


def _read(options: argparse.Namespace, model: XPModel) -> Spectra:
    """Stars of all inputs that are not excluded."""
    parts = [read_spectra(path, model=model) for path in options.inputs]
    spectra = shared.without_excluded(options, Spectra.concatenate(parts))
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
        digits = quantity(label).digits
        lines.append(
            f"{label:16}{entry['n_confident']:10d}{entry['n_others']:8d}"
            f"{entry['scatter_confident']:10.{digits}f}{entry['scatter_others']:10.{digits}f}"
            f"{entry['brier']:8.3f}{entry['brier_of_the_mean']:8.3f}"
        )
    return "\n".join(lines)
