"""docs/figures.md has every figure and table of the papers, with a command that exists."""

import re
import shlex
from pathlib import Path

import pytest

from xpfit.cli import build_parser

PAGE = (Path(__file__).parents[1] / "docs" / "figures.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| (F&S |L&S )?(Fig|fig|Table|table)", line)
]
EXPECTED = [
    *(f"Fig. {n}" for n in range(1, 27)),
    *(f"Table {n}" for n in range(1, 4)),
    *(f"F&S fig. {n}" for n in (*range(1, 15), "A1")),
    "L&S table 1",
]


def test_every_figure_and_table_is_listed_once():
    assert [row[0] for row in ROWS] == EXPECTED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_has_a_command_and_both_numbers(row):
    _, command, paper, here, difference = row
    assert paper and here and difference
    if command == "none":
        assert row[0] == "Fig. 2"
        return
    program, *arguments = shlex.split(re.fullmatch(r"`([^`]+)`", command).group(1))
    assert program == "xpfit"
    build_parser(arguments[0]).parse_args(arguments)
