import pickle

import numpy as np
import pytest
from astropy.table import Table, vstack
from correction_files import star_table, write_ye
from scipy.interpolate import interpn

from xpfit import InputError
from xpfit.prepare import named_correction
from xpfit.prepare.corrections import Samples

AXES = {"bp_rp": [0.2, 0.9, 2.0], "ebv": [0.0, 0.3, 1.0], "phot_g_mean_mag": [10.0, 17.0]}
WAVELENGTH = np.array([380.0, 600.0, 1000.0])


def samples(n):
    flux = np.ones((n, 3))
    return Samples(WAVELENGTH, flux, 0.1 * flux, Table({"source_id": np.arange(1, n + 1)}))


@pytest.mark.parametrize("with_g", [False, True])
def test_factors_are_linear_between_the_points_of_the_grid(tmp_path, rng, with_g):
    grid = write_ye(tmp_path / "ye", rng, with_g)
    names = ["bp_rp", "ebv", "phot_g_mean_mag"][: 2 + with_g]
    grid.sort([*names, "wavelength"])
    values = np.asarray(grid["factor"]).reshape(*[len(AXES[n]) for n in names], 3)
    bp_rp, ebv, g = np.array([0.3, 0.5, 1.9]), np.array([1.0, 0.17, 0.6]), np.array([10.0, 12, 16])
    correction = named_correction(
        "ye2025", tmp_path / "ye", star_table(np.arange(1, 4), g, bp_rp, ebv)
    )
    result = correction.factors(np.array([450.0, 600.0, 900.0]), lambda grid: samples(3))
    assert result.corrected.all() and result.caution is None
    for j, wavelength in enumerate((450.0, 600.0, 900.0)):
        points = np.stack([bp_rp, ebv, g][: 2 + with_g] + [np.full(3, wavelength)], axis=1)
        expected = interpn((*[AXES[n] for n in names], WAVELENGTH), values, points)
        np.testing.assert_allclose(result.factor[:, j], expected, rtol=1e-10)


def test_range_is_that_of_the_grid_and_unknown_extinction_is_outside(tmp_path, rng):
    write_ye(tmp_path / "ye", rng)
    bp_rp, ebv = np.array([0.1, 2.1, 1.0, 1.0, 1.0]), np.array([0.5, 0.5, 1.2, np.nan, 0.5])
    stars = star_table(np.arange(1, 6), 12.0, bp_rp, ebv)
    correction = named_correction("ye2025", tmp_path / "ye", stars)
    result = pickle.loads(pickle.dumps(correction)).compute(samples(5))
    np.testing.assert_array_equal(result.corrected, [False] * 4 + [True])
    assert np.all(result.factor[:4] == 1.0) and np.all(result.factor[4] != 1.0)


def test_extinction_is_needed(tmp_path, rng):
    write_ye(tmp_path / "ye", rng)
    with pytest.raises(InputError, match="lacks ebv, on which the flux correction depends"):
        named_correction("ye2025", tmp_path / "ye", star_table([1], 12.0, 0.8))


def without(name):
    return lambda table: table[[n for n in table.colnames if n != name]]


def with_factor(value):
    def change(table):
        table["factor"][3] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table[1:],
            r"26 rows are no complete grid of 3 bp_rp x 3 ebv x 3 wavelength",
        ),
        (lambda table: vstack([table, table[:1]]), "28 rows are no complete grid"),
        (lambda table: table[table["ebv"] == 0.3], r"1 ebv x 3 wavelength, of at least two"),
        (without("ebv"), r"lacks ebv; expected one table.*zenodo\.14028588"),
        (without("factor"), "lacks factor"),
        (with_factor(np.nan), "not finite, or factors that are not positive"),
        (with_factor(-1.0), "not finite, or factors that are not positive"),
    ],
)
def test_tables_of_another_form_are_refused_by_name(tmp_path, rng, change, message):
    path = tmp_path / "ye" / "correction.ecsv"
    write_ye(tmp_path / "ye", rng)
    change(Table.read(path)).write(path, format="ascii.ecsv", overwrite=True)
    with pytest.raises(InputError, match=rf"correction\.ecsv:? .*{message}|{message}"):
        named_correction("ye2025", tmp_path / "ye", star_table([1], 12.0, 0.8, 0.1))


def test_the_directory_holds_one_table(tmp_path, rng):
    table = write_ye(tmp_path / "ye", rng)
    table.write(tmp_path / "ye" / "correction.csv")
    stars = star_table([1], 12.0, 0.8, 0.1)
    with pytest.raises(
        InputError, match="holds 2 tables named correction; it is to hold one table"
    ):
        named_correction("ye2025", tmp_path / "ye", stars)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds 0 tables named correction"):
        named_correction("ye2025", tmp_path / "empty", stars)
