"""The option --parallaxes of commands that learn from stars, some of which have one."""

from __future__ import annotations

import argparse

import numpy as np

from ..data import Spectra
from ..errors import InputError
from ..prepare import attach_astrometry
from ..read import read_table
from ..read.joins import integer_ids
from ..read.tables import float_column
from . import options as shared
from .parser import Parser

HELD_OUT = "held_out"
"""Column of a table of parallaxes: 1 for stars that are kept to test a model with."""


def add_parallaxes(command: Parser) -> None:
    """Add the options."""
    command.option(
        "--parallaxes TABLE",
        "measured parallaxes, as for --astrometry of 'xpfit prepare', with a column zero_point or "
        "those that it depends on; stars with held_out = 1 in this table are never trained on",
    )
    command.common("no-zero-point")


def with_parallaxes(options: argparse.Namespace, spectra: Spectra) -> tuple[Spectra, np.ndarray]:
    """Spectra with the table of parallaxes joined, and ids of those that it holds out.

    Raises
    ------
    InputError
        If none of the stars is in the table.
    """
    held_out = np.zeros(0, dtype=np.int64)
    if not options.parallaxes:
        return spectra, held_out
    table = read_table(options.parallaxes)
    if HELD_OUT in table.colnames:
        chosen = float_column(table[HELD_OUT]) == 1
        held_out = integer_ids(table[chosen], options.parallaxes)
    spectra = attach_astrometry(spectra, table, zero_point=not options.no_zero_point)
    say_matched(options, options.parallaxes, np.isfinite(spectra.parallax_err), "parallax")
    n_out = np.sum(np.isin(spectra.source_id, held_out))
    if len(held_out):
        shared.say(options, f"{options.parallaxes}: {n_out} stars are held out")
    return spectra, held_out


def say_matched(options: argparse.Namespace, path: str, known: np.ndarray, what: str) -> None:
    """Say how many stars a table is of; an error if there are none."""
    if not known.any():
        raise InputError(f"{path}: none of the {len(known)} stars has a {what} in this table")
    shared.say(options, f"{path}: {known.sum()} of {len(known)} stars have a {what}")
