"""Download XP spectra, astrometry and photometry of sources; run again to resume."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ArchiveError
from ..read import read_source_ids
from ..read.archive import MAX_BATCH, ArchiveClient, Download
from ..releases import DEFAULT, RELEASES
from . import options as shared
from .parser import Parser

TABLES = ("accounts.ecsv", "gaia_source.fits", "photometry.fits")
"""What is written anew in the directory each time."""


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "--source-ids FILE",
        "Gaia source ids of the release: text, one per line, or a table with a column source_id",
        required=True,
    )
    command.option("--output DIR", "directory to fill", required=True)
    command.option(
        "--release RELEASE",
        "Gaia's data release; the names of DR4's tables, columns and spectra are assumptions until "
        "the archive publishes them",
        choices=tuple(RELEASES),
        default=DEFAULT,
    )
    command.option("--epochs", "download epoch XP spectra, too (not of DR3)")
    command.option("--batch-size N", "sources per request", default=MAX_BATCH)
    command.common("quiet")


def run(options: argparse.Namespace) -> None:
    """Download what is missing, and print the outcome for every source."""
    ids = read_source_ids(options.source_ids)
    written = [Path(options.output) / name for name in TABLES]
    shared.check_outputs(options, *filter(Path.exists, written), overwrite=True)
    client = ArchiveClient(release=RELEASES[options.release])
    download = Download(options.output, client, options.batch_size, epochs=options.epochs)
    download.run(ids, progress=not options.quiet)
    following = f"next: xpfit prepare {download.directory}/spectra/*.h5 --output spectra.h5"
    shared.say(options, download.summary(), following)
    if download.n_failed:
        raise ArchiveError(
            f"{download.n_failed} sources are incomplete (see accounts.ecsv); run the same command "
            "again to ask for them once more"
        )
