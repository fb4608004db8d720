"""Simulate a survey with known truth: spectra, parallaxes and labels to train and fit on."""

from __future__ import annotations

import argparse

import numpy as np

from ..errors import InputError, OutputError
from ..model.store import load_model
from ..prepare import read_spectra
from ..prepare.store.hdf5 import store_format
from ..simulate import SurveySettings, iterate_survey, write_survey
from ..simulate.galaxy import iterate_mock
from . import options as shared
from .parser import DEFAULT_MODEL, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option("--n N", "number of stars", type=int, required=True)
    command.option(
        "--output FILE.h5", "prepared spectra, with the truth; or the catalogue", required=True
    )
    command.option(
        "--catalogue",
        "write a catalogue of estimates in a known dust field instead, without spectra and fits, "
        "to try maps and reports on (Parquet for many stars)",
    )
    command.option("--model MODEL.h5", f"model of the spectra, in sampled space {DEFAULT_MODEL}")
    command.option(
        "--library FILE",
        "spectra whose labels are the types to draw from (default: the model's prior, which was "
        "learned from real stars)",
    )
    defaults = SurveySettings()
    for usage, name, text in (
        (
            "--binaries FRACTION",
            "binary_fraction",
            "fraction of the dwarfs that have a companion star",
        ),
        (
            "--wrong-labels FRACTION",
            "wrong_label_fraction",
            "fraction of stars with another star's labels",
        ),
        ("--mean-extinction MAG", "mean_extinction", "mean E in mag"),
        ("--label-errors FACTOR", "label_err", "factor on LAMOST-like errors of the labels"),
    ):
        command.option(usage, text, dest=name, default=getattr(defaults, name))
    command.option(
        "--g-limits",
        "range of G magnitudes",
        metavar=("BRIGHT", "FAINT"),
        nargs=2,
        type=float,
        default=defaults.g_limits,
    )
    command.common("seed", "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Simulate and write a survey."""
    if options.catalogue:
        shared.check_catalogue(options)
        _simulate_catalogue(options)
        return
    shared.check_outputs(options, options.output)
    if store_format(options.output) != "HDF5":
        raise OutputError(f"{options.output}: simulated surveys are HDF5 files; use .h5")
    settings = shared.settings_of(SurveySettings, options)
    model = load_model(options.model)
    types = None
    if options.library:
        labels = read_spectra(options.library).labels
        if missing := [name for name in model.label_names if name not in labels]:
            raise InputError(
                f"{options.library}: no labels {', '.join(missing)} to draw types from; "
                "give spectra with labels (xpfit prepare --labels), or leave out --library"
            )
        types = np.column_stack([labels[name] for name in model.label_names])
    parts = iterate_survey(model, options.n, np.random.default_rng(options.seed), settings, types)
    watched = shared.progress(options, parts, lambda part: len(part.spectra), options.n)
    n_star = write_survey(watched, model, options.output, overwrite=options.overwrite)
    shared.say(options, f"wrote {n_star} stars to {options.output}")


def _simulate_catalogue(options: argparse.Namespace) -> None:
    """Simulate and write a catalogue."""
    parts = iterate_mock(load_model(options.model), options.n, np.random.default_rng(options.seed))
    watched = shared.progress(options, parts, total=options.n)
    shared.save_catalogue(options, watched)
    shared.say(options, f"wrote {options.n} stars to {options.output}")
