import numpy as np
import pytest
from helpers import simulated_catalogue

from xpfit import InputError
from xpfit.validate import Selection, compare, metrics


def test_known_bias_and_scatter_come_back(rng):
    numbers = metrics(compare(simulated_catalogue(rng)))
    assert list(numbers) == ["giants", "dwarfs", "all"]
    for group, n in (("giants", 2000), ("dwarfs", 2000), ("all", 4000)):
        teff = numbers[group]["teff"]
        assert list(teff) == ["n", "bias", "scatter", "rmse", "pull", "survey_pull"]
        assert teff["n"] == n
        assert teff["bias"] == pytest.approx(50.0, abs=10.0)
        assert teff["scatter"] == pytest.approx(100.0, rel=0.08)
        assert teff["rmse"] == pytest.approx(np.hypot(100.0, 50.0), rel=0.05)
        assert teff["pull"] == pytest.approx(1.0, rel=0.08)
        assert teff["survey_pull"] == pytest.approx(100.0 / 60.0, rel=0.08)


def test_outliers_move_the_rmse_but_hardly_the_scatter(rng):
    table = simulated_catalogue(rng)
    table["teff"][:40] += 5000.0
    teff = metrics(compare(table))["all"]["teff"]
    assert teff["scatter"] < 110.0 and teff["rmse"] > 400.0


def test_selection_leaves_out_each_kind_of_star_and_counts(rng):
    table = simulated_catalogue(rng, 100)
    table["ref_feh"].mask[0] = True
    table["ref_snr"][1] = 50.0
    table["ref_teff"][2] = 8000.0
    table["teff"].mask[3] = True
    table["quality_flags"][4] = 8
    table["fit_flags"][5] = 2
    table["fit_flags"][6] = 8  # a missing band is no reason
    counts = compare(table).counts
    assert list(counts.values()) == [100, 99, 98, 97, 96, 94]
    assert [step.split()[-1] for step in counts] == [
        "catalogue", "labels", "50", "K", "fitted", "unflagged",
    ]  # fmt: skip


def test_selection_can_be_set(rng):
    table = simulated_catalogue(rng, 100)
    table["ref_snr"][:30] = 20.0
    table["quality_flags"][40:50] = 16
    chosen = compare(table, Selection(min_snr=10.0, max_teff=1e5, include_flagged=True))
    assert chosen.counts["fitted"] == 100 and "unflagged" not in chosen.counts


def test_groups_split_at_the_reference_log_g(rng):
    groups = compare(simulated_catalogue(rng, 10)).groups
    np.testing.assert_array_equal(groups["giants"], np.arange(10) % 2 == 0)
    np.testing.assert_array_equal(groups["dwarfs"], np.arange(10) % 2 == 1)


def test_unknown_reference_errors_count_as_zero(rng):
    table = simulated_catalogue(rng)
    for name in ("teff", "feh", "logg"):
        table.remove_column(f"ref_{name}_err")
    teff = metrics(compare(table))["all"]["teff"]
    assert teff["pull"] == pytest.approx(1.25, rel=0.08) and teff["survey_pull"] is None


def test_empty_group_has_no_numbers(rng):
    table = simulated_catalogue(rng, 50)
    table["ref_logg"][:] = 2.0
    dwarfs = metrics(compare(table))["dwarfs"]["teff"]
    assert dwarfs == {
        "n": 0, "bias": None, "scatter": None, "rmse": None, "pull": None, "survey_pull": None,
    }  # fmt: skip


def test_missing_columns_are_named(rng):
    table = simulated_catalogue(rng, 10)
    table.remove_columns(["ref_logg", "fit_flags"])
    with pytest.raises(InputError, match="lacks ref_logg, fit_flags"):
        compare(table)


def test_a_reference_of_some_labels_is_compared_in_those(rng):
    table = simulated_catalogue(rng, 100)
    table["ref_teff"] = table["ref_logg"] = np.full(100, np.nan)
    table["logg"] = np.where(np.arange(100) < 30, 2.0, 4.5)
    comparison = compare(table)
    assert comparison.labels == ("feh",) and len(comparison) == 100
    assert metrics(comparison)["giants"]["feh"]["n"] == 30


def test_a_parallax_of_the_reference_takes_the_place_of_gaia_s(rng):
    table = simulated_catalogue(rng, 50)
    table["parallax"], table["parallax_err"] = np.full(50, 2.0), np.full(50, 0.1)
    table["gaia_parallax"], table["gaia_parallax_error"] = np.full(50, 2.1), np.full(50, 0.1)
    assert metrics(compare(table))["all"]["parallax"]["bias"] == pytest.approx(-0.1)
    table["ref_parallax"], table["ref_parallax_err"] = np.full(50, 1.5), np.full(50, 0.1)
    assert metrics(compare(table))["all"]["parallax"]["bias"] == pytest.approx(0.5)
