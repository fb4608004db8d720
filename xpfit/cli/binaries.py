"""Fit two stars to each spectrum, and compare with the fit of one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..catalogue import write_catalogue
from ..errors import InputError
from ..fit.binary import fit_binaries
from ..plots.binaries import detection_figure
from ..plots.style import figure_format
from ..read.joins import match_ids
from ..releases import id_column_of
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
    truth = read_truth(options.truth) if options.truth else None
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
    numbers, figures, problem = "", {}, None
    if truth is not None:
        try:
            compared = _compared(options, table, truth)
            numbers = json.dumps(detection(*compared), indent=2)
            figures = {options.figure: detection_figure(*compared)} if options.figure else {}
        except InputError as error:  # which is no reason to lose the table
            problem = error
    # First the files: whoever reads the numbers may close the pipe.
    with shared.saving_files(options, Path(), figures):
        write_catalogue(table, options.output, overwrite=options.overwrite)
    evident = f"{int(np.sum(table['delta_bic'] > 0))} with delta_bic > 0"
    shared.say(options, f"wrote {len(table)} sources to {options.output}; {evident}")
    if problem is not None:
        raise problem
    if numbers:
        print(f"at {100 * FALSE_ALARM_RATE:g} % false alarms:\n{numbers}")


def _compared(
    options: argparse.Namespace, table: Table, truth: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistic, true mass ratio and magnitude of the sources of the simulated survey."""
    rows, matched = match_ids(
        np.asarray(table[id_column_of(table.colnames)]), truth["source_id"], "the survey"
    )
    if not matched.any():
        raise InputError(f"{options.truth}: none of the sources is in this survey")
    return (
        np.asarray(table["delta_bic"])[matched],
        truth["mass_ratio"][rows[matched]],
        np.asarray(table["phot_g_mean_mag"])[matched],
    )
