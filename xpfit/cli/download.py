"""Download XP spectra, astrometry and photometry of sources; run again to resume."""

from __future__ import annotations

import argparse

from ..errors import ArchiveError
from ..read import read_source_ids
from ..read.archive import MAX_BATCH, ArchiveClient, Download
from . import options as shared


def add(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.add_output_options(command, overwrite=False)
    command.add_argument(
        "--source-ids",
        required=True,
        metavar="FILE",
        help="Gaia DR3 source ids: text, one per line, or a table with a column source_id",
    )
    command.add_argument("--output", required=True, metavar="DIR", help="directory to fill")
    command.add_argument("--batch-size", type=int, default=MAX_BATCH, help="sources per request")


def run(options: argparse.Namespace) -> None:
    """Download what is missing, and print the outcome for every source."""
    ids = read_source_ids(options.source_ids)
    download = Download(options.output, ArchiveClient(), options.batch_size)
    download.run(ids, progress=not options.quiet)
    if not options.quiet:
        print(download.summary())
        print(f"next: xpfit prepare {download.directory}/spectra/*.h5 --output spectra.h5")
    if download.n_failed:
        raise ArchiveError(
            f"{download.n_failed} sources are incomplete (see accounts.ecsv); run the same command "
            "again to ask for them once more"
        )
