"""Prepare spectra once, for repeated fits and trainings."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace

from astropy.table import Table

from ..data.preparation import XPSettings
from ..data.space import ObservationSpace
from ..data.spectra import Spectra
from ..dust import load_dust_map
from ..errors import InputError
from ..model.store import load_model
from ..prepare import TrainingCuts, iterate_file, sampled_space, write_spectra
from ..prepare.labels import LABEL_EPOCH
from ..prepare.store.hdf5 import store_format
from ..read import read_apogee, read_labels, read_lamost
from . import options as shared
from .parser import DEFAULT_MODEL, TABLES, Parser, wavelength_grid


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.common("inputs")
    command.option("--output OUT", "file to write: OUT.h5 or OUT.parquet", required=True)
    command.option(
        "--space",
        "observation space: flux at wavelengths (ZGR23's, or those of --wavelength), or Gaia's "
        "coefficients (default: the model's)",
        choices=("sampled", "coefficient"),
    )
    command.option(
        "--model MODEL.h5",
        f"prepare the spectra as those that this model was trained on {DEFAULT_MODEL}",
    )
    command.common("wavelength")
    command.option(
        "--sampling START:STOP:STEP",
        "wavelengths in nm of sampled spectra, both ends included, for files that do not state "
        "them (the archive's are known)",
        type=wavelength_grid,
    )
    command.option("--truncate", "use only the coefficients that Gaia found relevant")
    command.common(*TABLES)
    command.option("--labels TABLE", "labels of a survey, to train on")
    command.option(
        "--survey",
        "whose table that is: APOGEE's allStar (DR17), LAMOST's AFGK catalogue (DR8), or any",
        choices=("apogee", "lamost", "other"),
        default="other",
    )
    command.option("--hot-payne TABLE", "the Hot Payne's catalogue, for LAMOST's hot stars")
    command.option(
        "--label-columns NAME=COLUMN,...",
        "names of the columns of another table, such as teff=TEFF,feh=M_H",
    )
    command.option(
        "--label-epoch YEAR",
        "Julian year of the labels' positions, where they are joined by position",
        default=LABEL_EPOCH,
    )
    command.option(
        "--dust-map MAP",
        "estimates of E for stars whose labels have none, to train on: bayestar, sfd, edenhofer "
        "(data of the dustmaps package), a file of one of these, or a table with source_id, E and "
        "E_err (see docs/dust.md)",
    )
    command.option(
        "--training-cuts", "keep only stars good enough to train on (ZGR23, section 2.5)"
    )
    command.common("overwrite", "quiet")


def _labels(options: argparse.Namespace) -> Table | None:
    """The table of labels that the options name."""
    if options.hot_payne and options.survey != "lamost":
        raise InputError("--hot-payne goes with --survey lamost")
    if options.label_columns and options.survey != "other":
        raise InputError("--label-columns is for tables of other surveys")
    if not options.labels:
        if options.hot_payne or options.label_columns:
            raise InputError("give the table of labels with --labels")
        return None
    if options.survey == "apogee":
        return read_apogee(options.labels)
    if options.survey == "lamost":
        return read_lamost(options.labels, options.hot_payne)
    pairs = [pair.partition("=") for pair in (options.label_columns or "").split(",") if pair]
    return read_labels(options.labels, {name: column for name, _, column in pairs})


def _space(options: argparse.Namespace) -> ObservationSpace | str | None:
    """Observation space that the options ask for; None for the model's."""
    if options.wavelength is not None:
        if options.space == "coefficient":
            raise InputError(
                "--wavelength is for sampled space; leave it out with --space coefficient"
            )
        return sampled_space(options.wavelength)
    return options.space


def run(options: argparse.Namespace) -> None:
    """Prepare files of spectra into one."""
    shared.check_outputs(options, options.output)
    store_format(options.output)
    space = _space(options)
    model = load_model(options.model) if options.model or space is None else None
    settings = None
    if options.truncate:
        trained = model.preparation.settings_of(XPSettings) if model else XPSettings()
        settings = replace(trained, truncate=True)
    labels = _labels(options)
    tables = shared.joined_tables(
        options,
        labels=labels,
        epoch=options.label_epoch,
        cuts=TrainingCuts() if options.training_cuts else None,
        dust_map=load_dust_map(options.dust_map) if options.dust_map else None,
    )

    how = {
        "model": model,
        "space": space,
        "settings": settings,
        "correction": shared.correction_of(options, tables),
        "sampling": options.sampling,
        "release": options.release,
        "basis": shared.basis_of(options),
    }

    def parts() -> Iterator[Spectra]:
        for path in options.inputs:
            for part in iterate_file(path, **how):
                yield tables.apply(part)
        tables.check_joins()

    watched = shared.progress(options, parts())
    n_star = write_spectra(watched, options.output, overwrite=options.overwrite)
    if labels is not None and not tables.n_labelled:
        warnings.warn("none of these stars is in the table of labels", stacklevel=1)
    if not options.quiet:
        counts = {**(labels.meta["removed"] if labels is not None else {}), **tables.removed}
        if labels is not None:
            print(f"  {tables.n_labelled:8d} stars with labels")
        for what, count in tables.dust_counts.items():
            print(f"  {count:8d} E of {options.dust_map}: {what}")
        for reason, count in counts.items():
            print(f"  {count:8d} left out: {reason}")
        print(f"wrote {n_star} stars to {options.output}")
