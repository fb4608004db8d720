import numpy as np
import pytest
from helpers import simulated_catalogue

from xpfit.data.split import is_held_out
from xpfit.validate import SELECTIONS, Selection, compare
from xpfit.validate.selection import loss_per_dof

N = 100


@pytest.fixture
def table(rng):
    """A catalogue with everything that ZGR23's cuts need; all stars pass."""
    table = simulated_catalogue(rng, N)
    table["source_id"] = np.arange(1, N + 1) << 35
    table["n_obs"], table["chi2_opt"] = np.full(N, 66), np.full(N, 61.0)
    table["ln_prior"] = np.zeros(N)
    table["parallax"], table["extinction"] = np.ones(N), np.ones(N)
    table["gaia_parallax"], table["gaia_parallax_error"] = np.ones(N), np.full(N, 0.1)
    return table


def test_loss_has_the_terms_of_eq_19(table):
    table["ln_prior"][0] = -3.0
    table["parallax"][1] = 1.2  # two errors from Gaia's
    table["extinction"][2] = 0.01
    loss = 61.0 * loss_per_dof(table)
    expected = [61.0 + 6.0, 61.0 + 4.0 - 2.0 * np.log(1.2), 61.0 - 2.0 * np.log(0.01), 61.0]
    np.testing.assert_allclose(loss[:4], expected)


def test_loss_leaves_out_what_is_not_known(table):
    table["gaia_parallax"][0] = np.nan
    table.remove_column("ln_prior")
    np.testing.assert_allclose(loss_per_dof(table)[:2], 1.0)


def test_cuts_of_zgr23_are_on_parallax_and_loss_not_on_flags(table):
    table["gaia_parallax_error"][:3] = 0.21
    table["chi2_opt"][3:7] = 320.0
    table["quality_flags"][7] = table["fit_flags"][8] = 8
    table["ref_teff_err"][9] = 500.0
    table["ref_snr"][10] = 20.0
    table["ref_snr"][11] = 21.0
    table["ref_teff"][12] = 9000.0
    comparison = compare(table, SELECTIONS["zgr23"])
    assert set(range(N)) - set(comparison.rows) == {*range(7), 9, 10}
    assert comparison.counts["with parallax S/N >= 5"] == N - 5


def test_without_measured_parallaxes_no_star_is_cut_by_them(table):
    table["gaia_parallax"] = np.nan
    counts = compare(table, SELECTIONS["zgr23"]).counts
    assert counts["with parallax S/N >= 5 (none is known: all)"] == N


def test_stars_of_the_training_are_left_out_by_default_if_the_catalogue_tells(table):
    held_out = is_held_out(table["source_id"], 0.2)
    assert len(compare(table)) == N
    table.meta["HELDOUT"] = 0.2
    comparison = compare(table)
    np.testing.assert_array_equal(comparison.rows, np.flatnonzero(held_out))
    assert comparison.counts["held out of the training (20% of all)"] == held_out.sum()
    assert len(compare(table, Selection(include_training=True))) == N
