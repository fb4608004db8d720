import warnings

import numpy as np
import pytest
from astropy.table import Table, vstack

from xpfit import InputError
from xpfit.read import read_labels, read_survey
from xpfit.read.surveys import load_survey

APOGEE = load_survey("apogee")
ASPCAP_FLAGS = APOGEE.flags[0].bad


@pytest.fixture
def apogee(tmp_path):
    """1 is good, 2-5 have one bad flag each, 6 a harmless one, 7 comes twice, 8 has no [Fe/H]."""
    n = 9
    table = Table({column: np.full(n, 1.0) for column in APOGEE.columns.values()})
    table["GAIAEDR3_SOURCE_ID"] = 2**60 + np.array([1, 2, 3, 4, 5, 6, 7, 7, 8])
    table["TEFF"] = 4000.0 + np.arange(n)
    table["SNR"] = [50, 50, 50, 50, 50, 50, 60, 90, 50]
    table["ASPCAPFLAG"] = np.zeros(n, dtype=np.int64)
    for i, bit in enumerate(ASPCAP_FLAGS.values(), start=1):
        table["ASPCAPFLAG"][i] = 1 << bit
    table["ASPCAPFLAG"][5] = 1 << 3
    table["FE_H"][8] = np.nan
    table["OTHER"] = np.zeros(n)
    table.write(tmp_path / "allStar.fits")
    return tmp_path / "allStar.fits"


def test_apogee_s_bad_stars_are_left_out_and_counted(apogee):
    table = read_survey(apogee, "apogee")
    np.testing.assert_array_equal(table["source_id"] - 2**60, [1, 6, 7])
    np.testing.assert_allclose(table["teff"], [4000.0, 4005.0, 4007.0])
    assert table.meta["removed"] == {
        "METALS_BAD": 1, "STAR_BAD": 1, "CHI2_BAD": 1, "SNR_BAD": 1, "without labels": 1,
        "repeated": 1,
    }  # fmt: skip
    assert {"feh_err", "alpha_m", "snr", "ra"} <= set(table.colnames)


def test_other_tables_are_not_apogee_s(tmp_path):
    Table({"TEFF": [1.0]}).write(tmp_path / "t.fits")
    with pytest.raises(InputError, match=r"missing columns GAIAEDR3_S.*table of APOGEE, SDSS DR17"):
        read_survey(tmp_path / "t.fits", "apogee")


@pytest.fixture
def lamost():
    n = 5
    return Table(
        {
            "obsdate": [f"2013-01-0{i}" for i in range(1, n + 1)],
            "planid": ["GAC080N28V1"] * n,
            "spid": [1, 2, 3, 14, 5],
            "fiberid": [1, 20, 103, 4, 250],
            "ra": 80.0 + np.arange(n),
            "dec": 28.0 + np.arange(n),
            "snrg": np.full(n, 30.0),
            "snrr": np.full(n, 40.0),
            "snri": np.full(n, 50.0),
            "teff": [5000.0, 6900.0, 7200.0, 8000.0, -9999.0],
            "teff_err": np.full(n, 50.0),
            "feh": np.full(n, -0.1),
            "feh_err": np.full(n, 0.05),
            "logg": np.full(n, 4.0),
            "logg_err": np.full(n, 0.1),
        }
    )


@pytest.fixture
def hot_payne(tmp_path):
    """The spectra 2 (hotter there), 3 and 5 (unknown to LAMOST), and 1, cool there too."""
    names = ["20130102-GAC080N28V1-02-020", "20130103-GAC080N28V1-03-103",
             "20130105-GAC080N28V1-05-250", "20130101-GAC080N28V1-01-001"]  # fmt: skip
    table = Table({"SpecID": [f"{name: <36s}" for name in names]})
    table["Teff"] = [7600.0, 7700.0, 9000.0, 6800.0]
    for name, value in (("e_Teff", 90.0), ("logg", 3.9), ("e_logg", 0.2), ("[Fe/H]", -0.5),
                        ("e_[Fe/H]", 0.3)):  # fmt: skip
        table[name] = np.full(4, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of brackets in column names, which are the catalogue's
        table.write(tmp_path / "hot_payne.fits")
    return tmp_path / "hot_payne.fits"


@pytest.mark.parametrize("style", ["fits", "csv", "bars"])
def test_lamost_s_labels_with_positions(lamost, tmp_path, style):
    path = tmp_path / ("l.fits" if style == "fits" else "l.csv")
    if style == "bars":
        lamost.write(path, format="ascii.csv", delimiter="|")
    else:
        lamost.write(path)
    table = read_survey(path, "lamost-dr8")
    np.testing.assert_allclose(table["teff"], [5000.0, 6900.0, 7200.0, 8000.0])
    np.testing.assert_allclose(table["snr"], 40.0)
    assert "source_id" not in table.colnames and {"ra", "dec", "snrg"} <= set(table.colnames)
    assert table.meta["removed"] == {"without labels": 1, "repeated": 0}


def test_the_hot_payne_takes_over_at_7000_k(lamost, hot_payne, tmp_path):
    lamost.write(tmp_path / "l.fits")
    table = read_survey(tmp_path / "l.fits", hot_payne=hot_payne)
    np.testing.assert_allclose(table["teff"], [5000.0, 7600.0, 7700.0, 9000.0])
    np.testing.assert_allclose(table["feh"], [-0.1, -0.5, -0.5, -0.5])
    np.testing.assert_allclose(table["logg_err"], [0.1, 0.2, 0.2, 0.2])
    assert table.meta["replaced"] == 3 and table.meta["added"] == 0
    assert table.meta["removed"]["hotter than 7000 K, not in the Hot Payne"] == 1


def test_hot_stars_that_lamost_does_not_list_are_added(lamost, hot_payne, tmp_path):
    """O and B stars (ZGR23, section 2.2); a spectrum without a position is counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hot = Table.read(hot_payne)
        new = hot[[2, 2]]
        new["SpecID"] = ["20140101-HD000000N1-03-111", "20140101-HD000000N1-03-112"]
        new["Teff"], new["e_Teff"] = 28000.0, 900.0
        for name, column in (("RA", [120.0, np.nan]), ("DEC", [40.0, np.nan]), ("snr_g", 77.0)):
            hot[name], new[name] = 0.0, column
        vstack([hot, new]).write(hot_payne, overwrite=True)
    lamost.write(tmp_path / "l.fits")
    table = read_survey(tmp_path / "l.fits", "lamost", hot_payne=hot_payne)
    np.testing.assert_allclose(table["teff"], [5000.0, 7600.0, 7700.0, 9000.0, 28000.0])
    last = table[-1]
    assert (last["ra"], last["dec"], last["snr"], last["snrg"]) == (120.0, 40.0, 77.0, 77.0)
    assert (last["teff_err"], last["feh"], last["logg_err"]) == (900.0, -0.5, 0.2)
    assert table.meta["added"] == 1
    assert table.meta["removed"]["in the Hot Payne alone, without a position"] == 1


def test_the_hot_payne_goes_with_lamost_alone(apogee, hot_payne):
    with pytest.raises(InputError, match="goes with LAMOST's of low resolution, not with APOGEE"):
        read_survey(apogee, hot_payne=hot_payne)


def test_any_table_through_a_column_map(tmp_path):
    raw = Table(
        {
            "gaia": np.array([5, 6, 6], dtype=np.int64),
            "TEFF": [5000.0, 5100.0, 5200.0],
            "M_H": [0.0, 0.1, 0.2],
            "logg": [4.0, 4.1, 4.2],
            "EBV": [0.1, 0.2, 0.3],
        }
    )
    raw.write(tmp_path / "t.ecsv")
    columns = {"source_id": "gaia", "teff": "TEFF", "feh": "M_H", "extinction": "EBV"}
    table = read_labels(tmp_path / "t.ecsv", columns)
    np.testing.assert_array_equal(table["source_id"], [5, 6])
    np.testing.assert_allclose(table["feh"], [0.0, 0.1])
    np.testing.assert_allclose(table["extinction"], [0.1, 0.2])
    assert table.meta["removed"]["repeated"] == 1
    for bad, message in (
        ({**columns, "teff": "T"}, "missing column T;"),
        ({**columns, "Mg/Fe": "EBV"}, "'Mg/Fe' is no name for a label"),
        ({**columns, "mg_fe_err": "EBV"}, "error of a label without a column"),
        ({k: v for k, v in columns.items() if k != "source_id"}, "to join by"),
        ({k: v for k, v in columns.items() if k != "feh"}, "missing column feh"),
    ):
        with pytest.raises(InputError, match=message):
            read_labels(tmp_path / "t.ecsv", bad)


def test_labels_under_new_names_are_read_with_their_errors(tmp_path):
    table = Table(
        {
            "source_id": np.array([5, 6], dtype=np.int64), "teff": [5000.0, 5100.0],
            "feh": [0.0, 0.1], "logg": [4.0, 4.1], "C_FE": [0.1, -9999.0], "c_fe_err": [0.02, 0.02],
            "[Mg/Fe]": [0.3, np.nan], "sigma": [0.02, 0.0], "AGE": [4.5, 5.5],
        }
    )  # fmt: skip
    table.write(tmp_path / "t.ecsv")
    names = {"mg_fe": "[Mg/Fe]", "mg_fe_err": "sigma", "age": "AGE"}
    found = read_labels(tmp_path / "t.ecsv", names)
    np.testing.assert_array_equal(found["c_fe"], [0.1, np.nan])  # a name that is known
    np.testing.assert_array_equal(found["mg_fe"], [0.3, np.nan])
    np.testing.assert_array_equal(found["mg_fe_err"], [0.02, np.nan])
    np.testing.assert_array_equal(found["age"], [4.5, 5.5])
    assert np.isnan(found["age_err"]).all()


def test_ids_that_went_through_floats_are_refused(tmp_path):
    Table({"source_id": [1e18], "teff": [1.0], "feh": [1.0], "logg": [1.0]}).write(
        tmp_path / "t.fits"
    )
    with pytest.raises(InputError, match="64-bit integers"):
        read_labels(tmp_path / "t.fits")


@pytest.mark.filterwarnings("ignore:.*t.ecsv")
def test_labels_that_are_not_measured_do_not_get_into_training(tmp_path):
    """By an impossible label, or an error that says so; an error of zero is only left out."""
    raw = Table(
        {
            "source_id": 2**60 + np.arange(6),
            "TEFF": [5000.0, 5100.0, -9999.0, 5300.0, 5400.0, 5500.0],
            "e_Teff": [50.0, -9999.0, 50.0, 50.0, 50.0, 0.0],
            "[Fe/H]": [0.0, 0.1, 0.2, -9.99, 0.4, 0.5],
            "logg": [4.0, 4.1, 4.2, 4.3, 99.9, 4.5],
        }
    )
    raw.write(tmp_path / "t.ecsv")
    table = read_labels(tmp_path / "t.ecsv")
    np.testing.assert_array_equal(table["source_id"] - 2**60, [0, 5])
    np.testing.assert_array_equal(table["teff_err"], [50.0, np.nan])
    assert table.meta["removed"] == {"without labels": 4, "repeated": 0}


def test_temperatures_in_kilokelvin(tmp_path):
    raw = Table({"source_id": [2**60], "teff": [5.1], "feh": [0.0], "logg": [4.0]})
    raw["teff"].unit = "kK"
    raw.write(tmp_path / "t.fits")
    np.testing.assert_allclose(read_labels(tmp_path / "t.fits")["teff"], 5100.0)
    raw["teff"].unit = None
    raw.write(tmp_path / "t.fits", overwrite=True)
    with pytest.raises(InputError, match=r"t\.fits: column teff: no value is possible"):
        read_labels(tmp_path / "t.fits")
