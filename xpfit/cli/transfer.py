"""Recalibrate a model to the flux of another release, with stars that both have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..catalogue import read_catalogue
from ..data import Spectra
from ..model import XPModel
from ..model.store import load_model
from ..plots.recalibration import recalibration_figure
from ..prepare import read_spectra
from ..quality.common_stars import known_from_catalogue
from ..quality.transfer import transfer_model
from ..read import read_table
from . import options as shared
from .parser import TABLES, Parser

FIGURE_NAME = "recalibration.png"


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("model MODEL.h5", "model of the old release, in sampled space")
    command.common("spectra")
    command.option("--output NEW.h5", "model file to write", required=True)
    command.option(
        "--catalogue FITTED",
        "catalogue of fits of the same stars' old spectra, by MODEL.h5 (default: the labels, "
        "extinctions and parallaxes of SPECTRA)",
    )
    command.option("--plots DIR", f"directory for {FIGURE_NAME}: the factor, and residuals")
    command.common(*TABLES, "seed", "jobs", "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Transfer a model and write it."""
    shared.check_outputs(options, options.output)
    plots = shared.make_directory(options, options.plots, [FIGURE_NAME]) if options.plots else None
    model = load_model(options.model)
    spectra = _read(options, model)
    known = None
    if options.catalogue:
        crosswalk = read_table(options.crosswalk) if options.crosswalk else None
        catalogue = read_catalogue(options.catalogue)
        catalogue.meta["path"] = options.catalogue  # for messages
        known = known_from_catalogue(model, spectra.source_id, catalogue, crosswalk)
    new, report = transfer_model(
        model,
        spectra,
        known,
        seed=options.seed,
        n_jobs=options.jobs,
        progress=not options.quiet,
    )
    figures = {FIGURE_NAME: recalibration_figure(report)} if plots else {}
    with shared.saving_files(options, plots or Path(), figures):
        new.save(options.output, overwrite=options.overwrite)
    shared.say(options, report, f"wrote {options.output}")


def _read(options: argparse.Namespace, model: XPModel) -> Spectra:
    """All spectra, prepared for the model, with the tables joined."""
    additions = shared.joined_tables(options)
    how = {"model": model, "basis": shared.basis_of(options)}
    parts = [additions.apply(read_spectra(path, **how)) for path in options.spectra]
    additions.check_joins()
    return Spectra.concatenate(parts)
