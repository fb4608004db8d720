"""The command line: one command per verb."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm.auto import tqdm

from . import catalogue, validate
from ._version import __version__
from .errors import InputError, OutputError, XpfitError
from .files import atomic_output, check_output
from .fit import FitStatus
from .fit.engine import N_STARTS
from .model import XPModel, ccm89_curve
from .model.store import load_model
from .prepare import (
    LibrarySettings,
    XPSettings,
    attach_photometry,
    prepare_file,
    read_spectra,
    sampled_space,
    write_spectra,
)
from .quality import FitFlag, QualityFlag, is_reliable
from .read import read_source_ids, read_table

INPUT_HELP = (
    "XP continuous spectra (CSV, ECSV, FITS, VOTable), the APOGEE-XP library (FITS), or prepared "
    "spectra (HDF5); gzipped or not"
)
FIGURE_NAME = "residuals.png"
METRICS_NAME = "metrics.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error that was explained on standard error.
    """
    options = _parser().parse_args(arguments)
    warnings.showwarning = _show_warning
    try:
        options.run(options)
    except (XpfitError, FileNotFoundError) as error:
        print(f"xpfit {options.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"xpfit {options.command}: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"xpfit: warning: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="xpfit", description="Stellar parameters from Gaia BP/RP spectra (Zhang+ 2023)."
    )
    parser.add_argument("--version", action="version", version=f"xpfit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_prepare(commands)
    _add_fit(commands)
    _add_validate(commands)
    return parser


def _add_command(commands, name: str, run, text: str) -> argparse.ArgumentParser:
    """Add a command with the options that all have."""
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--overwrite", action="store_true", help="replace existing output")
    command.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    return command


def _add_train(commands) -> None:
    command = _add_command(
        commands, "train", _train, "Train a model on spectra of stars with known labels."
    )
    command.add_argument(
        "library",
        metavar="LIBRARY",
        help="the APOGEE-XP library (FITS), or prepared spectra with labels (HDF5)",
    )
    command.add_argument("--output", required=True, metavar="MODEL.h5", help="model file to write")
    command.add_argument(
        "--labels", default="teff,feh,logg", help="labels of the stellar type, comma-separated"
    )
    command.add_argument(
        "--exclude",
        metavar="IDS",
        help="source ids never to train on: text, one a line, or a FITS table with ids",
    )
    command.add_argument("--seed", type=int, default=1, help="seed of all randomness")


def _add_prepare(commands) -> None:
    command = _add_command(
        commands, "prepare", _prepare, "Prepare spectra once, for repeated fits and trainings."
    )
    command.add_argument("inputs", metavar="INPUT", nargs="+", help=INPUT_HELP)
    command.add_argument("--output", required=True, metavar="OUT.h5", help="HDF5 file to write")
    command.add_argument(
        "--space",
        choices=("sampled", "coefficient"),
        default="sampled",
        help="what XP continuous spectra become: flux at some wavelengths, or Gaia's coefficients",
    )
    command.add_argument(
        "--wavelength",
        type=_wavelength_grid,
        metavar="START:STOP:STEP",
        help="wavelengths in nm of sampled space, both ends included (default: 392:992:10)",
    )
    command.add_argument(
        "--truncate", action="store_true", help="use only the coefficients that Gaia found relevant"
    )
    _add_photometry(command)


def _wavelength_grid(text: str) -> np.ndarray:
    """Wavelengths from START:STOP:STEP."""
    start, stop, step = (float(part) for part in text.split(":"))
    return start + step * np.arange(np.floor((stop - start) / step + 1e-9) + 1)


def _add_fit(commands) -> None:
    command = _add_command(commands, "fit", _fit, "Fit stellar parameters to XP spectra.")
    command.add_argument("input", metavar="INPUT", help=INPUT_HELP)
    command.add_argument(
        "--model", metavar="MODEL.h5", help="model file (default: the one that comes with xpfit)"
    )
    command.add_argument(
        "--output", required=True, metavar="OUT", help="catalogue to write: OUT.fits or OUT.ecsv"
    )
    _add_photometry(command)
    command.add_argument(
        "--processes",
        type=int,
        default=-1,
        help="processes to work in; -1 for one per processor",
    )
    command.add_argument("--starts", type=int, default=N_STARTS, help="starts tried per star")


def _add_photometry(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--photometry",
        metavar="TABLE",
        help="table of 2MASS and WISE magnitudes with source ids (FITS, ECSV, CSV, VOTable)",
    )


def _add_validate(commands) -> None:
    command = _add_command(commands, "validate", _validate, "Compare fitted with reference labels.")
    command.add_argument("fitted", metavar="FITTED", help="catalogue written by 'xpfit fit'")
    command.add_argument(
        "--reference",
        metavar="TABLE",
        help="FITS or ECSV table of labels (default: those that came with the spectra)",
    )
    command.add_argument(
        "--output", metavar="DIR", help=f"directory for {FIGURE_NAME} and {METRICS_NAME}"
    )
    command.add_argument("--json", action="store_true", help="print the numbers as JSON")
    defaults = validate.Selection()
    command.add_argument(
        "--min-snr", type=float, default=defaults.min_snr, help="lowest S/N of the reference"
    )
    command.add_argument(
        "--max-teff", type=float, default=defaults.max_teff, help="highest reference Teff in K"
    )
    command.add_argument(
        "--include-flagged", action="store_true", help="compare flagged fits as well"
    )


def _train(options: argparse.Namespace) -> None:
    """Train a model and write it."""
    from .train import train_model

    check_output(options.output, overwrite=options.overwrite)
    exclude = read_source_ids(options.exclude) if options.exclude else ()
    labels = tuple(name.strip() for name in options.labels.split(","))
    spectra = read_spectra(options.library)
    model, summary = train_model(
        spectra,
        labels,
        rng=np.random.default_rng(options.seed),
        exclude=exclude,
        progress=not options.quiet,
        provenance={"library": Path(options.library).name, "seed": options.seed},
    )
    model.save(options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(summary)
        print(f"extinction curve: {_curve_summary(model)}")
        print(f"wrote {options.output}")


def _curve_summary(model: XPModel) -> str:
    """How far the learned curve is from CCM89, both divided by their value at 542 nm."""
    chosen = (model.wavelength >= 450.0) & (model.wavelength <= 1000.0) & model.trained_channels
    visual = np.argmin(np.abs(model.wavelength - 542.0))
    curve, published = model.forward.extinction_curve, ccm89_curve(model.wavelength)
    ratio = (curve / curve[visual]) / (published / published[visual])
    worst = np.max(np.abs(ratio[chosen] - 1.0))
    return f"R/R(542 nm) within {worst:.1%} of CCM89 R(V)=3.1 from 450 to 992 nm"


def _prepare(options: argparse.Namespace) -> None:
    """Prepare files of spectra into one."""
    check_output(options.output, overwrite=options.overwrite)
    if options.wavelength is not None and options.space != "sampled":
        raise InputError("--wavelength is for sampled space; leave it out with --space coefficient")
    space = options.space if options.wavelength is None else sampled_space(options.wavelength)
    settings = XPSettings(truncate=options.truncate)
    photometry = read_table(options.photometry) if options.photometry else None
    with tqdm(unit="star", disable=options.quiet) as bar:

        def parts():
            for path in options.inputs:
                for part in prepare_file(path, space=space, xp_settings=settings):
                    yield attach_photometry(part, photometry) if photometry is not None else part
                    bar.update(len(part))

        n_star = write_spectra(parts(), options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"wrote {n_star} stars to {options.output}")


def _fit(options: argparse.Namespace) -> None:
    """Fit spectra and write the catalogue."""
    check_output(options.output, overwrite=options.overwrite)
    catalogue.catalogue_format(options.output)
    model = load_model(options.model)
    spectra = read_spectra(
        options.input,
        settings=_settings(LibrarySettings, model),
        space=model.space,
        xp_settings=_settings(XPSettings, model),
    )
    if not len(spectra):
        raise InputError(f"{options.input}: the table has no rows; there is nothing to fit")
    if options.photometry:
        spectra = attach_photometry(spectra, read_table(options.photometry))
    result = model.fit(
        spectra,
        n_processes=options.processes,
        n_starts=options.starts,
        progress=not options.quiet,
    )
    table = catalogue.result_table(model, spectra, result)
    table.meta["INPUT"] = Path(options.input).name
    table.meta["MODEL"] = Path(options.model).name if options.model else "default"
    catalogue.write_catalogue(table, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(_fit_summary(table))
        print(f"wrote {options.output}")


def _settings(kind, model: XPModel):
    """Settings with which the model's training data were prepared; defaults for other data."""
    names = [f.name for f in fields(kind)]
    return kind(**{name: model.preparation[name] for name in names if name in model.preparation})


def _fit_summary(table: Table) -> str:
    """Counts of fitted and flagged stars."""
    reliable = is_reliable(table["quality_flags"], table["fit_flags"])
    n_fitted = int(np.sum(table["status"] != FitStatus.NOT_FITTED))
    lines = [f"{len(table)} stars, {n_fitted} fitted, {int(reliable.sum())} of them unflagged"]
    for column, flags in (("quality_flags", QualityFlag), ("fit_flags", FitFlag)):
        for flag in flags:
            count = int(np.sum((table[column] & int(flag)) != 0))
            if count:
                lines.append(f"  {count:6d}  {flag.name.lower().replace('_', ' ')}")
    return "\n".join(lines)


def _validate(options: argparse.Namespace) -> None:
    """Compare fitted with reference labels; print and write the outcome."""
    directory = _output_directory(options)
    fitted = read_table(options.fitted)
    if options.reference:
        reference = read_table(options.reference)
        fitted = validate.attach_reference(fitted, reference)
    selection = validate.Selection(options.min_snr, options.max_teff, options.include_flagged)
    comparison = validate.compare(fitted, selection)
    numbers = validate.metrics(comparison)
    if not options.quiet:
        print(_selection_text(comparison), file=sys.stderr if options.json else sys.stdout)
    text = json.dumps(numbers, indent=2)
    print(text if options.json else _metrics_text(numbers))
    if directory:
        with atomic_output(directory / METRICS_NAME, overwrite=options.overwrite) as part:
            part.write_text(text + "\n", encoding="utf-8")
        with atomic_output(directory / FIGURE_NAME, overwrite=options.overwrite) as part:
            validate.residual_figure(comparison).savefig(part, dpi=200)
        print(f"wrote {directory / METRICS_NAME} and {FIGURE_NAME}", file=sys.stderr)


def _output_directory(options: argparse.Namespace) -> Path | None:
    """Make the output directory, refusing to replace files in it unasked."""
    if not options.output:
        return None
    directory = Path(options.output)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: cannot make this directory ({error.strerror})") from error
    for name in (METRICS_NAME, FIGURE_NAME):
        check_output(directory / name, overwrite=options.overwrite)
    return directory


def _selection_text(comparison: validate.Comparison) -> str:
    """Stars left after each step of the selection."""
    return "\n".join(f"{count:7d} stars {step}" for step, count in comparison.counts.items())


def _metrics_text(numbers: dict) -> str:
    """Metrics as a table for people."""
    lines = [f"{'':8}{'':9}{'n':>6}{'bias':>10}{'scatter':>10}{'rmse':>10}{'pull':>8}"]
    for group, by_label in numbers.items():
        for name, m in by_label.items():
            digits = 0 if name == "teff" else 3
            cells = (
                "".join(f"{m[k]:10.{digits}f}" for k in ("bias", "scatter", "rmse"))
                + f"{m['pull']:8.2f}"
                if m["n"]
                else f"{'no stars':>38}"
            )
            lines.append(f"{group:8}{name:9}{m['n']:6d}{cells}")
    return "\n".join(lines)
