"""``xpfit companion``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import vstack
from tqdm.auto import tqdm

from ..catalogue import catalogue_format, write_catalogue
from ..catalogue.companion_columns import companion_table
from ..catalogue.run.plan import model_spectra
from ..companion import KINDS, load_companion, save_companion
from ..errors import InputError
from ..files import check_output
from ..prepare import read_spectra, sampled_space
from ..read import read_source_ids
from .options import (
    CATALOGUE_HELP,
    INPUT_HELP,
    Interrupted,
    add_command,
    add_tables,
    add_wavelength,
    additions,
)


def add(commands) -> None:
    """Add the command and its three verbs."""
    command = commands.add_parser(
        "companion",
        help="Train and use other models of the same spectra, for second opinions.",
        description="Train and use other models of the same spectra, for second opinions.",
    )
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_train(verbs)
    _add_predict(verbs)
    card = add_command(verbs, "card", _card, "Say how a companion came to be.", overwrite=False)
    card.add_argument("companion", metavar="COMPANION.h5")


def _add_train(verbs) -> None:
    """Add ``xpfit companion train``."""
    command = add_command(verbs, "train", _train, "Train a companion on labelled spectra.")
    command.add_argument(
        "spectra", metavar="SPECTRA", help="the APOGEE-XP library, or prepared spectra with labels"
    )
    command.add_argument("--kind", required=True, choices=tuple(KINDS), help="which companion")
    command.add_argument("--output", required=True, metavar="COMPANION.h5", help="file to write")
    command.add_argument(
        "--labels",
        help="comma-separated (default: Teff, [Fe/H], log g, and [alpha/M] for uncertain)",
    )
    add_wavelength(command)
    command.add_argument(
        "--exclude",
        metavar="IDS",
        help="source ids never to train on: text, one a line, or a table with ids",
    )
    command.add_argument("--n-epochs", type=int, help="length of the training")
    command.add_argument("--seed", type=int, default=1, help="seed of all randomness")


def _add_predict(verbs) -> None:
    """Add ``xpfit companion predict``."""
    command = add_command(verbs, "predict", _predict, "Say what a companion sees in spectra.")
    command.add_argument("spectra", metavar="SPECTRA", nargs="+", help=INPUT_HELP)
    command.add_argument("--companion", required=True, metavar="COMPANION.h5")
    command.add_argument("--output", required=True, metavar="TABLE", help=CATALOGUE_HELP)
    command.add_argument(
        "--seed",
        type=int,
        default=1,
        help="seed of dropout and redrawn spectra, with each source_id",
    )
    add_tables(command)


def _train(options: argparse.Namespace) -> None:
    """Train a companion and write it."""
    check_output(options.output, overwrite=options.overwrite)
    space = None if options.wavelength is None else sampled_space(options.wavelength)
    spectra = read_spectra(options.spectra, space=space)
    if options.exclude:
        spectra = spectra[
            np.flatnonzero(~np.isin(spectra.source_id, read_source_ids(options.exclude)))
        ]
    kind = KINDS[options.kind]
    settings = kind.settings_kind()
    if options.n_epochs is not None:
        settings = replace(settings, n_epochs=options.n_epochs)
    labels = options.labels and {"label_names": [n.strip() for n in options.labels.split(",")]}
    companion = kind(**(labels or {}), settings=settings)
    checkpoint, start = Path(f"{options.output}.checkpoint"), time.perf_counter()
    try:
        companion.fit(
            spectra,
            rng=np.random.default_rng(options.seed),
            progress=not options.quiet,
            checkpoint=checkpoint,
        )
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise Interrupted(f"the same command goes on from {checkpoint}") from None
    companion.card_ |= {
        "spectra": Path(options.spectra).name,
        "seed": options.seed,
        # Of the last part only, if it was interrupted.
        "seconds_to_train": round(time.perf_counter() - start, 1),
    }
    save_companion(companion, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {options.output}, trained on {companion.card_['n_stars']} stars")


def _predict(options: argparse.Namespace) -> None:
    """Predict labels and write them."""
    catalogue_format(options.output)
    check_output(options.output, overwrite=options.overwrite)
    companion, extra = load_companion(options.companion), additions(options)
    tables = []
    with tqdm(unit="star", disable=options.quiet) as bar:
        for path in options.spectra:
            for part in model_spectra(companion, Path(path)):
                part = extra.apply(part)
                tables.append(companion_table(companion, part, options.seed))
                bar.update(len(part))
    table = vstack(tables)
    write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {len(table)} stars to {options.output}")


def _card(options: argparse.Namespace) -> None:
    """Print how a companion came to be."""
    card = load_companion(options.companion).card_
    history = card.pop("history", [])
    if history:
        card["last losses (training, validation)"] = history[-1]
    if not card:
        raise InputError(f"{options.companion}: this file has no card")
    print(json.dumps(card, indent=2))
