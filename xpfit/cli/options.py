"""Options that several commands share, and the objects that are made from them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..files import atomic_output

if TYPE_CHECKING:
    from astropy.table import Table

    from ..catalogue.pipeline import Pipeline
    from ..companion import UncertainNetwork
    from ..data.spectra import Spectra
    from ..fit import FitSettings
    from ..prepare import Additions

INPUT_HELP = (
    "XP continuous or sampled spectra (CSV, ECSV, FITS, VOTable, HDF5), the APOGEE-XP library "
    "(FITS), or prepared spectra (HDF5, Parquet); gzipped or not"
)

CATALOGUE_HELP = "catalogue to write: OUT.fits, .vot, .ecsv, .parquet or .h5"


class Interrupted(KeyboardInterrupt):
    """An interruption of work that can be resumed, as its message explains."""


@contextmanager
def resumable(how: str, checkpoint: Path | None = None) -> Iterator[None]:
    """Work that can be resumed when it is interrupted.

    Parameters
    ----------
    how : str
        How to resume.
    checkpoint : Path, optional
        Without this file the work cannot be resumed.

    Raises
    ------
    Interrupted
    """
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint is not None and not checkpoint.exists():
            raise
        raise Interrupted(how) from None


def add_output_options(command: argparse.ArgumentParser, *, overwrite: bool = True) -> None:
    """Add the options of commands that write files."""
    if overwrite:
        command.add_argument("--overwrite", action="store_true", help="replace existing output")
    command.add_argument("--quiet", action="store_true", help="no progress bar, no summary")


def add_model(command: argparse.ArgumentParser, text: str = "model file") -> None:
    """Add the option for the model."""
    command.add_argument(
        "--model", metavar="MODEL.h5", help=f"{text} (default: the one that comes with xpfit)"
    )


def add_seed(command: argparse.ArgumentParser) -> None:
    """Add the option for the seed."""
    command.add_argument("--seed", type=int, default=1, help="seed of all random numbers")


def add_jobs(command: argparse.ArgumentParser, default: int = 1) -> None:
    """Add the option for the number of threads."""
    command.add_argument(
        "--jobs",
        type=int,
        default=default,
        help="threads for the fits (processes for scipy); -1 for one per processor",
    )


def add_exclude(command: argparse.ArgumentParser) -> None:
    """Add the option for stars that are not trained on."""
    command.add_argument(
        "--exclude",
        metavar="IDS",
        help="source ids never to train on: text, one per line, or a table with ids",
    )


def without_excluded(options: argparse.Namespace, spectra: Spectra) -> Spectra:
    """Spectra without the stars of ``--exclude``."""
    from ..read import read_source_ids

    if not options.exclude:
        return spectra
    excluded = np.isin(spectra.source_id, read_source_ids(options.exclude))
    return spectra[np.flatnonzero(~excluded)]


def add_labels(command: argparse.ArgumentParser, default: str | None, text: str) -> None:
    """Add the option for names of labels."""
    command.add_argument("--labels", default=default, help=f"{text}, comma-separated")


def label_names(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Names of the labels of ``--labels``; None if it was not given."""
    return options.labels and tuple(name.strip() for name in options.labels.split(","))


def add_wavelength(command: argparse.ArgumentParser) -> None:
    """Add the option for the wavelengths of sampled space."""
    command.add_argument(
        "--wavelength",
        type=_wavelength_grid,
        metavar="START:STOP:STEP",
        help="wavelengths in nm of sampled space, both ends included; ZGR23's are 392:992:10",
    )


def _wavelength_grid(text: str) -> np.ndarray:
    """Wavelengths from START:STOP:STEP."""
    start, stop, step = (float(part) for part in text.split(":"))
    return start + step * np.arange(np.floor((stop - start) / step + 1e-9) + 1)


def add_tables(command: argparse.ArgumentParser) -> None:
    """Add the options for tables to be joined to spectra."""
    command.add_argument(
        "--photometry",
        metavar="TABLE",
        help="table of 2MASS and WISE magnitudes with source ids (FITS, ECSV, CSV, VOTable)",
    )
    command.add_argument(
        "--astrometry",
        metavar="TABLE",
        help="rows of gaia_source: parallaxes, and the columns that their zero point depends on",
    )
    command.add_argument(
        "--no-zero-point",
        action="store_true",
        help="do not subtract the zero point from parallaxes",
    )


def joined_tables(options: argparse.Namespace, **more) -> Additions:
    """Tables of the options of `add_tables`, read; `more` goes to `Additions`."""
    from ..prepare import Additions
    from ..read import read_table

    return Additions(
        photometry=read_table(options.photometry) if options.photometry else None,
        astrometry=read_table(options.astrometry) if options.astrometry else None,
        zero_point=not options.no_zero_point,
        **more,
    )


def add_model_covariance(command: argparse.ArgumentParser) -> None:
    """Add the option for errors of the measurement alone."""
    command.add_argument(
        "--no-model-covariance",
        action="store_true",
        help="neglect the emulator's own error: errors of the measurement alone, as in ZGR23",
    )


def add_fit_settings(command: argparse.ArgumentParser) -> None:
    """Add the options of the fit on which results depend."""
    from ..fit.engines import ENGINES
    from ..fit.settings import STARTS, FitSettings

    command.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="optimiser back end; auto: numba if installed, else array",
    )
    command.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="where to fit; a GPU needs CuPy"
    )
    command.add_argument(
        "--single",
        action="store_true",
        help="optimise in single precision, the last steps in double (array engine)",
    )
    add_model_covariance(command)
    command.add_argument(
        "--n-starts", type=int, default=FitSettings.n_starts, help="starts tried per star"
    )
    command.add_argument(
        "--starts",
        choices=tuple(STARTS),
        default="profile",
        help="how starts are found: grid is ZGR23's, 512 types times 61 extinctions",
    )
    command.add_argument(
        "--multistart",
        type=int,
        metavar="K",
        help="run K starts to convergence and report secondary modes",
    )


def fit_settings(options: argparse.Namespace) -> FitSettings:
    """Settings of the fit, as far as the command has options for them."""
    from ..fit import FitSettings

    given = vars(options)
    settings = {f.name: given[f.name] for f in fields(FitSettings) if f.name in given}
    return FitSettings(**settings, model_covariance=not given.get("no_model_covariance", False))


def add_companions(command: argparse.ArgumentParser) -> None:
    """Add the options for confidence classifiers and companions."""
    command.add_argument(
        "--confidence",
        metavar="CONFIDENCE.h5",
        help="classifiers of 'xpfit train-confidence' (default: for xpfit's own model those that "
        "come with it, for others none)",
    )
    command.add_argument(
        "--start-from",
        metavar="COMPANION.h5",
        help="start from the predictions of an uncertain network ('xpfit companion train') instead "
        "of searching for starts: half the time, and a few stars end in a worse mode",
    )
    command.add_argument(
        "--companion",
        action="append",
        default=[],
        metavar="COMPANION.h5",
        help="add columns with a companion's independent estimate, and by how many errors the fit "
        "differs; of an auto-encoder, how unlike the training set a spectrum is (repeatable, once "
        "for each kind)",
    )


def _starting_companion(path: str | None) -> UncertainNetwork | None:
    """The companion that predicts where fits start."""
    from ..companion import UncertainNetwork, load_companion

    start = load_companion(path) if path else None
    if start is not None and start.kind != UncertainNetwork.kind:
        raise InputError(
            f"{path}: a companion of kind {start.kind!r} does not predict starts; give an "
            "uncertain network"
        )
    return start


def make_pipeline(options: argparse.Namespace, inputs: Sequence[str | os.PathLike]) -> Pipeline:
    """From spectra to rows of a catalogue, as the options say.

    Parameters
    ----------
    options : argparse.Namespace
        With those of `add_model` and `add_tables`; others as far as the command has them.
    inputs : sequence of path-like
        Files of spectra.

    Returns
    -------
    Pipeline

    Raises
    ------
    FileNotFoundError, InputError
        If a file cannot be read, or an option of the fit is wrong.
    """
    from ..catalogue.pipeline import Pipeline, provenance
    from ..companion import load_companion
    from ..model.store import load_model
    from ..quality import confidence_for

    given = vars(options)
    model = load_model(options.model)
    start_from, companions = given.get("start_from"), given.get("companion") or []
    if isinstance(companions, str):  # of ``plot``, which draws one
        companions = []
    pipeline = Pipeline(
        model,
        confidence_for(model, options.confidence) if "confidence" in given else None,
        fit_settings(options),
        start_from=_starting_companion(start_from),
        companions=tuple(load_companion(path) for path in companions),
        provenance=provenance(
            inputs,
            model=options.model,
            tables={name: given[name] for name in ("photometry", "astrometry")},
            zero_point=not options.no_zero_point,
            start_from=start_from,
            companions=companions,
        ),
        n_jobs=given.get("jobs", 1),
        additions=joined_tables(options),
    )
    pipeline.fitter  # noqa: B018  raises if an option is wrong, before any work
    return pipeline


def progress(
    options: argparse.Namespace,
    parts: Iterable,
    length: Callable = len,
    total: int | None = None,
) -> Iterator:
    """The same parts, with a progress bar over their stars that appears with the first part."""
    from tqdm.auto import tqdm

    parts = iter(parts)
    first = list(islice(parts, 1))
    with tqdm(total=total, unit="star", disable=options.quiet) as bar:
        for part in chain(first, parts):
            yield part
            bar.update(length(part))


def save_json(values: dict, path: Path, *, overwrite: bool = False) -> None:
    """Write numbers as JSON, whole or not at all."""
    with atomic_output(path, overwrite=overwrite) as part:
        part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def save_catalogue(
    tables: Iterable[Table], path: str | os.PathLike, *, overwrite: bool = False
) -> int:
    """Write a catalogue from its parts, Parquet in bounded memory; returns the number of rows."""
    from astropy.table import vstack

    from ..catalogue import catalogue_format, write_catalogue
    from ..catalogue.parquet import write_parts

    if catalogue_format(path) == "Parquet":
        with atomic_output(path, overwrite=overwrite) as part:
            return write_parts(tables, part)
    table = vstack(list(tables), metadata_conflicts="silent")
    write_catalogue(table, path, overwrite=overwrite)
    return len(table)
