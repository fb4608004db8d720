"""`xpfit validate`: numbers as text and JSON, figures, references."""

import json

import numpy as np
import pytest
from helpers import run_command as run

from xpfit import is_reliable, read_catalogue
from xpfit.validate import attach_truth


def test_validate_prints_json_and_nothing_else_on_standard_output(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    assert run("validate", tmp_path / "f.fits", "--json", "--min-snr", 0) == 0
    said = capsys.readouterr()
    numbers = json.loads(said.out)
    assert list(numbers) == ["giants", "dwarfs", "all"]
    assert "12 stars in the catalogue" in said.err


def test_validate_with_a_reference_table_gives_the_same_numbers(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    capsys.readouterr()
    run("validate", tmp_path / "f.fits", "--json")
    own = json.loads(capsys.readouterr().out)
    run("validate", tmp_path / "f.fits", "--json", "--reference", stars)
    other = json.loads(capsys.readouterr().out)
    for group in own:
        for name in ("teff", "feh", "logg", "alpha_m"):
            assert other[group][name] == pytest.approx(own[group][name], rel=1e-5)


def test_validate_refuses_a_table_that_is_no_catalogue(stars, capsys):
    assert run("validate", stars) == 1
    assert "the catalogue lacks" in capsys.readouterr().err


def test_validate_keeps_existing_files_unless_asked(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    arguments = ("validate", tmp_path / "f.fits", "--output", tmp_path / "v", "--quiet")
    assert [run(*arguments), run(*arguments), run(*arguments, "--overwrite")] == [0, 1, 0]


def test_temperatures_of_a_survey_with_known_truth_are_in_kelvin(simulated_model, tmp_path, capsys):
    survey, fitted = tmp_path / "survey.h5", tmp_path / "f.h5"
    assert run("simulate", "--n", 80, *simulated_model, "--output", survey, "--quiet") == 0
    assert run("fit", survey, *simulated_model, "--output", fitted, "--quiet") == 0
    arguments = ("validate", fitted, "--truth", survey, "--output", tmp_path / "v")
    assert run(*arguments, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "v" / "metrics.json").read_text())
    table = read_catalogue(fitted)
    true = attach_truth(table, survey)
    good = is_reliable(table["quality_flags"], table["fit_flags"]) & ~(true["mass_ratio"] > 0)
    residual = np.asarray(table["teff"] - 1000.0 * true["teff"])[good]
    assert numbers["all"]["teff"]["n"] == good.sum() > 20
    expected = 1.4826 * np.median(np.abs(residual - np.median(residual)))
    assert written["all"]["teff"]["scatter"] == pytest.approx(expected, rel=1e-3)
    assert run(*arguments[:4]) == 0
    shown = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("teff"))
    assert float(shown.split()[2]) == pytest.approx(expected, abs=0.6)
