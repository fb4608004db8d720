import json

import pytest
from archive import archive_sources, write_archive

from xpfit import read_catalogue
from xpfit.cli import build_parser, main
from xpfit.cli.options import REFUSED


@pytest.fixture
def files(rng, tmp_path):
    """A good file of three stars, one that ends in its third row, and one of another kind."""
    good = write_archive(archive_sources(3, rng), tmp_path / "good.csv", "csv (a, b)")
    content = good.read_bytes()
    (tmp_path / "cut.csv").write_bytes(content[:-2000])
    (tmp_path / "bad.csv").write_text("source_id,flux\n1,2\n")
    return [str(tmp_path / name) for name in ("good.csv", "cut.csv", "bad.csv")]


def test_fit_keeps_the_stars_of_good_files_and_its_status_says_that_others_were_refused(
    files, tmp_path, capsys
):
    output = tmp_path / "out.fits"
    assert main(["fit", *files, "--output", str(output), "--quiet"]) == REFUSED
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == (
        "finished, with refusals: 2 of 3 files in whole or in part not in the catalogue"
    )
    assert any("cut.csv" in line and "row 3" in line for line in lines)
    assert any("bad.csv" in line and "missing columns" in line for line in lines)
    assert len(read_catalogue(output)) == 3 + 2


def test_fit_of_one_file_that_cannot_be_read_is_an_error(files, tmp_path, capsys):
    assert main(["fit", files[2], "--output", str(tmp_path / "out.fits")]) == 1
    assert "bad.csv" in capsys.readouterr().err
    assert not (tmp_path / "out.fits").exists()


def test_a_file_that_is_missing_is_noticed_before_any_fit(files, tmp_path, capsys):
    command = ["fit", files[0], str(tmp_path / "absent.csv"), "--output", str(tmp_path / "o.fits")]
    assert main(command) == 1
    assert "absent.csv" in capsys.readouterr().err and not (tmp_path / "o.fits").exists()


def test_run_counts_what_it_refused_in_its_last_line_and_its_status(files, tmp_path, capsys):
    command = ["run", *files, "--output-dir", str(tmp_path / "run"), "--workers", "1"]
    assert main([*command, "--quiet"]) == REFUSED
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("finished, with refusals: 2 files in whole or in part not in the cat")
    account = json.loads((tmp_path / "run" / "account.json").read_text())
    assert [len(r["reason"]) > 0 for r in account["refused"]] == [True, True]
    assert len(read_catalogue(tmp_path / "run")) == 3 + 2
    assert main([*command, "--quiet"]) == REFUSED  # that of a finished run, too


def test_what_was_lost_of_a_file_that_was_cut_off_is_read_when_it_is_tried_again(files, tmp_path):
    command = ["run", files[1], "--output-dir", str(tmp_path / "run"), "--workers", "1", "--quiet"]
    assert main(command) == REFUSED
    with open(files[0], "rb") as good, open(files[1], "wb") as cut:
        cut.write(good.read())
    assert main([*command, "--retry-refused"]) == 0
    assert len(read_catalogue(tmp_path / "run")) == 3


@pytest.mark.parametrize("command", ["fit", "run"])
def test_the_exit_status_of_refusals_is_documented(command):
    parser = build_parser(command)
    choices = next(a.choices for a in parser._actions if a.choices)
    assert f"{REFUSED}" in choices[command].description
