"""Options of the tables of labels: of one survey, or of several that are tied together."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from ..errors import InputError
from ..prepare.label_scales import LabelScales, combine_surveys, with_source_ids
from ..prepare.labels import LABEL_EPOCH
from ..read import read_labels, read_survey
from ..read.labels import ANY_TABLE, survey_of
from ..read.surveys import survey_names
from ..read.units import say_once
from .parser import Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE_FILES = ("label_scales.json", "label_scales.png")
"""What ``--label-scales`` writes."""


def add_label_options(command: Parser) -> None:
    """Add the options of labels."""
    command.option(
        "--labels [NAME=]TABLE",
        "labels of a survey, to train on; repeated, each with the NAME of its survey, for several, "
        "whose label systems are then tied together by the stars in common",
        action="append",
        default=[],
    )
    command.option(
        "--survey NAME",
        f"whose table that is, if its columns do not tell: {', '.join(survey_names())}, other (any "
        "table), or a TOML file that names the columns",
    )
    command.option(
        "--reference-survey NAME",
        "survey on whose scale the labels of several are (default: the first)",
    )
    command.option(
        "--label-scales DIR",
        f"directory for the relations of several surveys: {' and '.join(SCALE_FILES)}",
    )
    command.option(
        "--hot-payne TABLE",
        "the Hot Payne's catalogue, for hot stars of LAMOST's spectra of low resolution",
    )
    command.option(
        "--label-columns NAME=COLUMN,...",
        "names of the columns of another table, such as teff=TEFF,feh=M_H",
    )
    command.option(
        "--label-epoch YEAR",
        "Julian year of the labels' positions, where they are joined by position",
        default=LABEL_EPOCH,
    )


class LabelTables:
    """The tables that ``--labels`` names.

    Parameters
    ----------
    options : argparse.Namespace
        Its `labels` become the files alone, so that no output replaces them.

    Raises
    ------
    InputError
        If options contradict each other.
    """

    def __init__(self, options: argparse.Namespace):
        self._options = options
        self._given = [_name_and_file(text) for text in options.labels]
        options.labels = [path for _, path in self._given]
        self._several = len(self._given) > 1
        _check(options, self._several)
        self._surveys: dict[str, Table] = {}
        self._scales: LabelScales | None = None

    def read(self, astrometry: Table | None) -> Table | None:
        """Labels, of several surveys on the scale of the reference; None if none are given."""
        if not self._given:
            return None
        if not self._several:
            ((name, path),) = self._given
            return self._one(name, path)
        for name, path in self._given:
            table = self._one(name, path)
            name = name or str(table.meta["survey"])
            name = Path(path).name.partition(".")[0] if name == ANY_TABLE else name
            if name in self._surveys:
                raise InputError(
                    f"two tables of labels are called {name}; give them other names: --labels "
                    "NAME=TABLE"
                )
            epoch = self._options.label_epoch
            self._surveys[name] = with_source_ids(table, astrometry, epoch=epoch)
        table, self._scales = combine_surveys(self._surveys, self._options.reference_survey)
        say_once("\n".join(self._scales.lines()))
        return table

    def files(self) -> dict[str, dict | Figure]:
        """The relations of the surveys by file name, if they are asked for."""
        if not (self._options.label_scales and self._scales):
            return {}
        from ..plots.label_scales import label_scales_figure

        figure = label_scales_figure(self._surveys, self._scales)
        return dict(zip(SCALE_FILES, (self._scales.to_dict(), figure), strict=True))

    def _one(self, name: str, path: str) -> Table:
        """One table."""
        options = self._options
        if options.label_columns:
            pairs = [pair.partition("=") for pair in options.label_columns.split(",") if pair]
            return read_labels(path, {name: column for name, _, column in pairs})
        survey = options.survey or (name if _is_survey(name) else None)
        hot_payne = options.hot_payne
        if self._several and hot_payne:
            found = survey_of(path, survey)
            hot_payne = hot_payne if found and found.name == "lamost-lrs" else None
        return read_survey(path, survey, hot_payne=hot_payne)


def _is_survey(name: str) -> bool:
    """Whether a name says what the columns are."""
    return name in survey_names() or name == ANY_TABLE or name.endswith(".toml")


def _name_and_file(text: str) -> tuple[str, str]:
    """Name (empty if there is none) and file of ``[NAME=]TABLE``."""
    name, equals, path = text.partition("=")
    return ("", text) if not equals or os.path.exists(text) else (name, path)


def _check(options: argparse.Namespace, several: bool) -> None:
    """Refuse options that contradict each other."""
    if not options.labels:
        for option in ("survey", "hot_payne", "label_columns"):
            if getattr(options, option):
                raise InputError("give the table of labels with --labels")
    if options.label_columns and (several or options.survey not in (None, ANY_TABLE)):
        raise InputError(
            "--label-columns is for one table of another survey; for several give TOML files that "
            "name the columns: --labels FILE.toml=TABLE"
        )
    if options.survey and several:
        raise InputError("--survey is for one table; name several as --labels NAME=TABLE")
    if not several and (options.reference_survey or options.label_scales):
        raise InputError("--reference-survey and --label-scales go with several --labels")
