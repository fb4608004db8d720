"""Fit two stars to each spectrum, and compare with the fit of one."""

from __future__ import annotations

import argparse
import json

import numpy as np
from astropy.table import Table, vstack

from ..catalogue import write_catalogue
from ..errors import InputError
from ..fit.binary import fit_binaries
from ..plots import save
from ..plots.binaries import detection_figure
from ..plots.style import figure_format
from ..read.joins import match_ids
from ..simulate import read_truth
from ..validate.binaries import FALSE_ALARM_RATE, detection
from . import options as shared
from .parser import FIT_MODEL, TABLES, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.common("spectra", "output", *FIT_MODEL, "jobs", *TABLES, "overwrite", "quiet")
    command.option(
        "--truth SURVEY.h5",
        "the simulated survey that the spectra are from: print completeness and false alarms",
    )
    command.option("--figure FILE", "of completeness and false alarms (.png, .pdf, .svg)")


def run(options: argparse.Namespace) -> None:
    """Fit two stars to each spectrum, and write the table."""
    shared.check_catalogue(options)
    if options.figure:
        if not options.truth:
            raise InputError("--figure shows completeness, which needs --truth")
        shared.check_outputs(options, options.output, options.figure)
        figure_format(options.figure)
    pipeline = shared.make_pipeline(options, options.spectra)
    tables = []
    parts = (part for path in options.spectra for part in pipeline.spectra(path))
    for spectra in shared.progress(options, parts):
        table = fit_binaries(pipeline.model, spectra, pipeline.fit(spectra)).table()
        unknown = np.full(len(spectra), np.nan)
        table["phot_g_mean_mag"] = spectra.gaia.get("phot_g_mean_mag", unknown)
        tables.append(table)
    table = vstack(tables)
    table.meta |= {"MODELID": pipeline.model.fingerprint, **pipeline.metadata}
    write_catalogue(table, options.output, overwrite=options.overwrite)
    evident = f"{int(np.sum(table['delta_bic'] > 0))} with delta_bic > 0"
    shared.say(options, f"wrote {len(table)} sources to {options.output}; {evident}")
    if options.truth:
        _compare_with_truth(options, table)


def _compare_with_truth(options: argparse.Namespace, table: Table) -> None:
    """Print and draw completeness and false alarms."""
    truth = read_truth(options.truth)
    rows, matched = match_ids(np.asarray(table["gdr3_source_id"]), truth["source_id"], "the survey")
    if not matched.any():
        raise InputError(f"{options.truth}: none of the sources is in this survey")
    arguments = (
        np.asarray(table["delta_bic"])[matched],
        truth["mass_ratio"][rows[matched]],
        np.asarray(table["phot_g_mean_mag"])[matched],
    )
    # First the file: whoever reads the numbers may close the pipe.
    if options.figure:
        save(detection_figure(*arguments), options.figure, overwrite=options.overwrite)
    numbers = json.dumps(detection(*arguments), indent=2)
    print(f"at {100 * FALSE_ALARM_RATE:g} % false alarms:\n{numbers}")
