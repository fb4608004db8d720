"""Fit stellar parameters to XP spectra, and write a catalogue.

Of several files, those that cannot be read are refused, and the others are fitted; the exit status
is then 3, and the last line counts them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain

import numpy as np
from astropy.table import Table
from tqdm.auto import tqdm

from .. import catalogue
from ..catalogue.pipeline import Pipeline
from ..data import has_flag
from ..errors import InputError
from ..files import existing_file
from ..fit import FitStatus
from ..quality import FitFlag, QualityFlag, is_reliable
from . import options as shared
from .parser import COMPANIONS, FIT_MODEL, TABLES, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.common("inputs", "output", *FIT_MODEL, *TABLES)
    command.common("jobs", default=-1)
    shared.add_fit_settings(command)
    command.common("distance-prior", *COMPANIONS, "overwrite", "quiet")


def run(options: argparse.Namespace) -> int:
    """Fit spectra and write the catalogue."""
    shared.check_catalogue(options)
    pipeline = shared.make_pipeline(options, options.inputs)
    for path in options.inputs:
        existing_file(path)
    tables, refused = [], []
    for path in options.inputs:
        try:
            tables += list(_tables(options, pipeline, path, refused))
        except InputError as error:
            if len(options.inputs) == 1:
                raise
            refused.append(error)
            print(f"refused: {error}", file=sys.stderr)
    if not tables:
        raise refused[0]
    pipeline.additions.check_joins()
    table = catalogue.join_tables(tables)
    catalogue.write_catalogue(table, options.output, overwrite=options.overwrite)
    shared.say(options, _summary(table), f"wrote {options.output}")
    n = len(refused)
    text = f"finished, with refusals: {n} of {len(options.inputs)} files in whole or in part"
    return shared.with_refusals(f"{text} not in the catalogue" if n else "")


def _tables(options, pipeline: Pipeline, path: str, lost: list) -> Iterator[Table]:
    """Rows of the stars of a file; what of it could not be read goes to `lost`."""
    n_before = len(lost)
    parts = pipeline.spectra(path, on_loss=lost.append)
    first = next(parts)  # an error in the input comes before the progress bar
    with tqdm(unit="star", disable=options.quiet) as bar:
        for spectra in chain([first], parts):
            bar.total = (bar.total or 0) + len(spectra)
            yield pipeline.table(spectra, progress=bar)
    for message in lost[n_before:]:
        print(f"lost: {message}", file=sys.stderr)


def _summary(table: Table) -> str:
    """Counts of fitted and flagged stars."""
    reliable = is_reliable(table["quality_flags"], table["fit_flags"])
    n_fitted = int(np.sum(table["status"] != FitStatus.NOT_FITTED))
    lines = [f"{len(table)} stars, {n_fitted} fitted, {int(reliable.sum())} of them reliable"]
    lines += _of_parallaxes(table, n_fitted)
    for column, flags in (("quality_flags", QualityFlag), ("fit_flags", FitFlag)):
        for flag in flags:
            count = int(has_flag(table[column], flag).sum())
            if count:
                lines.append(f"  {count:6d}  {flag.name.lower().replace('_', ' ')}")
    return "\n".join(lines)


def _of_parallaxes(table: Table, n_fitted: int) -> list[str]:
    """What the fits did with observed parallaxes, in a line; nothing if there was nothing to do."""
    measured = np.isfinite(table["gaia_parallax"]) & (table["status"] != FitStatus.NOT_FITTED)
    n = int(measured.sum())
    if table.meta["ABSOLUTE"]:
        return [f"parallaxes: {n} from spectrum and Gaia, {n_fitted - n} from the spectrum alone"]
    return [f"the parallaxes of {n} stars were not used"] if n else []
