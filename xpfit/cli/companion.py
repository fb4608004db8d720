"""Train and use other models of the same spectra, which give independent estimates."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import vstack

from ..catalogue import write_catalogue
from ..catalogue.companion_columns import companion_table
from ..companion import KINDS, UncertainNetwork, load_companion, save_companion
from ..errors import InputError
from ..prepare import iterate_file, read_spectra, sampled_space
from . import options as shared
from .parser import TABLES, Parser
from .resume import CHECKPOINT_SUFFIX, only_training, resumable


def add(command: Parser) -> None:
    """Add the command's verbs and their arguments."""
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, add_arguments, work, text in (
        ("train", _add_train, _train, "Train a companion on labelled spectra."),
        ("predict", _add_predict, _predict, "Write a companion's estimates for spectra."),
        ("card", _add_card, _card, "Show how a companion was trained."),
    ):
        verb = verbs.add_parser(
            name, help=text, description=text, formatter_class=command.formatter_class
        )
        add_arguments(verb)
        verb.set_defaults(work=work)


def run(options: argparse.Namespace) -> None:
    """Run the verb."""
    options.work(options)


def _add_train(command: Parser) -> None:
    """Add arguments of ``xpfit companion train``."""
    command.option("spectra SPECTRA", "the APOGEE-XP library, or prepared spectra with labels")
    command.option("--kind", "which companion", required=True, choices=tuple(KINDS))
    command.option("--output COMPANION.h5", "file to write", required=True)
    command.option(
        "--labels LABELS",
        "labels to learn, comma-separated (default: Teff, [Fe/H], log g, and [alpha/M] for "
        "uncertain)",
    )
    command.option(
        "--colours",
        "for uncertain: the paper's colours (BP-RP, J-H, H-W2, W1-W2) as inputs in place of bands, "
        "and extinction-corrected pseudo-absolute magnitudes",
    )
    command.option("--n-epochs N", "length of the training", type=int)
    command.common("wavelength", "exclude", "seed", "overwrite", "quiet")


def _add_predict(command: Parser) -> None:
    """Add arguments of ``xpfit companion predict``."""
    command.common("spectra", "output", "seed", *TABLES, "overwrite", "quiet")
    command.option("--companion COMPANION.h5", required=True)


def _add_card(command: Parser) -> None:
    """Add arguments of ``xpfit companion card``."""
    command.option("companion COMPANION.h5")


def _train(options: argparse.Namespace) -> None:
    """Train a companion and write it, in the only process that does so."""
    checkpoint = Path(f"{options.output}{CHECKPOINT_SUFFIX}")
    shared.check_outputs(options, options.output)
    shared.check_outputs(options, checkpoint, overwrite=True)
    with only_training(options):
        _train_alone(options, checkpoint)


def _train_alone(options: argparse.Namespace, checkpoint: Path) -> None:
    """Train a companion and write it."""
    space = None if options.wavelength is None else sampled_space(options.wavelength)
    spectra = shared.without_excluded(options, read_spectra(options.spectra, space=space))
    kind = KINDS[options.kind]
    settings = kind.settings_kind()
    if options.n_epochs is not None:
        settings = replace(settings, n_epochs=options.n_epochs)
    if options.colours:
        if kind is not UncertainNetwork:
            raise InputError(f"--colours is for --kind {UncertainNetwork.kind}")
        settings = replace(settings, colours=True)
    labels = shared.label_names(options)
    companion = kind(**({"label_names": list(labels)} if labels else {}), settings=settings)
    start = time.perf_counter()
    with resumable(f"rerun the same command to resume from {checkpoint}", checkpoint):
        companion.fit(
            spectra,
            rng=np.random.default_rng(options.seed),
            progress=not options.quiet,
            checkpoint=checkpoint,
        )
    companion.card_ |= {
        "spectra": Path(options.spectra).name,
        "seed": options.seed,
        # Of the last part only, if it was interrupted.
        "seconds_to_train": round(time.perf_counter() - start, 1),
    }
    save_companion(companion, options.output, overwrite=options.overwrite)
    checkpoint.unlink(missing_ok=True)
    shared.say(options, f"wrote {options.output}, trained on {companion.card_['n_stars']} stars")


def _predict(options: argparse.Namespace) -> None:
    """Predict and write."""
    shared.check_catalogue(options)
    companion, tables = load_companion(options.companion), shared.joined_tables(options)
    correction, basis = shared.correction_of(options, tables), shared.basis_of(options)
    how = {"model": companion, "correction": correction, "basis": basis}
    how["release"] = options.release
    parts = (part for path in options.spectra for part in iterate_file(path, **how))
    table = vstack(
        [
            companion_table(companion, spectra, options.seed)
            for spectra in shared.progress(options, map(tables.apply, parts))
        ]
    )
    write_catalogue(table, options.output, overwrite=options.overwrite)
    shared.say(options, f"wrote {len(table)} stars to {options.output}")


def _card(options: argparse.Namespace) -> None:
    """Print how a companion was trained."""
    card = load_companion(options.companion).card_
    history = card.pop("history", [])
    if history:
        card["last losses (training, validation)"] = history[-1]
    if not card:
        raise InputError(f"{options.companion}: this file has no card")
    print(json.dumps(card, indent=2))
