"""``xpfit binaries``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from tqdm.auto import tqdm

from ..catalogue import catalogue_format, write_catalogue
from ..catalogue.run.plan import model_spectra
from ..errors import InputError
from ..files import atomic_output, check_output
from ..fit import Fitter
from ..fit.binary import fit_binaries
from ..model.store import load_model
from ..plots.binaries import detection_figure
from ..read.tables import match_ids
from ..simulate import read_truth, survey_ids
from ..validate.binaries import FALSE_ALARM_RATE, detection
from .options import CATALOGUE_HELP, INPUT_HELP, add_command, add_tables, additions


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "binaries",
        _binaries,
        "Fit two stars to each spectrum, and compare with one: which sources are binaries?",
    )
    command.add_argument("spectra", metavar="SPECTRA", nargs="+", help=INPUT_HELP)
    command.add_argument("--output", required=True, metavar="TABLE", help=CATALOGUE_HELP)
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    command.add_argument("--jobs", type=int, default=1, help="threads of the fits of single stars")
    add_tables(command)
    command.add_argument(
        "--truth",
        metavar="SURVEY.h5",
        help="the simulated survey that the spectra are of: completeness and false alarms",
    )
    command.add_argument(
        "--figure", metavar="FILE", help="of completeness and false alarms (.png, .pdf, .svg)"
    )


def _binaries(options: argparse.Namespace) -> None:
    """Fit two stars to each spectrum, and write what came out."""
    catalogue_format(options.output)
    check_output(options.output, overwrite=options.overwrite)
    if options.figure:
        if not options.truth:
            raise InputError("--figure shows completeness, which needs --truth")
        check_output(options.figure, overwrite=options.overwrite)
    model, extra = load_model(options.model), additions(options)
    fitter = Fitter(model, n_jobs=options.jobs)
    tables = []
    with tqdm(unit="star", disable=options.quiet) as bar:
        for path in options.spectra:
            for part in model_spectra(model, Path(path)):
                part = extra.apply(part)
                result = fitter.fit(part, progress=False)
                table = fit_binaries(model, part, result).table()
                unknown = np.full(len(part), np.nan)
                table["phot_g_mean_mag"] = part.gaia.get("phot_g_mean_mag", unknown)
                tables.append(table)
                bar.update(len(part))
    table = vstack(tables)
    table.meta["MODELID"] = model.fingerprint
    write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        evident = int(np.sum(table["delta_bic"] > 0))
        print(f"wrote {len(table)} sources to {options.output}; {evident} with delta_bic > 0")
    if options.truth:
        _judge(options, table)


def _judge(options: argparse.Namespace, table: Table) -> None:
    """Completeness and false alarms, printed and drawn."""
    ids, truth = survey_ids(options.truth), read_truth(options.truth)
    rows, matched = match_ids(np.asarray(table["gdr3_source_id"]), ids, "the survey")
    if not matched.any():
        raise InputError(f"{options.truth}: none of the sources is in this survey")
    arguments = (
        np.asarray(table["delta_bic"])[matched],
        truth["mass_ratio"][rows[matched]],
        np.asarray(table["phot_g_mean_mag"])[matched],
    )
    print(f"at {100 * FALSE_ALARM_RATE:g} % false alarms:")
    print(json.dumps(detection(*arguments), indent=2))
    if options.figure:
        with atomic_output(options.figure, overwrite=options.overwrite) as part:
            detection_figure(*arguments).savefig(part, dpi=200)
