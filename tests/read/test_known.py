"""Columns of other people's tables: meaning, unit, and values that are possible."""

import numpy as np
import pytest
from astropy.table import Column, QTable, Table

from xpfit import InputError
from xpfit.read.columns import MEANINGS, find_column, plain
from xpfit.read.known import known_columns, report_uses

SPELLINGS = {
    "J": "j_m J_M j_mag Jmag J j_m_2mass tmass_j_m 2MASS_J jmag_1 j_m_x",
    "J_err": "j_msigcom j_cmsig e_Jmag j_mag_err J_ERR j_msig_2mass e_j_mag j_m_error",
    "Ks": "ks_m k_m Kmag Ksmag K K_M_2 k_m_tmass",
    "Ks_err": "ks_msigcom k_msigcom e_Kmag K_ERR k_cmsig e_k_mag",
    "W1": "w1mpro W1mag w1_mag w1mpro_pm W1 allwise_w1mpro",
    "W1_err": "w1mpro_error w1sigmpro e_W1mag w1_mag_err e_w1_mag w1sigmpro_allwise",
    "W1_nanomaggies": "w1_nanomaggies FW1",
    "parallax": "parallax Plx PARALLAX parallax_1 gaia_parallax",
    "parallax_error": "parallax_error e_Plx parallax_err parallax_error_x",
    "teff": "teff TEFF Teff",
    "feh_err": "feh_err FE_H_ERR e_[Fe/H] e_fe_h",
    "logg": "logg LOGG log(g)",
    "ra": "ra RA RA_ICRS RAJ2000",
    "pmdec": "pmdec pmDE",
    "phot_g_mean_mag": "phot_g_mean_mag Gmag",
    "nu_eff_used_in_astrometry": "nu_eff_used_in_astrometry nueff",
}


@pytest.mark.parametrize(
    ("name", "spelling"), [(n, s) for n, texts in SPELLINGS.items() for s in texts.split()]
)
def test_spellings_of_the_archives_and_of_joins(name, spelling):
    table = Table({"other": [1.0], spelling: [2.0], "last": [3.0]})
    assert find_column(table, MEANINGS[name].names, "t") == spelling


def test_names_without_capitals_punctuation_and_surveys():
    names = ("[Fe/H]", "E(BP/RP)", "gaiaedr3_source_id", "j_m_2mass", "AllWISE_W1mag")
    assert [plain(n) for n in names] == ["fe_h", "e_bp_rp", "source_id", "j_m", "w1mag"]


def test_columns_of_one_meaning_must_agree():
    table = Table({"j_m_1": [1.0, np.nan], "j_m_2": [1.0, 5.0]})
    assert find_column(table, ("j_m",), "t") == "j_m_1"
    table["j_m_2"][0] = 2.0
    with pytest.raises(
        InputError, match="t: columns j_m_1 and j_m_2 may both be meant, and differ"
    ):
        find_column(table, ("j_m",), "t")
    table["j_m"] = 3.0
    assert find_column(table, ("j_m",), "t") == "j_m"


def values(name, given, unit=None):
    columns, (use,) = known_columns(
        Table({name: Column(given, unit=unit)}), [name_of[name]], "t.csv"
    )
    return columns[name_of[name]], use


name_of = {n: name for name, texts in SPELLINGS.items() for n in texts.split()}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("j_m", [-1.5, 9.999, 14.2], [99.999, 99.9999, 99.0, 0.0, -1.0, -9999, 9999.0, 1e30]),
        ("e_Jmag", [0.001, 0.3], [0.0, -1.0, 9.999, 99.0, 99.9999, -9999, np.inf]),
        ("parallax", [-120.0, 0.0, 768.5], [-9999, -999.0, 999.0, 99.999, 9999.0, -1e30]),
        ("e_Plx", [0.01, 2.0], [0.0, -1.0, 99.0, 9.999, -9999, 999.0]),
        ("teff", [2500.0, 60000.0], [-9999, 0.0, 99999.0, -999.0, 99.9]),
        ("e_[Fe/H]", [0.01, 1.0], [-9999, 0.0, 9.99, 99.9, 9999.0, -1.0]),
        ("logg", [-0.5, 0.0, 5.2, 8.5], [-9999, -9.99, 9.999, 99.9, 9999.0]),
        ("W1mag", [5.0], [99.999, 0.0, 999.0, -9999.9]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:t.csv")
def test_impossible_values_count_as_missing(name, good, bad):
    for dtype in (np.float64, np.float32):
        found, use = values(name, np.array([*good, *bad, np.nan], dtype=dtype))
        np.testing.assert_array_equal(found[: len(good)], np.array(good, dtype=dtype))
        assert np.isnan(found[len(good) :]).all()
        assert (use.n_valid, use.n_sentinel + use.n_outside) == (len(good), len(bad))


def test_a_doubtful_value_is_none_if_it_is_repeated():
    found, use = values("j_m", [9.999] * 3 + [12.0] * 9)
    assert np.isnan(found[:3]).all() and use.n_sentinel == 3
    assert values("j_m", [9.999, 12.0])[0][0] == 9.999


def test_values_that_are_impossible_without_being_sentinels_are_reported():
    with pytest.warns(UserWarning, match=r"t.csv: column j_m: 1 of 2 values are impossible.*45"):
        values("j_m", [45.0, 12.0])


@pytest.mark.parametrize(
    ("name", "given"),
    [("j_m", [9120.0, 8500.0]), ("teff", [5.1, 4.9]), ("e_Plx", [2e-5, 3e-5]),
     ("e_Jmag", [25.0, 31.0])],
)  # fmt: skip
def test_values_of_another_unit_than_the_assumed_one_are_refused(name, given):
    with pytest.raises(InputError, match=rf"t\.csv: column {name}.*(correct its unit|contradict)"):
        values(name, given)


@pytest.mark.parametrize(
    ("name", "unit", "given", "expected"),
    [("j_m", "mmag", 9120.0, 9.12), ("parallax", "arcsec", 0.005, 5.0), ("teff", "kK", 5.1, 5100.0),
     ("nueff", "nm-1", 0.0015, 1.5), ("logg", "[cm/s2]", 4.4, 4.4)],
)  # fmt: skip
def test_stated_units_are_converted(name, unit, given, expected):
    found, use = values(name, [given, -9999.0], unit)
    np.testing.assert_allclose(found, [expected, np.nan], rtol=1e-12)
    assert not use.assumed and use.n_sentinel == 1


def test_quantities_are_converted():
    table = QTable({"parallax": [0.005]}, units={"parallax": "arcsec"})
    np.testing.assert_allclose(known_columns(table, ["parallax"], "t")[0]["parallax"], 5.0)


def test_units_that_measure_something_else_are_refused():
    with pytest.raises(InputError, match=r"t\.csv: column j_m: the unit 'Jy' cannot be converted"):
        values("j_m", [1.0], "Jy")


def test_arrays_in_cells_are_refused():
    with pytest.raises(InputError, match="t: column j_m: arrays in its cells"):
        known_columns(Table({"j_m": np.ones((2, 3))}), ["J"], "t")


def test_what_is_used_and_what_is_not_is_told_once(caplog):
    table = Table({"source_id": [1, 2], "Jmag": [12.0, 99.999], "pet": [1, 2]})
    _, uses = known_columns(table, ["J", "H"], "told.fits")
    with caplog.at_level("INFO", logger="xpfit"):
        for _ in range(2):
            report_uses(table, "told.fits", "source_id", uses)
    (record,) = caplog.records
    assert record.getMessage().splitlines() == [
        "told.fits: 2 rows, joined by source_id",
        "  Jmag -> 2MASS J (Vega) (1 valid, 1 count as missing, such as 99.999, unit not stated, "
        "mag assumed)",
        "  not used: pet",
    ]
