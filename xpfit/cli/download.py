"""``xpfit download``."""

from __future__ import annotations

import argparse

from ..errors import ArchiveError
from ..read import read_source_ids
from ..read.archive import MAX_BATCH, ArchiveClient, Download
from .options import add_command


def add(commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "download",
        _download,
        "Download XP spectra, astrometry and photometry of some sources; run again to resume.",
        overwrite=False,
    )
    command.add_argument(
        "--source-ids",
        required=True,
        metavar="FILE",
        help="Gaia DR3 source ids: text, one a line, or a table with a column source_id",
    )
    command.add_argument("--output", required=True, metavar="DIR", help="directory to fill")
    command.add_argument("--batch-size", type=int, default=MAX_BATCH, help="sources per request")


def _download(options: argparse.Namespace) -> None:
    """Download what is missing, and say what became of every source."""
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
