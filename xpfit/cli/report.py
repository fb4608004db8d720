"""``xpfit report``."""

from __future__ import annotations

import argparse

from tqdm.auto import tqdm

from ..files import check_output
from ..report import write_report
from .options import INPUT_HELP, add_command


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "report",
        _report,
        "Write a report on a catalogue: one HTML file that shows whether it can be trusted.",
    )
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
        help="that of the fits (default: the one that comes with xpfit, if it is that)",
    )
    command.add_argument(
        "--spectra",
        metavar="FILE",
        nargs="+",
        default=[],
        help="where to look for the spectra of the worst and the most typical stars: " + INPUT_HELP,
    )


def _report(options: argparse.Namespace) -> None:
    """Write a report."""
    check_output(options.output, overwrite=options.overwrite)

    def watch(parts):
        with tqdm(unit="star", disable=options.quiet) as bar:
            for part in parts:
                yield part
                bar.update(len(part))

    gathered = write_report(
        options.catalogue,
        options.output,
        reference=options.reference,
        model=options.model,
        spectra=options.spectra,
        overwrite=options.overwrite,
        watch=watch,
    )
    if not options.quiet:
        print(f"wrote {options.output}: {gathered.n_star} stars, {gathered.n_reliable} reliable")
