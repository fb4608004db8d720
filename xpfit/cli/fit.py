"""``xpfit fit``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm.auto import tqdm

from .. import catalogue
from ..catalogue.companion_columns import add_opinions
from ..catalogue.run.plan import model_spectra
from ..data.spectra import Spectra
from ..files import check_output
from ..fit import FitStatus, Fitter
from ..model import XPModel
from ..model.store import load_model
from ..quality import FitFlag, QualityFlag, confidence_for, is_reliable
from .options import (
    CATALOGUE_HELP,
    INPUT_HELP,
    add_command,
    add_companions,
    add_confidence,
    add_fitter,
    add_tables,
    additions,
    companion_provenance,
    companions_of,
    fitter_options,
)


def add(commands) -> None:
    """Add the command."""
    command = add_command(commands, "fit", _fit, "Fit stellar parameters to XP spectra.")
    command.add_argument("inputs", metavar="INPUT", nargs="+", help=INPUT_HELP)
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    command.add_argument("--output", required=True, metavar="OUT", help=CATALOGUE_HELP)
    add_confidence(command)
    add_tables(command)
    command.add_argument(
        "--jobs",
        type=int,
        default=-1,
        help="threads to work in (processes for scipy); -1 for one per processor",
    )
    add_fitter(command)
    add_companions(command)


def _fit(options: argparse.Namespace) -> None:
    """Fit spectra and write the catalogue."""
    check_output(options.output, overwrite=options.overwrite)
    catalogue.catalogue_format(options.output)
    model = load_model(options.model)
    fitter = Fitter(model, n_jobs=options.jobs, **fitter_options(options))
    confidence = confidence_for(model, options.confidence)
    start, companions = companions_of(options)
    provenance = {
        "MODEL": Path(options.model).name if options.model else "default",
        "INPUT": ",".join(Path(path).name for path in options.inputs),
        "SETTINGS": json.dumps(fitter.settings, sort_keys=True),
        **companion_provenance(options),
    }
    extra, tables = additions(options), []
    parts = _parts(options.inputs, model)
    first = next(parts)  # what is wrong with the input is said before a progress bar stands there
    with tqdm(unit="star", disable=options.quiet) as bar:
        for part in chain([first], parts):
            spectra = extra.apply(part)
            bar.total = (bar.total or 0) + len(spectra)
            guesses = start and start.guesses(spectra, model.label_names)
            result = fitter.fit(spectra, bar, guesses)
            table = catalogue.result_table(
                model, spectra, result, confidence, provenance=provenance
            )
            add_opinions(table, spectra, companions)
            tables.append(table)
    table = catalogue.join_tables(tables)
    catalogue.write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(_fit_summary(table))
        print(f"wrote {options.output}")


def _parts(paths: Sequence[str], model: XPModel) -> Iterator[Spectra]:
    """Spectra of all files, as the model wants them, a few at a time."""
    for path in paths:
        yield from model_spectra(model, path)


def _fit_summary(table: Table) -> str:
    """Counts of fitted and flagged stars."""
    reliable = is_reliable(table["quality_flags"], table["fit_flags"])
    n_fitted = int(np.sum(table["status"] != FitStatus.NOT_FITTED))
    lines = [f"{len(table)} stars, {n_fitted} fitted, {int(reliable.sum())} of them unflagged"]
    for column, flags in (("quality_flags", QualityFlag), ("fit_flags", FitFlag)):
        for flag in flags:
            count = int(np.sum((table[column] & int(flag)) != 0))
            if count:
                lines.append(f"  {count:6d}  {flag.name.lower().replace('_', ' ')}")
    return "\n".join(lines)
