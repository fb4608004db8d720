"""What several commands share: options, and the tables that they name."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..catalogue.companion_columns import check_companions
from ..companion import Companion, UncertainNetwork, load_companion
from ..errors import InputError
from ..fit.engines import ENGINES
from ..fit.fitter import N_STARTS, STARTS
from ..prepare import Additions
from ..read import read_table

INPUT_HELP = (
    "XP continuous or sampled spectra (CSV, ECSV, FITS, VOTable, HDF5), the APOGEE-XP library "
    "(FITS), or prepared spectra (HDF5, Parquet); gzipped or not"
)


CATALOGUE_HELP = "catalogue to write: OUT.fits, .vot, .ecsv, .parquet or .h5"


class Interrupted(KeyboardInterrupt):
    """An interruption after which there is a way to go on, which the message tells."""


def add_command(
    commands, name: str, run, text: str, *, overwrite: bool = True
) -> argparse.ArgumentParser:
    """Add a command with the options that all have, or all that write a file."""
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run)
    if overwrite:
        command.add_argument("--overwrite", action="store_true", help="replace existing output")
    command.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    return command


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


def add_confidence(command: argparse.ArgumentParser) -> None:
    """Add the option for confidence classifiers."""
    command.add_argument(
        "--confidence",
        metavar="CONFIDENCE.h5",
        help="classifiers of 'xpfit train-confidence' (default: for xpfit's own model those that "
        "come with it, for others none)",
    )


def add_companions(command: argparse.ArgumentParser) -> None:
    """Add the options for starts and second opinions by companions."""
    command.add_argument(
        "--start-from",
        metavar="COMPANION.h5",
        help="start from the predictions of an uncertain network ('xpfit companion train') instead "
        "of looking for starts: half the time, and a few stars end in a worse mode",
    )
    command.add_argument(
        "--companion",
        action="append",
        default=[],
        metavar="COMPANION.h5",
        help="add columns with a companion's opinion, and how far the fit is from it; of an "
        "auto-encoder, how unlike the training set a spectrum is (may be given once for each kind)",
    )


def companions_of(options: argparse.Namespace) -> tuple[Companion | None, tuple[Companion, ...]]:
    """Companion to start from, if any, and those whose opinion is asked for."""
    start = load_companion(options.start_from) if options.start_from else None
    if start is not None and start.kind != UncertainNetwork.kind:
        raise InputError(
            f"{options.start_from}: a companion of kind {start.kind!r} cannot say where to start; "
            "give an uncertain network"
        )
    asked = tuple(load_companion(path) for path in options.companion)
    check_companions(asked)
    return start, asked


def companion_provenance(options: argparse.Namespace) -> dict[str, str]:
    """Names of the companions, to be recorded in a catalogue."""
    names = [Path(path).name for path in options.companion]
    start = Path(options.start_from).name if options.start_from else "none"
    return {"STARTS": start, "OPINIONS": ",".join(names) or "none"}


def add_fitter(command: argparse.ArgumentParser) -> None:
    """Add the options of `xpfit.Fitter` on which results depend."""
    command.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what descends: auto is numba if it is installed, else array",
    )
    command.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="where to fit; a GPU needs CuPy"
    )
    command.add_argument(
        "--single",
        action="store_true",
        help="descend in single precision and finish in double (array engine)",
    )
    command.add_argument(
        "--no-model-covariance",
        action="store_true",
        help="take the emulator to be exact: errors of the measurement alone, as in ZGR23",
    )
    command.add_argument("--n-starts", type=int, default=N_STARTS, help="starts tried per star")
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
        help="follow K starts to their end, and tell of second modes",
    )


def fitter_options(options: argparse.Namespace) -> dict:
    """What the options of `add_fitter` say, as arguments of `xpfit.Fitter`."""
    return {
        "engine": options.engine,
        "device": options.device,
        "single": options.single,
        "starts": options.starts,
        "n_starts": options.n_starts,
        "multistart": options.multistart,
        "model_covariance": not options.no_model_covariance,
    }


def add_tables(command: argparse.ArgumentParser) -> None:
    """Add the options that name tables to be joined to spectra."""
    command.add_argument(
        "--photometry",
        metavar="TABLE",
        help="table of 2MASS and WISE magnitudes with source ids (FITS, ECSV, CSV, VOTable)",
    )
    command.add_argument(
        "--astrometry",
        metavar="TABLE",
        help="rows of gaia_source: parallaxes, and what their zero point depends on",
    )
    command.add_argument(
        "--no-zero-point", action="store_true", help="leave the zero point in the parallaxes"
    )


def additions(options: argparse.Namespace, **more) -> Additions:
    """Tables that the options of `add_tables` name, read."""
    return Additions(
        photometry=read_table(options.photometry) if options.photometry else None,
        astrometry=read_table(options.astrometry) if options.astrometry else None,
        zero_point=not options.no_zero_point,
        **more,
    )
