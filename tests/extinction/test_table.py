import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError, read_catalogue
from xpfit.cli import main
from xpfit.extinction import ModelExtinction, Passband, named_passband
from xpfit.extinction.continuation import ContinuedModel
from xpfit.extinction.reddening import B_V, monochromatic, reddening
from xpfit.extinction.table import FLAGS, ExtinctionColumns, ExtinctionFlag
from xpfit.simulate.galaxy import iterate_mock


@pytest.fixture(scope="module")
def stars():
    return Table(
        {
            "teff": [5800.0, 4500.0, 9000.0, np.nan, 5000.0],
            "feh": [0.0, -0.5, 0.0, 0.0, 0.0],
            "logg": [4.4, 2.0, 4.0, 4.0, 4.5],
            "extinction": [0.3, 1.0, 0.5, 0.2, -0.1],
            "xi": [0.0, 1.0, 0.0, 0.0, 0.0],
        }
    )


def test_columns_are_those_of_the_integrals_and_bad_stars_are_flagged(varying_model, stars):
    columns = ExtinctionColumns(varying_model, [named_passband("G")], [550.0, 2159.0])
    table = columns.add(stars)
    parameters = np.column_stack(
        [stars["teff"] / 1e3, stars["feh"], stars["logg"], stars["extinction"], np.ones(5)]
    )
    parameters = np.column_stack([parameters, stars["xi"]])
    expected = ModelExtinction(varying_model, [named_passband("G")]).extinction(parameters)
    np.testing.assert_allclose(table["a_g"][:3], expected[:3, 0])
    continued = ContinuedModel(varying_model)
    per_dust = monochromatic(continued, np.array([550.0, 2159.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(
        np.column_stack([table["a_550nm"], table["a_2159nm"]])[:2],
        np.array([[0.3], [1.0]]) * per_dust,
    )
    flag = ExtinctionFlag
    doubtful = flag.OUT_OF_RANGE | flag.NO_ERROR
    expected = [flag.NO_ERROR, flag.NO_ERROR, doubtful, flag.UNKNOWN, flag.UNKNOWN]
    assert table[FLAGS].tolist() == [int(f) for f in expected]
    assert np.isnan(table["a_g"][3:]).all() and np.isnan(table["a_550nm"][3:]).all()
    assert table["a_g"].unit == "mag" and table["a_g"].description and "a_g" not in stars.colnames


def test_errors_come_from_the_covariance_of_the_catalogue(model):
    catalogue = next(iterate_mock(model, 200, np.random.default_rng(1)))
    table = ExtinctionColumns(model, [named_passband("G")], [550.0]).add(catalogue)
    # At one wavelength A is E times a constant.
    relative = catalogue["extinction_err"] / catalogue["extinction"]
    np.testing.assert_allclose(table["a_550nm_err"] / table["a_550nm"], relative, rtol=1e-9)
    assert np.all(table["a_g_err"] > 0.5 * table["a_g"] * relative)
    assert not np.any(table[FLAGS] & ExtinctionFlag.NO_ERROR)


def test_units_are_converted_and_missing_columns_named(model, stars):
    columns = ExtinctionColumns(model, [named_passband("V")])
    kilo = stars.copy()
    kilo["teff"] = stars["teff"] / 1e3
    kilo["teff"].unit = "kK"
    np.testing.assert_allclose(columns.add(kilo)["a_v"], columns.add(stars)["a_v"])
    kilo["teff"].unit = "mag"
    with pytest.raises(InputError, match="teff: the unit 'mag'"):
        columns.add(kilo)
    del kilo["logg"], kilo["extinction"]
    with pytest.raises(InputError, match=r"no column logg, extinction; .* need teff, feh"):
        columns.add(kilo)


def test_fits_of_another_model_are_refused(model, stars):
    other = stars.copy()
    other.meta["MODELID"] = "0123"
    with pytest.raises(InputError, match="--model"):
        ExtinctionColumns(model, [named_passband("V")]).add(other)


def test_two_passbands_of_one_column_are_refused(model):
    passbands = [Passband(n, np.array([500.0, 600.0]), np.ones(2)) for n in ("My.g", "my g")]
    with pytest.raises(InputError, match="would have one column"):
        ExtinctionColumns(model, passbands)


def test_reddening_is_the_difference_of_bands_and_goes_to_zero_with_the_dust(model):
    b_v = ModelExtinction(model, [named_passband(name) for name in B_V])
    parameters = np.array([[5.8, 0.0, 4.4, dust, 1.0] for dust in (0.0, 1e-3, 1.0)])
    e_b_v, e_440_550 = reddening(b_v, parameters)
    assert e_b_v[0] == e_440_550[0] == 0.0
    blue, visual = b_v.extinction(parameters).T
    np.testing.assert_allclose(e_b_v, blue - visual)
    # Monochromatic reddening is proportional to E, that in broad passbands is not.
    np.testing.assert_allclose(e_440_550[2] / e_440_550[1], 1e3)
    assert e_b_v[2] / e_b_v[1] < 0.995e3


def test_the_command_adds_columns_in_every_format(tmp_path, stars, capsys):
    table = stars.copy()
    table["alpha_m"] = 0.1
    table.write(tmp_path / "stars.ecsv")
    for ending in ("parquet", "fits"):
        out = str(tmp_path / f"out.{ending}")
        assert main(["extinction", "table", str(tmp_path / "stars.ecsv"), "--output", out]) == 0
        written = read_catalogue(out)
        for name in ("a_v", "a_g", "a_bp", "a_rp", "a_b", "e_b_v", "e_440_550"):
            assert np.isfinite(written[name][0]) and np.isnan(written[name][3]), name
    assert "wrote 5 stars with a_v, a_g" in capsys.readouterr().out
    assert main(["extinction", "table", str(tmp_path / "stars.ecsv"), "--output", out]) == 1


def test_the_command_prints_a_star(capsys, tmp_path):
    sun = ["extinction", "star", "--teff", "5772", "--logg", "4.44"]
    assert main([*sun, "--extinction", "0.5", "--at", "550"]) == 0
    printed = dict(
        line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if line.strip()
    )
    assert {"A(V)", "A(G)", "A(BP)", "A(RP)", "A(550 nm)", "E(B-V)"} <= set(printed)
    assert float(printed["A(G)"].split()[0]) == pytest.approx(1.41, abs=0.05)
    assert main([*sun, "--curve", "CCM89", "--r-v", "3.1", "--at", "2159"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("A(2159 nm)"))
    assert float(line.split()[2]) == pytest.approx(0.3628, abs=2e-4)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--teff", "30000"], "--teff 30000 is outside the range"),
        (["--teff", "-1"], "--teff must be positive"),
        (["--extinction", "-0.1"], "--extinction not negative"),
        (["--xi", "1"], "--xi must be zero"),
        (["--at", "100"], "between 300 and 5000 nm"),
        (["--passband", "missing.dat"], "missing.dat"),
    ],
)
def test_impossible_stars_are_refused(capsys, options, problem):
    assert main(["extinction", "star", "--teff", "5000", "--logg", "4.5", *options]) == 1
    assert problem in capsys.readouterr().err
