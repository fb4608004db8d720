import json

import numpy as np
import pytest
from astropy.table import Table
from helpers import legend_of, picture_size

from xpfit import InputError, write_catalogue
from xpfit.cli import main
from xpfit.plots import coverage_figure
from xpfit.simulate import simulate_survey, write_survey
from xpfit.validate import attach_truth, coverage

NAMES = ("teff", "feh", "logg", "extinction", "parallax")


@pytest.fixture(scope="module")
def survey(absolute_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("survey") / "survey.h5"
    survey = simulate_survey(absolute_model, 3000, np.random.default_rng(4))
    write_survey([survey], absolute_model, path)
    return survey, path


def catalogue(survey, rng, *, width=1.0, bias=0.0):
    """Estimates with correlated Gaussian errors, `width` times as wide as they claim to be."""
    order = rng.permutation(len(survey.spectra))
    truth = survey.truth
    true = np.column_stack([truth["labels"], truth["extinction"], truth["parallax"]])[order]
    error = np.array([0.05, 0.1, 0.2, 0.03, 0.01])
    correlation = 0.6 * np.ones((5, 5)) + 0.4 * np.eye(5)
    covariance = correlation * np.outer(error, error)
    noise = rng.standard_normal(true.shape) @ np.linalg.cholesky(covariance).T
    table = Table({"gdr3_source_id": survey.spectra.source_id[order]})
    table["stellar_params_est"] = true + width * noise + bias * error
    table["stellar_params_err"] = np.tile(error, (len(true), 1))
    table["stellar_params_cov_triu"] = np.tile(covariance[np.triu_indices(5)], (len(true), 1))
    table["phot_g_mean_mag"] = survey.spectra.gaia["phot_g_mean_mag"][order]
    table["quality_flags"] = np.zeros(len(true), dtype=np.uint8)
    table["fit_flags"] = np.zeros(len(true), dtype=np.int16)
    return table


def test_honest_errors_cover_what_they_claim(survey, rng):
    table = catalogue(survey[0], rng)
    numbers = coverage(table, attach_truth(table, survey[1]))
    single = int(np.sum(survey[0].truth["mass_ratio"] == 0))
    for name in (*NAMES, "joint"):
        entry = numbers["all"][name]
        assert entry["n"] == single
        assert entry["cover68"] == pytest.approx(0.68, abs=0.035), name
        assert entry["cover95"] == pytest.approx(0.95, abs=0.017), name
    assert numbers["all"]["teff"]["scatter"] == pytest.approx(50.0, rel=0.06)  # K
    groups = numbers["giants"]["joint"]["n"] + numbers["dwarfs"]["joint"]["n"]
    by_g = sum(group["joint"]["n"] for name, group in numbers.items() if name.startswith("G "))
    assert groups == by_g == single


def test_errors_too_small_and_biases_are_seen(survey, rng):
    table = catalogue(survey[0], rng, width=2.0)
    numbers = coverage(table, attach_truth(table, survey[1]))["all"]
    assert numbers["feh"]["pull"] == pytest.approx(2.0, rel=0.06)
    assert numbers["feh"]["cover68"] < 0.45 and numbers["joint"]["cover95"] < 0.5
    table = catalogue(survey[0], rng, bias=1.0)
    numbers = coverage(table, attach_truth(table, survey[1]))["all"]
    assert numbers["logg"]["bias"] == pytest.approx(0.2, rel=0.1)


def test_flagged_and_unknown_fits_are_left_out(survey, rng):
    table = catalogue(survey[0], rng)
    truth = attach_truth(table, survey[1])
    single = np.flatnonzero(truth["mass_ratio"] == 0)
    table["quality_flags"][single[:100]] = 8
    table["stellar_params_est"][single[100:110]] = np.nan
    n = coverage(table, truth)["all"]["joint"]["n"]
    assert n == len(single) - 110
    assert coverage(table, truth, include_flagged=True)["all"]["joint"]["n"] == n + 100


def test_parameters_that_the_model_does_not_know_are_left_out(survey, rng):
    table = catalogue(survey[0], rng)
    table["stellar_params_est"][:, 4] = np.nan
    triangle = np.array(table["stellar_params_cov_triu"])
    triangle[:, np.triu_indices(5)[1] == 4] = np.nan
    table["stellar_params_cov_triu"] = triangle
    numbers = coverage(table, attach_truth(table, survey[1]))["all"]
    assert "parallax" not in numbers
    assert numbers["joint"]["cover68"] == pytest.approx(0.68, abs=0.035)


def test_another_survey_is_refused(survey, rng, tmp_path, absolute_model):
    table = catalogue(survey[0], rng)
    table["gdr3_source_id"] += 1
    with pytest.raises(InputError, match="none of the catalogue's stars is in this survey"):
        attach_truth(table, survey[1])
    (tmp_path / "x.h5").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="not a simulated survey"):
        attach_truth(table, tmp_path / "x.h5")


def test_coverage_from_the_command_line(survey, rng, tmp_path, capsys):
    write_catalogue(catalogue(survey[0], rng), tmp_path / "c.parquet")
    out = tmp_path / "out"
    command = ["validate", str(tmp_path / "c.parquet"), "--truth", str(survey[1])]
    assert main([*command, "--output", str(out)]) == 0
    said = capsys.readouterr().out
    assert "giants" in said and "68 %" in said and "joint" in said
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["all"]["joint"]["n"] > 1000
    scatter = numbers["all"]["teff"]["scatter"]
    assert scatter == pytest.approx(50.0, rel=0.06) and f"{scatter:10.0f}" in said  # K
    assert picture_size(out / "coverage.png") == (7.2, 4.8)


def test_coverage_is_drawn_by_group_and_parameter(survey, rng):
    table = catalogue(survey[0], rng)
    numbers = coverage(table, attach_truth(table, survey[1]))
    (panel,) = coverage_figure(numbers).axes
    assert len(panel.get_xticklabels()) == len(numbers)
    symbols = [r"$T_{\rm eff}$", "[Fe/H]", r"$\log g$", "E", r"$\varpi$", "jointly"]
    assert legend_of(panel) == symbols
    drawn = {line.get_label(): line.get_ydata()[0] for line in panel.lines}
    assert drawn["E"] == numbers["all"]["extinction"]["cover68"]
