import json

import numpy as np
import pytest
from astropy.table import Table
from helpers import legend_of, picture_size

from xpfit import InputError
from xpfit.cli import main
from xpfit.plots.binaries import detection_figure
from xpfit.validate.binaries import detection


def population(rng, n=20_000):
    """A statistic that is standard normal for single stars, and higher for wider mass ratios."""
    mass_ratio = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.3, 1.0, n))
    statistic = rng.standard_normal(n) + np.where(mass_ratio > 0, 2.3263 * (mass_ratio < 0.85), 0)
    return statistic, mass_ratio, rng.uniform(10.0, 13.9, n)


def test_completeness_at_one_percent_false_alarms_is_that_of_gaussians(rng):
    statistic, mass_ratio, g = population(rng)
    curves = detection(statistic, mass_ratio, g)
    assert list(curves) == ["G 0-12", "G 12-14"]
    for curve in curves.values():
        assert curve["threshold"] == pytest.approx(2.3263, abs=0.12)
        assert curve["completeness"] == pytest.approx(0.5, abs=0.05)
        assert curve["found"][-1] == pytest.approx(0.01, abs=0.02)
        assert curve["false_alarms"] == pytest.approx(0.5, abs=0.03)
        assert curve["n_single"] + curve["n_binary"] == pytest.approx(10_000, rel=0.05)


def test_sources_without_a_fit_are_not_found(rng):
    statistic, mass_ratio, g = population(rng)
    statistic[mass_ratio > 0] = np.nan
    assert all(c["completeness"] == 0.0 for c in detection(statistic, mass_ratio, g).values())


def test_completeness_needs_both_kinds(rng):
    with pytest.raises(InputError, match="binaries and single stars"):
        detection(np.zeros(5), np.zeros(5), np.full(5, 12.0))


def test_figure_shows_both_curves(rng):
    left, right = detection_figure(*population(rng)).axes
    assert left.get_xlabel() == "mass ratio" and right.get_xscale() == "log"
    assert legend_of(left) == ["G 0-12", "G 12-14"]
    assert left.get_ylabel() == "fraction found" and left.get_title() == "at 1 % false alarms"
    for line in right.lines[:2]:
        alarm, complete = line.get_data()
        at_limit = complete[np.searchsorted(alarm, 0.01)]
        assert at_limit == pytest.approx(0.5, abs=0.06)  # as in the table


def test_command_writes_a_table_and_judges_it_by_the_truth(tmp_path, capsys, simulated_model):
    survey, output, figure = (tmp_path / name for name in ("s.h5", "b.ecsv", "found.png"))
    options = ["--n", "60", "--seed", "3", "--binaries", "0.9", "--quiet", *simulated_model]
    assert main(["simulate", *options, "--output", str(survey)]) == 0
    command = ["binaries", str(survey), "--output", str(output), "--quiet", *simulated_model]
    assert main([*command, "--truth", str(survey), "--figure", str(figure)]) == 0
    printed = capsys.readouterr().out
    curves = json.loads(printed[printed.index("{") :])
    assert sum(c["n_binary"] for c in curves.values()) > 0 and picture_size(figure) == (9.0, 4.0)
    table = Table.read(output)
    assert len(table) == 60 and np.isfinite(table["delta_bic"]).sum() > 55
    assert main([*command, "--overwrite", "--figure", str(tmp_path / "x.png")]) == 1
    assert "needs --truth" in capsys.readouterr().err
