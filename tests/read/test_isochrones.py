import numpy as np
import pytest
from isochrone_files import AGES, FEH, points_of, write_isochrones

from xpfit import InputError
from xpfit.read import read_isochrones


def test_points_are_those_of_the_file_in_our_units(tmp_path):
    grid = read_isochrones(write_isochrones(tmp_path / "g.h5"))
    assert grid.name == "TEST" and len(grid) == 9 * 60
    np.testing.assert_array_equal(grid.feh, FEH)
    np.testing.assert_allclose(10 ** (grid.log_age - 9), AGES)
    rows = points_of(FEH[1], AGES[2], 60)
    here = (grid.feh_index == 1) & (grid.age_index == 2)
    np.testing.assert_allclose(grid.initial_mass[here], rows[:, 2], rtol=1e-6)
    np.testing.assert_allclose(1e3 * grid.teff[here], 10 ** rows[:, 3], rtol=1e-5)
    np.testing.assert_allclose(grid.logg[here], rows[:, 4], rtol=1e-6)
    np.testing.assert_allclose(grid.ln_luminosity[here], np.log(10) * rows[:, 5], atol=1e-6)


def test_points_without_numbers_are_left_out(tmp_path):
    def change(content):
        content["values"][7, 3] = np.nan

    grid = read_isochrones(write_isochrones(tmp_path / "g.h5", change=change))
    assert len(grid) == 9 * 60 - 1 and np.sum(grid.age_index + grid.feh_index == 0) == 59


def test_files_that_are_not_isochrones_are_errors_that_name_them(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(InputError, match=r"text\.h5: not a grid of isochrones"):
        read_isochrones(text)
    with pytest.raises(FileNotFoundError, match="make_luminosities"):
        read_isochrones(tmp_path / "absent.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("lengths"), "not a grid of isochrones"),
        (lambda c: c["columns"].__setitem__(3, "Teff"), "lack the columns log_Teff"),
        (lambda c: c["lengths"].__setitem__(0, 59), "sum 539"),
        (lambda c: c["feh_values"][::-1].sort(), "must ascend"),
    ],
)
def test_damaged_grids_are_errors(tmp_path, change, message):
    def copied(content):
        content["feh_values"] = content["feh_values"].copy()
        change(content)

    with pytest.raises(InputError, match=rf"g\.h5.*{message}"):
        read_isochrones(write_isochrones(tmp_path / "g.h5", change=copied))
