"""Tell variable stars from constant ones by their epoch spectra, and fit each epoch.

The epochs of a star are compared with their mean, with the exact covariances: all values together,
and changes of brightness and of temperature by themselves, which finds much smaller ones. Each
epoch is fitted with the parameters of the star's mean spectrum held but for those of --free; to
fit every epoch with all labels free, give the same file to 'xpfit fit'.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from itertools import chain

import numpy as np
from astropy.table import vstack

from ..catalogue import catalogue_format, write_catalogue
from ..constraints import BETWEEN_0_AND_1, require
from ..epochs.directions import columns_of
from ..epochs.fit import FREE
from ..epochs.read import iterate_epochs
from ..epochs.table import FALSE_ALARMS, EpochFlag, epoch_table, star_table, study_stars
from ..files import atomic_output
from ..model.store import load_model
from . import options as shared
from .parser import Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "spectra SPECTRA",
        "epoch spectra: the columns of XP continuous spectra, one row for each transit, with "
        "obs_time (BJD in TCB) and transit_id (CSV, ECSV, FITS, VOTable, HDF5; gzipped or zipped "
        "or not)",
        nargs="+",
    )
    command.common("output", "model", "basis")
    command.option("--epoch-table OUT", "write another table with one row for each epoch")
    command.option(
        "--free NAMES",
        "parameters that may differ between the epochs of a star: labels, extinction, amplitude",
        default=",".join(FREE),
    )
    command.option(
        "--false-alarms RATE",
        "fraction of the constant stars that may be flagged as variable",
        default=FALSE_ALARMS,
    )
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Compare and fit the epochs of all stars, and write the tables."""
    shared.check_catalogue(options)
    if options.epoch_table:
        shared.check_outputs(options, options.output, options.epoch_table)
        catalogue_format(options.epoch_table)
    require("--false-alarms", options.false_alarms, BETWEEN_0_AND_1)
    model = load_model(options.model)
    free = tuple(name.strip() for name in options.free.split(","))
    columns_of(model, free)
    basis = shared.basis_of(options)
    stars = chain.from_iterable(iterate_epochs(path, model, basis) for path in options.spectra)
    of_stars, of_epochs = [], []
    for studied in shared.progress(options, study_stars(model, stars, free)):
        of_stars.append(star_table(studied, options.false_alarms))
        if options.epoch_table:
            of_epochs.append(epoch_table(studied))
    table = vstack(of_stars)
    table.meta["MODELID"] = model.fingerprint
    with ExitStack() as both:
        if options.epoch_table:
            whole = atomic_output(options.epoch_table, overwrite=options.overwrite)
            write_catalogue(vstack(of_epochs), both.enter_context(whole))
        write_catalogue(table, options.output, overwrite=options.overwrite)
    variable = int(np.sum(table["flags"] & EpochFlag.VARIABLE > 0))
    shared.say(options, f"wrote {len(table)} stars to {options.output}; {variable} are variable")
