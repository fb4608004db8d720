"""Train the classifiers of a model's reliable fits (ZGR23, section 4.4)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data import Spectra
from ..errors import InputError
from ..fit import Fitter
from ..model import XPModel
from ..model.store import load_model
from ..plots import reliability_figure
from ..prepare import read_spectra
from ..quality import CONFIDENCE_LABELS, calibration_report, train_confidence
from ..quality.labelled import with_negatives, without_parallaxes
from ..quality.training import with_report
from ..quantities import quantity
from . import options as shared
from .parallaxes import add_parallaxes, with_parallaxes
from .parser import FIT_MODEL, Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_NAME, REPORT_NAME = "reliability.png", "confidence.json"


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "inputs INPUT",
        "spectra of stars with known labels: the APOGEE-XP library, or prepared spectra",
        nargs="+",
    )
    command.option("--output CONFIDENCE.h5", "classifiers to write", required=True)
    command.option("--report DIR", f"directory for {FIGURE_NAME} and {REPORT_NAME}")
    add_parallaxes(command)
    command.common("jobs", default=-1)
    command.common(*FIT_MODEL, "exclude", "seed", "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Fit stars with known labels, and learn which fits agree with them."""
    shared.check_outputs(options, options.output)
    if options.report:
        shared.make_directory(options, options.report, (FIGURE_NAME, REPORT_NAME))
    model = load_model(options.model, shapes_only=options.shapes_only)
    spectra = _read(options, model)
    fitter, rng = Fitter(model, n_jobs=options.jobs), np.random.default_rng(options.seed)
    result = fitter.fit(without_parallaxes(spectra), not options.quiet)
    stars = with_negatives(fitter, spectra, result, rng, progress=not options.quiet)
    confidence, held_out = train_confidence(model, stars, rng, progress=not options.quiet)
    report = calibration_report(confidence, held_out)
    files: dict[str, Figure | dict] = {}
    if options.report:
        files = {REPORT_NAME: report, FIGURE_NAME: reliability_figure(report)}
    with shared.saving_files(options, Path(options.report or ""), files):
        with_report(confidence, report).save(options.output, overwrite=options.overwrite)
    shared.say(options, _report_text(report), f"wrote {options.output}")


def _read(options: argparse.Namespace, model: XPModel) -> Spectra:
    """Stars of all inputs that are not excluded."""
    parts = [read_spectra(path, model=model) for path in options.inputs]
    spectra = shared.without_excluded(options, Spectra.concatenate(parts))
    spectra, held_out = with_parallaxes(options, spectra)
    spectra = spectra[np.flatnonzero(~np.isin(spectra.source_id, held_out))]
    if not len(spectra):
        raise InputError(f"{Path(options.inputs[0]).name}: no stars are left to train on")
    return spectra


def _report_text(report: dict) -> str:
    """How the classifiers do on held-out stars, as a text table."""
    rows = [["held-out stars", "confident", "others", "scatter", "others", "Brier", "(mean)"]]
    for label in CONFIDENCE_LABELS:
        entry, digits = report[label], quantity(label).digits
        cells = [entry["n_confident"], entry["n_others"]]
        cells += [f"{entry[f'scatter_{group}']:.{digits}f}" for group in ("confident", "others")]
        cells += [f"{entry[name]:.3f}" for name in ("brier", "brier_of_the_mean")]
        rows.append([label, *cells])
    return shared.text_table([16, 10, 8, 10, 10, 8, 8], rows)
