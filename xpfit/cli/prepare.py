"""Prepare spectra once, for repeated fits and trainings."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..data.preparation import XPSettings
from ..data.space import ObservationSpace
from ..data.spectra import Spectra
from ..dust import load_dust_map
from ..errors import InputError
from ..model.store import load_model
from ..prepare import TrainingCuts, iterate_file, sampled_space, write_spectra
from ..prepare.store.hdf5 import store_format
from . import options as shared
from .labels import SCALE_FILES, LabelTables, add_label_options
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
    add_label_options(command)
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
    label_tables = LabelTables(options)
    shared.check_outputs(options, options.output)
    if options.label_scales:
        shared.make_directory(options, options.label_scales, SCALE_FILES)
    store_format(options.output)
    space = _space(options)
    model = load_model(options.model) if options.model or space is None else None
    settings = None
    if options.truncate:
        trained = model.preparation.settings_of(XPSettings) if model else XPSettings()
        settings = replace(trained, truncate=True)
    astrometry = shared.astrometry_of(options)
    labels = label_tables.read(astrometry)
    tables = shared.joined_tables(
        options,
        astrometry=astrometry,
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
    with shared.saving_files(options, Path(options.label_scales or ""), label_tables.files()):
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
