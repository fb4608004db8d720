"""Simulate a survey with known truth: spectra, parallaxes and labels to train and fit on."""

from __future__ import annotations

import argparse

import numpy as np

from ..files import check_output
from ..model.store import load_model
from ..prepare import read_spectra
from ..simulate import SurveySettings, iterate_survey, write_survey
from ..simulate.galaxy import iterate_mock
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument("--n", type=int, required=True, metavar="N", help="number of stars")
    shared.add_seed(command)
    command.add_argument(
        "--output",
        required=True,
        metavar="FILE.h5",
        help="prepared spectra, with the truth; or the catalogue",
    )
    command.add_argument(
        "--catalogue",
        action="store_true",
        help="write a catalogue of estimates in a known dust field instead, without spectra and "
        "fits, to try maps and reports on (Parquet for many stars)",
    )
    shared.add_model(command, "model of the spectra, in sampled space")
    command.add_argument(
        "--library",
        metavar="FILE",
        help="spectra whose labels are the types to draw from (default: the model's prior, which "
        "was learned from real stars)",
    )
    defaults = SurveySettings()
    for option, name, text in (
        ("--binaries", "binary_fraction", "fraction of the dwarfs that have a companion star"),
        ("--wrong-labels", "wrong_label_fraction", "fraction of stars with another star's labels"),
        ("--mean-extinction", "mean_extinction", "mean E in mag"),
        ("--label-errors", "label_err", "factor on LAMOST-like errors of the labels"),
    ):
        command.add_argument(
            option, dest=name, type=float, default=getattr(defaults, name), help=text
        )
    command.add_argument(
        "--g-limits",
        nargs=2,
        type=float,
        default=defaults.g_limits,
        metavar=("BRIGHT", "FAINT"),
        help="range of G magnitudes",
    )


def run(options: argparse.Namespace) -> None:
    """Simulate and write a survey."""
    check_output(options.output, overwrite=options.overwrite)
    if options.catalogue:
        _simulate_catalogue(options)
        return
    settings = SurveySettings(
        binary_fraction=options.binary_fraction,
        wrong_label_fraction=options.wrong_label_fraction,
        mean_extinction=options.mean_extinction,
        label_err=options.label_err,
        g_limits=tuple(options.g_limits),
    )
    model = load_model(options.model)
    types = None
    if options.library:
        labels = read_spectra(options.library).labels
        types = np.column_stack([labels[name] for name in model.label_names])
    parts = iterate_survey(model, options.n, np.random.default_rng(options.seed), settings, types)
    watched = shared.progress(options, parts, lambda part: len(part.spectra), options.n)
    n_star = write_survey(watched, model, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {n_star} stars to {options.output}")


def _simulate_catalogue(options: argparse.Namespace) -> None:
    """Simulate and write a catalogue."""
    parts = iterate_mock(load_model(options.model), options.n, np.random.default_rng(options.seed))
    watched = shared.progress(options, parts, total=options.n)
    shared.save_catalogue(watched, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {options.n} stars to {options.output}")
