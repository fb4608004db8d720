"""What commands make of their options: spectra, tables, pipelines, progress bars and files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..arrow import pyarrow_modules
from ..errors import InputError, OutputError
from ..files import atomic_output, check_output, file_of, output_directory
from .parser import Parser

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

    from ..catalogue.pipeline import Pipeline
    from ..companion import UncertainNetwork
    from ..data import Spectra
    from ..prepare import Additions, Basis
    from ..prepare.corrections import Correction


REFUSED = 3
"""Exit status of ``fit`` and ``run`` that are finished, but have refused some of their inputs."""

PACKAGE = Path(__file__).resolve().parents[1]


def without_excluded(options: argparse.Namespace, spectra: Spectra) -> Spectra:
    """Spectra without the stars of ``--exclude``."""
    from ..read import read_source_ids

    if not options.exclude:
        return spectra
    excluded = np.isin(spectra.source_id, read_source_ids(options.exclude))
    return spectra[np.flatnonzero(~excluded)]


def label_names(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Names of the labels of ``--labels``; None if it was not given."""
    return options.labels and tuple(name.strip() for name in options.labels.split(","))


def joined_tables(options: argparse.Namespace, **more) -> Additions:
    """Tables of the options `TABLES`, read; `more` goes to `Additions`."""
    from ..prepare import Additions
    from ..read import read_table
    from ..read.columns import PHOTOMETRY

    if "astrometry" not in more:
        more["astrometry"] = astrometry_of(options)
    return Additions(
        photometry=read_table(options.photometry, PHOTOMETRY) if options.photometry else None,
        zero_point=not options.no_zero_point,
        crosswalk=read_table(options.crosswalk) if vars(options).get("crosswalk") else None,
        **more,
    )


def astrometry_of(options: argparse.Namespace) -> Table | None:
    """The table of ``--astrometry``; None if it was not given."""
    from ..read import read_table
    from ..read.columns import ASTROMETRY

    return read_table(options.astrometry, ASTROMETRY) if options.astrometry else None


def correction_of(options: argparse.Namespace, tables: Additions) -> Correction | None:
    """The flux correction that the options name, of stars in the table of ``--astrometry``."""
    from ..prepare.corrections import CORRECTIONS, named_correction

    if not options.correction:
        return None
    name, _, directory = options.correction.partition("=")
    if not directory:
        raise InputError(
            f"--correction {options.correction}: give NAME=DIR, with NAME one of "
            f"{', '.join(CORRECTIONS)} and DIR the directory of its files"
        )
    if tables.astrometry is None:
        raise InputError(
            "--correction depends on G and BP - RP of the stars: give --astrometry with "
            "phot_g_mean_mag, phot_bp_mean_mag and phot_rp_mean_mag (and ebv)"
        )
    return named_correction(name, directory, tables.astrometry)


def basis_of(options: argparse.Namespace) -> Basis | None:
    """The basis functions of ``--basis``; None if it was not given."""
    from ..prepare import load_basis

    return load_basis(options.basis) if options.basis else None


def add_fit_settings(command: Parser) -> None:
    """Add the options of the fit on which results depend."""
    from ..fit import FitSettings
    from ..fit.engines import ENGINES
    from ..fit.settings import STARTS

    command.option(
        "--engine",
        "optimiser back end; auto: numba if installed, else array",
        choices=ENGINES,
        default="auto",
    )
    command.option(
        "--device", "where to fit; a GPU needs CuPy", choices=("cpu", "gpu"), default="cpu"
    )
    command.option(
        "--single", "optimise in single precision, the last steps in double (array engine)"
    )
    command.common("no-model-covariance")
    command.option(
        "--ignore-release",
        "fit spectra of another data release than the model's: results are biased, and all stars "
        "flagged",
    )
    command.option("--n-starts N", "starts tried per star", default=FitSettings.n_starts)
    command.option(
        "--starts",
        "how starts are found: grid is ZGR23's, 512 types times 61 extinctions",
        choices=tuple(STARTS),
        default="profile",
    )
    command.option(
        "--multistart K", "run K starts to convergence and report secondary modes", type=int
    )


def settings_of(kind: type, options: argparse.Namespace, **others):
    """Settings: the options that have the names of fields of `kind`, and `others`."""
    given = {f.name: getattr(options, f.name) for f in fields(kind) if f.name in options}
    return kind(**given, **others)


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
        With the model and `TABLES`; others as far as the command has them.
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
    from ..fit import FitSettings
    from ..model.store import load_model
    from ..quality import confidence_for

    given = vars(options)
    with_covariance = not given.get("no_model_covariance", False)
    model = load_model(options.model, shapes_only=options.shapes_only)
    start_from, companions = given.get("start_from"), given.get("companion") or []
    if isinstance(companions, str):  # of ``plot``, which draws one
        companions = []
    tables = joined_tables(options)
    pipeline = Pipeline(
        model,
        confidence_for(model, options.confidence) if "confidence" in given else None,
        settings_of(FitSettings, options, model_covariance=with_covariance),
        start_from=_starting_companion(start_from),
        companions=tuple(load_companion(path) for path in companions),
        provenance=provenance(
            inputs,
            model=options.model,
            tables={name: given[name] for name in ("photometry", "astrometry", "basis")},
            zero_point=not options.no_zero_point,
            start_from=start_from,
            companions=companions,
        ),
        n_jobs=given.get("jobs", 1),
        distance_prior=given.get("distance_prior", "none"),
        additions=tables,
        correction=correction_of(options, tables),
        release=options.release,
        basis=basis_of(options),
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


def say(options: argparse.Namespace, *texts: object) -> None:
    """Print texts, one per line, unless ``--quiet`` was given."""
    if not options.quiet:
        print(*texts, sep="\n")


def with_refusals(last_line: str) -> int:
    """Exit status of work that is finished, with a last line if some inputs were refused."""
    if not last_line:
        return 0
    print(last_line, file=sys.stderr)
    return REFUSED


def text_table(widths: Sequence[int], rows: Iterable[Sequence[object]]) -> str:
    """Rows of cells as text: the first column begins at the left, the others end at the right."""
    return "\n".join(
        f"{first:{widths[0]}}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        for first, *cells in rows
    )


OUTPUTS = ("output", "output_dir", "label_scales", "log", "figure", "report", "epoch_table")
"""Options that name outputs."""


def _inputs_of(options: argparse.Namespace) -> dict[str, str]:
    """Files and directories that a command reads, and the options that name them."""
    found = {}
    for option, value in vars(options).items():
        if option in OUTPUTS or option in ("command", "verb"):
            continue
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, (str, Path)) and os.path.exists(file_of(name)):
                found[str(name)] = option.replace("_", "-")
    for option, part in (
        ("model", "model/default.h5"),
        ("confidence", "quality/default_confidence.h5"),
    ):
        if option in options and getattr(options, option) is None:
            found[str(PACKAGE / part)] = f"the {option} that comes with xpfit"
    return found


def check_outputs(
    options: argparse.Namespace, *paths: str | os.PathLike, overwrite: bool | None = None
) -> None:
    """Refuse outputs that cannot or must not be written, before any work.

    Parameters
    ----------
    options : argparse.Namespace
        Files that they name as inputs must not be among the outputs.
    *paths : path-like
    overwrite : bool, optional
        Whether existing files may be replaced; by default as the options say.

    Raises
    ------
    OutputError
        As `check_output`, or if two of the paths are the same.
    """
    overwrite = options.overwrite if overwrite is None else overwrite
    inputs, places = _inputs_of(options), {}
    for path in paths:
        check_output(path, overwrite=overwrite, inputs=inputs)
        place = os.path.realpath(path)
        if place in places:
            raise OutputError(f"{path}: two outputs have this name; give another to one of them")
        places[place] = path


def make_directory(options: argparse.Namespace, path: str, names: Iterable[str]) -> Path:
    """Create a directory for files, refusing to replace any without ``--overwrite``."""
    directory = output_directory(path)
    check_outputs(options, *(directory / name for name in names))
    return directory


@contextmanager
def saving_files(
    options: argparse.Namespace, directory: Path, contents: dict[str, Figure | dict]
) -> Iterator[None]:
    """Write figures, and numbers as JSON, which get their names if the block ends well."""
    from ..plots.style import draw

    with ExitStack() as stack:
        for name, content in contents.items():
            path = directory / name
            part = stack.enter_context(atomic_output(path, overwrite=options.overwrite))
            if isinstance(content, dict):
                part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            else:
                draw(content, part)
        yield


def save_files(
    options: argparse.Namespace, directory: Path, contents: dict[str, Figure | dict]
) -> None:
    """Write figures, and numbers as JSON, by file name: all of them or none."""
    with saving_files(options, directory, contents):
        pass


def check_catalogue(options: argparse.Namespace) -> None:
    """Refuse a catalogue that cannot or must not be written, before any work."""
    from ..catalogue import catalogue_format

    check_outputs(options, options.output)
    if catalogue_format(options.output) == "Parquet":
        pyarrow_modules(OutputError)


def save_catalogue(options: argparse.Namespace, tables: Iterable[Table]) -> int:
    """Write a catalogue from its parts, Parquet in bounded memory; returns the number of rows."""
    from astropy.table import vstack

    from ..catalogue import catalogue_format, write_catalogue
    from ..catalogue.parquet import write_parts

    if catalogue_format(options.output) == "Parquet":
        with atomic_output(options.output, overwrite=options.overwrite) as part:
            return write_parts(tables, part)
    table = vstack(list(tables), metadata_conflicts="silent")
    write_catalogue(table, options.output, overwrite=options.overwrite)
    return len(table)
