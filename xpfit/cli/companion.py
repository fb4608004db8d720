"""Train and use other models of the same spectra, which give independent estimates."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from ..catalogue import write_catalogue
from ..catalogue.companion_columns import companion_table
from ..companion import KINDS, UncertainNetwork, load_companion, save_companion
from ..errors import InputError
from ..plots.label_errors import label_error_figure
from ..plots.style import figure_format
from ..prepare import iterate_file, read_spectra, sampled_space
from ..quantities import quantity
from ..validate.companions import COLUMNS, label_statistics
from . import options as shared
from .parser import TABLES, Parser
from .resume import CHECKPOINT_SUFFIX, only_training, resumable


def add(command: Parser) -> None:
    """Add the command's verbs and their arguments."""
    command.verbs(
        ("train", _add_train, _train, "Train a companion on labelled spectra."),
        ("predict", _add_predict, _predict, "Write a companion's estimates for spectra."),
        (
            "validate",
            _add_validate,
            _validate,
            "Compare a companion's labels with those of spectra (Fallows & Sanders 2024, table 1), "
            "and draw the parts of its errors (figs. 5 and 6).",
        ),
        ("card", _add_card, _card, "Show how a companion was trained."),
    )


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


def _add_validate(command: Parser) -> None:
    """Add arguments of ``xpfit companion validate``."""
    command.option("file SPECTRA", "the APOGEE-XP library, or prepared spectra with labels")
    command.option("--companion COMPANION.h5", required=True)
    command.option("--min-snr SNR", "of the labels' spectra", type=float)
    command.option("--max-teff K", "of the stars, by their label", type=float)
    command.option("--figure FILE", "of the errors by label and by G (.png, .pdf, .svg)")
    command.common("seed", "overwrite", "quiet")


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


def _validate(options: argparse.Namespace) -> None:
    """Print statistics of the labels, and draw the errors."""
    if options.figure:
        shared.check_outputs(options, options.figure)
        figure_format(options.figure)
    companion = load_companion(options.companion)
    if not companion.label_names:
        raise InputError(
            f"{options.companion}: a companion of kind {companion.kind!r} has no labels"
        )
    spectra = read_spectra(options.file, space=companion.space)
    keep = np.ones(len(spectra), dtype=bool)
    if options.min_snr is not None:
        keep &= spectra.snr > options.min_snr
    if options.max_teff is not None:
        keep &= 1e3 * spectra.labels.get("teff", np.full(len(spectra), np.nan)) < options.max_teff
    spectra = spectra[np.flatnonzero(keep)]
    prediction = companion.predict(spectra, seed=options.seed)
    table = label_statistics(prediction, spectra)
    g = spectra.gaia.get("phot_g_mean_mag", np.full(len(spectra), np.nan))
    figures = {options.figure: label_error_figure(prediction, g)} if options.figure else {}
    shared.save_files(options, Path(), figures)
    print(_statistics_text(table))


def _statistics_text(table: Table) -> str:
    """Rows of `label_statistics`, in K and dex."""
    rows = [["label", *COLUMNS[:1], *(name.replace("_", " ") for name in table.colnames[2:])]]
    for row in table:
        digits = max(quantity(row["label"]).digits, 1)
        cells = {
            name: f"{row[name]:.{3 if name == 'pull_width' else digits}f}"
            for name in table.colnames[2:]
        }
        known = [text.replace("nan", "-") for text in cells.values()]
        rows.append([quantity(row["label"]).title, row["n"], *known])
    return shared.text_table([12, 7, *[12] * (len(table.colnames) - 2)], rows)


def _card(options: argparse.Namespace) -> None:
    """Print how a companion was trained."""
    card = load_companion(options.companion).card_
    history = card.pop("history", [])
    if history:
        card["last losses (training, validation)"] = history[-1]
    if not card:
        raise InputError(f"{options.companion}: this file has no card")
    print(json.dumps(card, indent=2))
