import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
from xpfit.prepare import TrainingCuts, training_cuts

GOOD = {
    "snrg": 30.0, "snrr": 40.0, "snri": 50.0, "teff_err": 100.0, "feh_err": 0.1, "logg_err": 0.1,
    "parallax_over_error": 10.0, "fidelity_v2": 0.9, "bp_rp_flux_excess": 1.1,
}  # fmt: skip
BAD = {
    "snrg": 20.0, "snrr": 19.0, "snri": 5.0, "teff_err": 500.0, "feh_err": 0.5, "logg_err": 0.6,
    "parallax_over_error": 3.0, "fidelity_v2": 0.5, "bp_rp_flux_excess": 1.3,
}  # fmt: skip


def table():
    """A good star, then one star that fails each cut alone."""
    t = Table({name: MaskedColumn(np.full(10, value)) for name, value in GOOD.items()})
    for i, (name, value) in enumerate(BAD.items(), start=1):
        t[name][i] = value
    return t


def test_each_cut_of_section_2_5_removes_its_star():
    keep, removed = training_cuts(table())
    np.testing.assert_array_equal(np.flatnonzero(keep), [0])
    assert list(removed.values()) == [1] * 9
    assert list(removed) == [
        "snrg > 20", "snrr > 20", "snri > 20", "teff_err < 500", "feh_err < 0.5",
        "logg_err < 0.5", "parallax_over_error > 3", "fidelity_v2 > 0.5", "bp_rp_flux_excess < 1.3",
    ]  # fmt: skip


def test_a_star_is_counted_by_the_first_cut_that_removes_it():
    t = table()
    t["snrg"][:] = 1.0
    keep, removed = training_cuts(t)
    assert not keep.any() and list(removed.values()) == [10] + [0] * 8


def test_missing_values_fail():
    t = table()
    t["fidelity_v2"].mask[0] = True
    assert not training_cuts(t)[0][0]


def test_limits_can_be_changed():
    assert training_cuts(table(), TrainingCuts(min_snr=1.0))[0][:4].all()


def test_missing_columns_are_named():
    t = table()
    t.remove_columns(["snri", "fidelity_v2"])
    with pytest.raises(InputError, match="need the columns snri, fidelity_v2"):
        training_cuts(t)
