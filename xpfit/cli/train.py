"""Train a model on spectra of stars with known labels."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..data import Spectra
from ..data.split import is_held_out
from ..errors import InputError, OutputError
from ..files import new_log
from ..model import XPModel, ccm89_curve
from ..prepare import (
    attach_luminosities,
    read_luminosities,
    read_spectra,
    sampled_space,
)
from ..prepare.luminosities.attach import LUMINOSITY
from ..quality.luminosity import calibrate_luminosities, has_good_parallaxes
from ..read import read_source_ids
from ..train import TrainingIO, load_recipe, train_model
from ..train.record import CHECKPOINT_MINUTES
from . import options as shared
from .parallaxes import add_parallaxes, say_matched, with_parallaxes
from .parser import Parser
from .resume import CHECKPOINT_SUFFIX, only_training, resumable


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "library LIBRARY",
        "the APOGEE-XP library (FITS), or prepared spectra with labels (HDF5, Parquet), whose "
        "parallaxes are used if they have any",
    )
    command.option("--output MODEL.h5", "model file to write", required=True)
    command.option(
        "--labels LABELS", "labels of the stellar type, comma-separated", default="teff,feh,logg"
    )
    command.option(
        "--recipe NAME|FILE",
        "training recipe: a name, or a TOML file ('xpfit recipe show default' prints one)",
        default="default",
    )
    command.option(
        "--log FILE.jsonl",
        "write loss, learning rate and number of stars of every epoch, as JSON lines",
    )
    command.option(
        "--luminosities TABLE",
        "spectroscopic luminosities to learn absolute fluxes from (scripts/make_luminosities.py)",
    )
    add_parallaxes(command)
    command.option(
        "--no-parallax", "learn only the shapes of spectra, even if the stars have parallaxes"
    )
    command.option(
        "--validation FRACTION",
        "hold out this fraction of the stars, by their source ids, so always the same ones; "
        "'xpfit validate' compares only those (ZGR23: 0.2)",
        default=0.0,
    )
    command.option(
        "--resume",
        f"resume an interrupted training from MODEL.h5{CHECKPOINT_SUFFIX}; all other options must "
        "be unchanged",
    )
    command.option(
        "--checkpoint-minutes MINUTES",
        "time between checkpoints, which are also written after every phase and on Ctrl-C",
        default=CHECKPOINT_MINUTES,
    )
    command.common("wavelength", "exclude", "seed", "overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Train a model and write it, in the only process that does so."""
    checkpoint = Path(f"{options.output}{CHECKPOINT_SUFFIX}")
    logs = [options.log] if options.log else []
    shared.check_outputs(options, options.output)
    shared.check_outputs(options, *logs, overwrite=options.overwrite or options.resume)
    shared.check_outputs(options, options.output, checkpoint, *logs, overwrite=True)
    with only_training(options):
        _train(options, checkpoint)


def _train(options: argparse.Namespace, checkpoint: Path) -> None:
    """Train a model and write it."""
    if checkpoint.exists() and not (options.resume or options.overwrite):
        raise OutputError(
            f"{checkpoint} is from an unfinished training: --resume continues it, --overwrite "
            "starts again"
        )
    exclude = read_source_ids(options.exclude) if options.exclude else np.zeros(0, dtype=np.int64)
    recipe = load_recipe(options.recipe)
    labels = shared.label_names(options)
    spectra, held_out = _with_luminosities(options, _read(options))
    exclude = np.union1d(exclude, held_out)
    exclude = np.union1d(exclude, _validation_stars(options, spectra))
    with ExitStack() as stack:
        log = None
        if options.log:
            log = stack.enter_context(
                new_log(options.log, overwrite=options.overwrite or options.resume)
            )
        how = f"rerun the same command with --resume to resume from {checkpoint}"
        with resumable(how, checkpoint):
            model, summary = train_model(
                spectra,
                labels,
                rng=np.random.default_rng(options.seed),
                recipe=recipe,
                absolute=False if options.no_parallax else None,
                exclude=exclude,
                provenance=_provenance(options),
                io=TrainingIO(
                    progress=not options.quiet,
                    log=log,
                    checkpoint=checkpoint,
                    minutes=options.checkpoint_minutes,
                    resume=options.resume,
                ),
            )
    texts = [summary, f"extinction curve: {_curve_summary(model)}"]
    trained_on = spectra[np.flatnonzero(np.isin(spectra.source_id, model.source_ids))]
    if model.luminosity_error is not None and has_good_parallaxes(trained_on):
        model, calibration = calibrate_luminosities(model, trained_on, n_jobs=-1)
        texts.append(calibration)
    model.save(options.output, overwrite=options.overwrite)
    checkpoint.unlink(missing_ok=True)
    shared.say(options, *texts, f"wrote {options.output}")


def _read(options: argparse.Namespace) -> Spectra:
    """The stars, at the wavelengths that the options ask for."""
    if options.wavelength is None:
        return read_spectra(options.library)
    space = sampled_space(options.wavelength)
    spectra = read_spectra(options.library, space=space)
    if not spectra.space.matches(space):
        raise InputError(
            f"{options.library} holds spectra that were prepared at other wavelengths; leave out "
            "--wavelength, or prepare them again"
        )
    return spectra


def _validation_stars(options: argparse.Namespace, spectra: Spectra) -> np.ndarray:
    """Source ids of the stars of ``--validation``."""
    if not 0.0 <= options.validation < 1.0:
        raise InputError(
            f"--validation {options.validation:g}: give a fraction of the stars, from 0 to below 1"
        )
    chosen = spectra.source_id[is_held_out(spectra.source_id, options.validation)]
    if options.validation:
        shared.say(options, f"{len(chosen)} of {len(spectra)} stars are held out for validation")
    return chosen


def _provenance(options: argparse.Namespace) -> dict[str, str | int | float]:
    """What the training was made of, for the model file."""
    tables = {name: getattr(options, name) for name in ("library", "luminosities", "parallaxes")}
    return {
        **{k: Path(path).name for k, path in tables.items() if path},
        "seed": options.seed,
        "held_out": options.validation,
    }


def _with_luminosities(options: argparse.Namespace, spectra: Spectra) -> tuple[Spectra, np.ndarray]:
    """Spectra with the tables of luminosities and parallaxes joined, and ids that are held out."""
    if options.luminosities:
        spectra = attach_luminosities(spectra, read_luminosities(options.luminosities))
        known = np.isfinite(spectra.labels[LUMINOSITY])
        say_matched(options, options.luminosities, known, "luminosity")
    return with_parallaxes(options, spectra)


def _curve_summary(model: XPModel) -> str:
    """Largest ratio of the learned curve to CCM89, both divided by their value at 542 nm."""
    chosen = (model.wavelength >= 450.0) & (model.wavelength <= 1000.0) & model.trained_grid
    visual = np.argmin(np.where(chosen, np.abs(model.wavelength - 542.0), np.inf))
    curve, published = model.forward.extinction_curve, ccm89_curve(model.wavelength)
    ratio = (curve / curve[visual]) / (published / published[visual])
    worst = np.max(np.abs(ratio[chosen] - 1.0))
    return f"R/R(542 nm) within {worst:.1%} of CCM89 R(V)=3.1 from 450 to 992 nm"
