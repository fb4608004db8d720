"""``xpfit companion``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from tqdm.auto import tqdm

from ..catalogue import add_column, catalogue_format, write_catalogue
from ..catalogue.describe import Description, describe
from ..catalogue.plan import model_spectra
from ..companion import (
    KINDS,
    ScatterAutoencoder,
    UncertainNetwork,
    load_companion,
    save_companion,
)
from ..errors import InputError
from ..files import check_output
from ..prepare import KELVIN_PER_UNIT, read_spectra, sampled_space
from ..read import read_source_ids
from ..spectra import Spectra
from .common import (
    CATALOGUE_HELP,
    INPUT_HELP,
    Interrupted,
    add_command,
    add_tables,
    add_wavelength,
    additions,
)

PARTS = {"model_err": "dropout", "input_err": "errors of the spectrum", "excess_err": "the rest"}
"""Components of the uncertainty, and what each is due to."""


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
    command.add_argument("--labels", default="teff,feh,logg,alpha_m", help="comma-separated")
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
    command.add_argument("--seed", type=int, default=1, help="seed of the dropout")
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
    companion = kind([name.strip() for name in options.labels.split(",")], settings)
    checkpoint = Path(f"{options.output}.checkpoint")
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
    companion.card_ |= {"spectra": Path(options.spectra).name, "seed": options.seed}
    save_companion(companion, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {options.output}, trained on {companion.card_['n_stars']} stars")


def _predict(options: argparse.Namespace) -> None:
    """Predict labels and write them."""
    catalogue_format(options.output)
    check_output(options.output, overwrite=options.overwrite)
    companion, extra = load_companion(options.companion), additions(options)
    rng, tables = np.random.default_rng(options.seed), []
    with tqdm(unit="star", disable=options.quiet) as bar:
        for path in options.spectra:
            for part in model_spectra(companion, Path(path)):
                part = extra.apply(part)
                tables.append(TABLES[companion.kind](companion, part, rng))
                bar.update(len(part))
    table = vstack(tables)
    write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {len(table)} stars to {options.output}")


def _label_table(companion: UncertainNetwork, spectra: Spectra, rng) -> Table:
    """Labels with their errors, and what these are made of, in K and dex."""
    prediction, table = companion.predict(spectra, rng=rng), Table()
    add_column(table, "gdr3_source_id", spectra.source_id)
    total = prediction.total_err
    for i, name in enumerate(prediction.label_names):
        unit = KELVIN_PER_UNIT if name == "teff" else 1.0
        add_column(table, name, unit * prediction.values[:, i])
        add_column(table, f"{name}_err", unit * total[:, i])
        known = describe(f"{name}_err")
        for part, cause in PARTS.items():
            text = Description(f"{known.text}, due to {cause}", known.unit, known.ucd)
            values = unit * getattr(prediction, part)[:, i]
            add_column(table, f"{name}_{part}", values, text)
    return table


def _latent_table(companion: ScatterAutoencoder, spectra: Spectra, rng) -> Table:
    """Latent numbers, and how unlike the training set a spectrum is."""
    out, table = companion.predict(spectra), Table()
    add_column(table, "gdr3_source_id", spectra.source_id)
    for name, values, text in (
        ("latent", out.latent, "latent numbers of the spectrum"),
        ("latent_err", out.latent_err, "their widths"),
        ("reconstruction_chi2", out.chi2, "chi2 per value of the spectrum as it passes through"),
        ("latent_ln_density", out.ln_density, "ln of the standard normal density of the latent"),
    ):
        add_column(table, name, values, Description(text))
    return table


TABLES = {UncertainNetwork.kind: _label_table, ScatterAutoencoder.kind: _latent_table}
"""What each companion says of some spectra."""


def _card(options: argparse.Namespace) -> None:
    """Print how a companion came to be."""
    card = load_companion(options.companion).card_
    history = card.pop("history", [])
    if history:
        card["last losses (training, validation)"] = history[-1]
    if not card:
        raise InputError(f"{options.companion}: this file has no card")
    print(json.dumps(card, indent=2))
