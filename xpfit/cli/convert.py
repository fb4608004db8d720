"""Write a catalogue in another format, without loss, or a published one as one of xpfit's."""

from __future__ import annotations

import argparse

from astropy.table import Table

from ..catalogue import read_catalogue, write_catalogue
from ..catalogue.observed import attach_observed
from ..model.store import load_model
from ..prepare.astrometry import Astrometry
from ..read import read_table
from ..read.columns import ASTROMETRY
from . import options as shared
from .parser import CATALOGUE_HELP, DEFAULT_MODEL, Parser


def add(command: Parser) -> None:
    """Add the command's arguments."""
    command.option(
        "catalogue CATALOGUE",
        "catalogue in any format that xpfit writes, the directory of 'xpfit run', or a published "
        "one: ZGR23's, or Zhang & Green's (2025), from their authors, GAVO or SDSS",
    )
    command.option("output OUT", CATALOGUE_HELP)
    command.option(
        "--astrometry TABLE",
        "rows of gaia_source: adds Gaia's parallaxes and magnitudes to a catalogue without them",
    )
    command.common("no-zero-point")
    command.option(
        "--model MODEL.h5", f"with --astrometry: for A_G of stars behind dust {DEFAULT_MODEL}"
    )
    command.common("overwrite", "quiet")


def run(options: argparse.Namespace) -> None:
    """Read and write."""
    shared.check_catalogue(options)
    table = _with_observed(options, read_catalogue(options.catalogue))
    write_catalogue(table, options.output, overwrite=options.overwrite)
    shared.say(options, f"wrote {len(table)} rows to {options.output}")


def _with_observed(options: argparse.Namespace, table: Table) -> Table:
    """The catalogue with what Gaia has measured, if it was given."""
    if not options.astrometry:
        return table
    astrometry = Astrometry(
        read_table(options.astrometry, ASTROMETRY), zero_point=not options.no_zero_point
    )
    return attach_observed(table, astrometry, load_model(options.model))
