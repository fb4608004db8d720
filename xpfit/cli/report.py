"""Write a report on a catalogue: one HTML file that shows whether it can be trusted."""

from __future__ import annotations

import argparse
from functools import partial

from ..files import check_output
from ..report import write_report
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command)
    command.add_argument(
        "catalogue",
        metavar="CATALOGUE",
        help="written by 'xpfit fit' or 'convert', directory of 'xpfit run', or ZGR23's",
    )
    command.add_argument("--output", required=True, metavar="FILE.html", help="the report")
    command.add_argument(
        "--reference",
        metavar="TABLE",
        help="FITS or ECSV table of labels (default: those that came with the spectra)",
    )
    command.add_argument(
        "--model",
        metavar="MODEL.h5",
        help="model of the fits (default: the one that comes with xpfit, if it was used)",
    )
    command.add_argument(
        "--spectra",
        metavar="FILE",
        nargs="+",
        default=[],
        help=f"files with the spectra of the worst and the most typical stars: {shared.INPUT_HELP}",
    )


def run(options: argparse.Namespace) -> None:
    """Write a report."""
    check_output(options.output, overwrite=options.overwrite)
    gathered = write_report(
        options.catalogue,
        options.output,
        reference=options.reference,
        model=options.model,
        spectra=options.spectra,
        overwrite=options.overwrite,
        watch=partial(shared.progress, options),
    )
    if not options.quiet:
        print(f"wrote {options.output}: {gathered.n_star} stars, {gathered.n_reliable} reliable")
