"""Write a report on a catalogue: one HTML file that shows whether it can be trusted."""

from __future__ import annotations

import argparse
from functools import partial

from ..report import write_report
from . import options as shared
from .parser import INPUT_HELP, REFERENCE_HELP, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "catalogue CATALOGUE",
        "written by 'xpfit fit' or 'convert', directory of 'xpfit run', or ZGR23's",
    )
    command.option("--output FILE.html", "the report", required=True)
    command.option("--reference TABLE", REFERENCE_HELP)
    command.option(
        "--model MODEL.h5",
        "model of the fits (default: the one that comes with xpfit, if it was used)",
    )
    command.option(
        "--spectra FILE",
        f"files with the spectra of the worst and the most typical stars: {INPUT_HELP}",
        nargs="+",
        default=[],
    )
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Write a report."""
    shared.check_outputs(options, options.output)
    gathered = write_report(
        options.catalogue,
        options.output,
        reference=options.reference,
        model=options.model,
        spectra=options.spectra,
        overwrite=options.overwrite,
        watch=partial(shared.progress, options),
    )
    shared.say(
        options,
        f"wrote {options.output}: {gathered.n_star} stars, {gathered.n_reliable} reliable",
    )
