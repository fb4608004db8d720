"""Parsers of commands: options as the usage shows them, and those that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..releases import RELEASES

INPUT_HELP = (
    "XP continuous or sampled spectra in any format (see docs/tables.md), packed or not, the "
    "APOGEE-XP library, or prepared spectra (HDF5, Parquet); FILE[TABLE] is one table of a file"
)

CATALOGUE_HELP = "catalogue to write: OUT.fits, .vot, .ecsv, .parquet or .h5"

REFERENCE_HELP = (
    "table of labels (default: those that came with the spectra). Tables of XGBoost, StarHorse and "
    "GSP-Phot are recognised; NAME=TABLE says which one it is (also fallows, aspgap, hattori), "
    "DESCRIPTION.toml=TABLE what its columns are"
)

DEFAULT_MODEL = "(default: the one that comes with xpfit)"


MAX_WAVELENGTHS = 10_000
"""Of a grid: that of XP spectra in steps of 0.07 nm."""


def wavelength_grid(text: str):
    """Wavelengths from START:STOP:STEP."""
    import numpy as np

    start, stop, step = (float(part) for part in text.split(":"))
    n = (stop - start) / step if step > 0 else np.nan
    if not 0 <= n < MAX_WAVELENGTHS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give START:STOP:STEP in nm, STOP above START, STEP positive, and "
            f"fewer than {MAX_WAVELENGTHS} wavelengths"
        )
    return start + step * np.arange(np.floor((stop - start) / step + 1e-9) + 1)


def seed(text: str) -> int:
    """A seed of random numbers."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r}: give an integer between 0 and 2^63 - 1")
    return value


COMMON = {
    "inputs": ("inputs INPUT", INPUT_HELP, {"nargs": "+"}),
    "spectra": ("spectra SPECTRA", INPUT_HELP, {"nargs": "+"}),
    "output": ("--output OUT", CATALOGUE_HELP, {"required": True}),
    "overwrite": ("--overwrite", "replace existing output"),
    "quiet": ("--quiet", "no progress bar, no summary"),
    "model": ("--model MODEL.h5", f"model file {DEFAULT_MODEL}"),
    "shapes-only": (
        "--shapes-only",
        "fit the shapes of spectra alone: take luminosities out of the model, leave each star's "
        "amplitude free, and use no parallaxes",
    ),
    "seed": ("--seed SEED", "seed of all random numbers", {"type": seed, "default": 1}),
    "jobs": (
        "--jobs JOBS",
        "threads for the fits (processes for scipy); -1 for one per processor",
        {"default": 1},
    ),
    "exclude": (
        "--exclude IDS",
        "source ids never to train on: text, one per line, or a table with ids",
    ),
    "wavelength": (
        "--wavelength START:STOP:STEP",
        "wavelengths in nm of sampled space, both ends included; ZGR23's are 392:992:10",
        {"type": wavelength_grid},
    ),
    "photometry": (
        "--photometry TABLE",
        "table of 2MASS and WISE magnitudes with source ids; FILE[TABLE] is one table of a file",
    ),
    "astrometry": (
        "--astrometry TABLE",
        "rows of gaia_source: parallaxes, and the columns that their zero point depends on (or a "
        "column zero_point); fits by a model that knows luminosities, as xpfit's own does, combine "
        "them with the spectra",
    ),
    "no-zero-point": ("--no-zero-point", "do not subtract the zero point from parallaxes"),
    "correction": (
        "--correction NAME=DIR",
        "correct the flux of spectra of the archive: huang2024 or ye2025, with the directory of "
        "its files; G, BP, RP and E(B-V) (ebv) of the stars are taken from --astrometry",
    ),
    "crosswalk": (
        "--crosswalk TABLE",
        "columns dr3_source_id and dr4_source_id, for tables whose ids are of another data release "
        "than the spectra",
    ),
    "release": (
        "--release RELEASE",
        "Gaia's data release of files of the archive that do not tell it, such as XP sampled "
        "spectra (else DR3 is assumed, and said)",
        {"choices": tuple(RELEASES)},
    ),
    "basis": (
        "--basis FILE",
        "basis functions of XP continuous spectra, where the installed GaiaXPy does not know them: "
        "a file of xpfit.prepare.save_basis (see docs/archive.md)",
    ),
    "no-model-covariance": (
        "--no-model-covariance",
        "neglect the emulator's own error: errors of the measurement alone, as in ZGR23",
    ),
    "distance-prior": (
        "--distance-prior PRIOR",
        "on distances: none, for the posterior of the fit as it is, or uniform, for stars of "
        "uniform density in space, out to 100 kpc",
        {"choices": ("none", "uniform"), "default": "none"},
    ),
    "confidence": (
        "--confidence CONFIDENCE.h5",
        "classifiers of 'xpfit train-confidence' (default: for xpfit's own model those that come "
        "with it, for others none)",
    ),
    "start-from": (
        "--start-from COMPANION.h5",
        "start from the predictions of an uncertain network ('xpfit companion train') instead of "
        "searching for starts: half the time, and a few stars end in a worse mode",
    ),
    "companion": (
        "--companion COMPANION.h5",
        "add columns with a companion's independent estimate, and by how many errors the fit "
        "differs; of an auto-encoder, how unlike the training set a spectrum is (repeatable, once "
        "for each kind)",
        {"action": "append", "default": []},
    ),
}
"""Usage, help and, where there are any, keyword arguments of what several commands have."""

FIT_MODEL = ("model", "shapes-only")
"""The model of a fit."""

TABLES = (
    "photometry", "astrometry", "no-zero-point", "correction", "basis", "release", "crosswalk"
)  # fmt: skip
"""Tables to be joined to spectra, the correction of their flux, which depends on these, their basis
functions, and the data release of files that do not tell it."""

COMPANIONS = ("confidence", "start-from", "companion")
"""Confidence classifiers and companions of a fit."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the defaults that the help does not mention."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, []) or "(default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Parser of a command."""

    def option(self, usage: str, text: str | None = None, **keywords) -> None:
        """Add an option or a positional argument.

        Parameters
        ----------
        usage : str
            As the usage shows it: ``--option VALUE``; ``--option`` for a switch, if there are no
            `keywords`; ``name VALUE`` for a positional argument.
        text : str, optional
            Help.
        **keywords
            For `argparse.ArgumentParser.add_argument`. The type is that of the default.
        """
        name, _, metavar = usage.partition(" ")
        if metavar:
            keywords.setdefault("metavar", metavar)
            default = keywords.get("default")
            if isinstance(default, (int, float)):
                keywords.setdefault("type", type(default))
        elif name.startswith("--") and not keywords:
            keywords["action"] = "store_true"
        self.add_argument(name, help=text, **keywords)

    def common(self, *names: str, **changes) -> None:
        """Add arguments of `COMMON`; `changes` replace their keyword arguments."""
        for name in names:
            usage, text, *keywords = COMMON[name]
            self.option(usage, text, **dict(*keywords, **changes))

    def verbs(self, *verbs: tuple[str, Callable, Callable, str]) -> None:
        """Add verbs: name, function that adds arguments, function that does the work, help."""
        group = self.add_subparsers(dest="verb", metavar="VERB", required=True)
        for name, add_arguments, work, text in verbs:
            verb = group.add_parser(
                name, help=text, description=text, formatter_class=self.formatter_class
            )
            add_arguments(verb)
            verb.set_defaults(work=work)
