"""What all commands have in common: help, version, outputs that exist, interruptions."""

import argparse
import importlib
from pathlib import Path

import pytest
from helpers import run_command as run

import xpfit
from xpfit import read_catalogue
from xpfit.cli import COMMANDS, main
from xpfit.cli.options import text_table
from xpfit.cli.parser import Parser, seed, wavelength_grid


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("there.fits", "exists already; use --overwrite"),
        ("stars.fits", "stars.fits is read by this command as well (inputs)"),
        ("absent/f.fits", "no such directory"),
        ("f.csv", "use one of .fits, .vot"),
        (".", "is a directory"),
    ],
)
def test_bad_output_is_refused_before_any_work(stars, tmp_path, capsys, output, message):
    before = stars.read_bytes()
    (tmp_path / "there.fits").write_text("there")
    assert run("fit", stars, "--output", tmp_path / output) == 1
    said = capsys.readouterr().err
    assert message in said and "%" not in said  # no progress bar was shown
    assert stars.read_bytes() == before


def test_output_that_exists_is_replaced_when_asked(stars, tmp_path):
    out = tmp_path / "f.fits"
    out.write_text("old")
    assert run("fit", stars, "--output", out, "--overwrite", "--quiet") == 0
    assert len(read_catalogue(out)) == 12


def test_interrupt_ends_quietly(stars, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(xpfit.Fitter, "fit", interrupted)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stars.fits"]


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("name", "module", "text"), COMMANDS)
def test_help_of_every_command(name, module, text, capsys):
    assert text in help_of(capsys)
    shown = help_of(capsys, name)
    assert shown.startswith(f"usage: xpfit {name}")
    module = importlib.import_module(f"xpfit.cli.{module}")
    assert " ".join(module.__doc__.split()) in shown


def test_help_shows_defaults_once(capsys):
    shown = help_of(capsys, "fit")
    assert "starts tried per star (default: 16)" in shown
    assert "(default: the one that comes with xpfit)" in shown and "default: None" not in shown


@pytest.mark.parametrize("verb", ["train", "predict", "card"])
def test_help_of_every_verb_of_companion(verb, capsys):
    assert help_of(capsys, "companion", verb).startswith(f"usage: xpfit companion {verb}")


def test_there_are_twenty_commands_with_a_module_each():
    folder = Path(xpfit.__file__).parent / "cli"
    modules = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "extinction_features",
        "failure",
        "labels",
        "options",
        "parallaxes",
        "parser",
        "resume",
    }
    assert {module for _, module, _ in COMMANDS} == modules and len(COMMANDS) == 20


def test_options_are_written_as_in_the_usage():
    parser = Parser()
    parser.option("file FILE", "to read", nargs="?")
    parser.option("--json", "print JSON")
    parser.option("--first N", "rows", default=3)
    parser.option("--format", "of the output", choices=("png", "pdf"), default="png")
    parser.common("quiet", "seed")
    given = parser.parse_args(["a.h5", "--json", "--first", "5", "--seed", "2"])
    assert (given.file, given.json, given.first, given.seed) == ("a.h5", True, 5, 2)
    assert (given.format, given.quiet) == ("png", False)
    assert "--first N" in parser.format_help()


@pytest.mark.parametrize(
    "text", ["400:600:0", "400:600:-1", "600:400:2", "400:600:1e-9", "nan:1:1"]
)
def test_grids_that_are_no_grids_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="START:STOP:STEP"):
        wavelength_grid(text)


@pytest.mark.parametrize("text", ["-1", str(2**63)])
def test_seeds_that_no_generator_takes_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="between 0 and"):
        seed(text)


def test_cells_of_a_text_table_are_aligned():
    assert text_table([5, 4, 6], [["", "n", "bias"], ["feh", 12, "0.10"]]) == (
        "        n  bias\nfeh    12  0.10"
    )


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert xpfit.__version__ in capsys.readouterr().out
