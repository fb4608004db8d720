"""Flags of 2MASS, AllWISE, CatWISE and unWISE on bands of photometry."""

import logging

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from helpers import simulate

import xpfit
from xpfit import InputError, Spectra, attach_photometry
from xpfit.constants import WAVELENGTH
from xpfit.data import FitFlag, InputFlag
from xpfit.prepare import PhotometrySettings
from xpfit.prepare.contamination import unusable_bands
from xpfit.quality import fit_flags

IDS = np.array([10, 20, 30])
BANDS = ("j", "h", "ks", "w1", "w2")


@pytest.fixture
def spectra():
    err = np.ones((3, 66))
    err[:, 61:] = np.inf
    return Spectra(IDS, WAVELENGTH, np.ones((3, 66)), err)


@pytest.fixture
def table():
    """Five bands of three stars."""
    columns = {"source_id": IDS}
    for band in BANDS:
        columns[f"{band}_mag"] = np.array([8.0, 9.0, 10.0])
        columns[f"{band}_mag_err"] = np.array([0.03, 0.04, 0.05])
    return Table(columns)


def used(spectra, table, settings=None):
    """Which bands have weight, and which stars have the flag on contamination."""
    joined = attach_photometry(spectra, table, settings)
    flagged = (joined.input_flags & InputFlag.CONTAMINATED_BAND) != 0
    return np.isfinite(joined.flux_err[:, 61:]).astype(int).tolist(), flagged.tolist()


ALL = [[1, 1, 1, 1, 1]] * 3


@pytest.mark.parametrize("name", ["cc_flags", "ccf", "wise_cc_flags"])
def test_letters_of_allwise_count_band_by_band(spectra, table, name):
    table[name] = ["0000", "dH00", "0p00"]
    weight, flagged = used(spectra, table)
    assert weight == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]
    assert flagged == [False, True, True]


def test_artefacts_in_w3_and_w4_do_not_matter(spectra, table):
    table["cc_flags"] = ["00dd", "0000", "00H0"]
    assert used(spectra, table) == (ALL, [False] * 3)


@pytest.mark.parametrize("name", ["ext_flag", "ext_flg"])
def test_extended_sources_lose_wise_and_nothing_else(spectra, table, name):
    table[name] = MaskedColumn([0, 5, 9], mask=[False, False, True])
    weight, flagged = used(spectra, table)
    assert weight == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert flagged == [False, True, False]


@pytest.mark.parametrize("name", ["cc_flg", "Cflg"])
def test_letters_of_2mass_count_band_by_band(spectra, table, name):
    table[name] = ["c00", "000", "0d0"]
    weight, flagged = used(spectra, table)
    assert weight == [[0, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 1, 1, 1]]
    assert flagged == [True, False, True]


def test_letters_of_catwise_are_two(spectra, table):
    table["ab_flags"] = ["00", "D0", "0h"]
    assert used(spectra, table)[0] == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0]]


def test_quality_letters_of_both_surveys_may_be_in_one_table(spectra, table):
    table["ph_qual"] = ["AUA", "AAA", ""]
    table["wise_ph_qual"] = ["AAUU", "UAAA", "AXUU"]
    weight, flagged = used(spectra, table)
    assert weight == [[1, 0, 1, 1, 1], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0]]
    assert flagged == [False] * 3  # not detected is not contaminated


def test_a_missing_flag_says_nothing(spectra, table):
    table["cc_flags"] = MaskedColumn(["0000", "dddd", ""], mask=[False, True, False])
    assert used(spectra, table) == (ALL, [False] * 3)


def test_zeros_that_a_text_file_has_lost_come_back(spectra, table, tmp_path):
    table["cc_flags"], table["cc_flg"] = ["0000"] * 3, ["000"] * 3
    table.write(tmp_path / "p.csv")
    read = xpfit.read.read_table(tmp_path / "p.csv")
    assert read["cc_flags"].dtype.kind == "i"
    assert used(spectra, read) == (ALL, [False] * 3)
    table["cc_flags"] = MaskedColumn([0.0, np.nan, 0.0])
    assert used(spectra, table) == (ALL, [False] * 3)


@pytest.mark.parametrize("cells", [np.array([b"0000", b"00d0", b"d000"]), ["0000", "0000", "d000"]])
def test_byte_strings_and_text_are_the_same(spectra, table, cells):
    table["cc_flags"] = cells
    assert used(spectra, table)[0] == [*ALL[:2], [1, 1, 1, 0, 1]]


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("cc_flags", ["0000", "00q0", "0000"], "column cc_flags: '00q0' has letters other than"),
        ("cc_flags", ["000", "000", "d00"], "cc_flags: '000' is not one letter for each band: 4"),
        ("cc_flg", ["0000"] * 3, r"cc_flg: '0000' is not one letter for each band: 3 \(J, H, Ks"),
        ("ph_qual", ["AA", "AA", "AB"], "ph_qual: 'AA' is not one letter .*: 3 .* or 4"),
        ("ph_qual", ["AAA", "AAAA", "AAA"], "ph_qual: 'AAA' is not one letter"),
        ("cc_flg", ["zzz"] * 3, "column cc_flg: 'zzz' has letters other than"),
        ("ext_flag", [7, 8, 9], "column ext_flag: no value is possible as AllWISE's flag"),
    ],
)
def test_what_is_no_flag_of_the_survey_is_refused_by_name(spectra, table, name, cells, message):
    table[name] = cells
    with pytest.raises(InputError, match=message):
        attach_photometry(spectra, table)


def test_two_columns_of_flags_that_differ_are_refused(spectra, table):
    table["cc_flags"], table["ccf"] = ["0000"] * 3, ["0000", "d000", "0000"]
    with pytest.raises(InputError, match="ccf the second, may both be cc_flags, and differ"):
        attach_photometry(spectra, table)
    table["ccf"] = table["cc_flags"]
    assert used(spectra, table) == (ALL, [False] * 3)


def test_crowded_stars_are_flagged_where_a_band_was_measured(spectra, table):
    table["norm_dg"] = [-20.0, -7.0, -3.0]
    table["w1_mag"] = MaskedColumn([8.0, 9.0, 10.0], mask=[False, True, False])
    table["w2_mag"] = MaskedColumn([8.0, 9.0, 10.0], mask=[False, True, False])
    assert used(spectra, table)[1] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "values", "good"),
    [
        ("flags_unwise_w1", [0, 1, 64], [1, 0, 0]),
        ("flags_info_w1", [0, 2, 32], [1, 0, 0]),
        ("w1_flags_info", [4, 64, 8], [1, 1, 1]),
        ("fracflux_w1", [0.99, 0.49, 0.51], [1, 0, 1]),
    ],
)
def test_flags_of_unwise_are_those_of_one_band(spectra, table, name, values, good):
    table[name] = values
    weight, flagged = used(spectra, table)
    assert weight == [[1, 1, 1, w, 1] for w in good]
    assert flagged == [w == 0 for w in good]


def test_the_share_of_a_blend_is_a_setting(spectra, table):
    table["fracflux_w2"] = [0.8, 0.95, 0.6]
    weight, _ = used(spectra, table, PhotometrySettings(min_fracflux=0.9))
    assert [row[4] for row in weight] == [0, 1, 0]


def test_how_many_rows_are_not_used_is_told(spectra, table, caplog):
    table["cc_flags"] = ["0000", "dH00", "0p00"]
    table.meta["path"] = "flagged.fits"
    with caplog.at_level(logging.INFO, logger="xpfit"):
        attach_photometry(spectra, table)
    assert "cc_flags -> not used: W1 of 1, W2 of 2 rows" in caplog.text
    assert "not used: cc_flags" not in caplog.text
    verdicts, _ = unusable_bands(table, PhotometrySettings(), "t")
    assert [v.contaminated for v in verdicts] == [True]


def test_fits_carry_the_flag(absolute_model, rng):
    _, stars = simulate(absolute_model, 2, rng, relative_error=0.01)
    stars = stars.replace(input_flags=np.array([int(InputFlag.CONTAMINATED_BAND), 0]))
    result = absolute_model.fit(stars, progress=False)
    flags = fit_flags(absolute_model, stars, result) & FitFlag.CONTAMINATED_BAND
    np.testing.assert_array_equal(flags != 0, [True, False])
