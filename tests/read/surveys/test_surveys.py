import warnings

import numpy as np
import pytest
from astropy.table import Table, vstack
from survey_tables import (
    FLAGGED,
    FORMS,
    IDS,
    MISSING,
    USED,
    VALUES,
    survey_table,
    write_survey_table,
)

from xpfit import InputError
from xpfit.cli import main
from xpfit.read import read_apogee, read_lamost, read_survey
from xpfit.read.labels import reference_labels
from xpfit.read.surveys import SURVEYS, Flag, load_survey, recognised, survey_names
from xpfit.read.surveys.flags import flag_values

NAMES = sorted(SURVEYS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_every_survey_is_recognised_and_read(name, form, tmp_path):
    table = read_survey(write_survey_table(name, form, tmp_path))
    survey = SURVEYS[name]
    used = USED if survey.flags else np.sort([*USED, FLAGGED])
    for label in ("teff", "teff_err", "feh", "feh_err", "logg", "logg_err", "snr"):
        np.testing.assert_allclose(table[label], VALUES[label][used], err_msg=label)
    if survey.optional or "alpha_m" in survey.columns:
        np.testing.assert_allclose(table["alpha_m"], 0.05)
    if "source_id" in survey.columns:
        np.testing.assert_array_equal(table["source_id"], IDS[used])
    else:
        assert "source_id" not in table.colnames  # those of the table are of Gaia DR2
        np.testing.assert_allclose(table["ra"], VALUES["ra"][used])
    removed = table.meta["removed"]
    assert removed["without labels"] == 1 and removed["repeated"] == 1
    assert sum(removed.values()) == 2 + bool(survey.flags)
    assert table.meta["survey"] == name


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_another_survey_is_refused_by_name(name, tmp_path):
    file = write_survey_table(name, "fits", tmp_path)
    for other in set(NAMES) - {name}:
        with pytest.raises(InputError, match=rf"t\.fits: missing column.*--survey {name}\)"):
            read_survey(file, other)
    with pytest.raises(InputError, match="gaiadr9 is no survey; known are apogee, apogee-dr17"):
        read_survey(file, "gaiadr9")


@pytest.mark.parametrize("name", NAMES)
def test_wrong_units_and_missing_columns_are_refused_by_name(name, tmp_path):
    survey = SURVEYS[name]
    teff, logg = survey.columns["teff"], survey.columns["logg"]
    table = survey_table(name)
    table[teff].unit = "mag"
    table.write(tmp_path / "unit.fits")
    with pytest.raises(InputError, match=rf"unit\.fits: column {teff}: .*mag"):
        read_survey(tmp_path / "unit.fits")
    table[teff].unit = None
    table[teff] = np.where(np.asarray(table[teff]) > 0, table[teff] / 1000.0, table[teff])
    table.write(tmp_path / "kk.fits")
    with pytest.raises(InputError, match=rf"kk\.fits: column {teff}: no value is possible"):
        read_survey(tmp_path / "kk.fits")
    table.remove_column(logg)
    table.write(tmp_path / "column.fits")
    with pytest.raises(InputError, match=rf"missing column {logg}; this is not the table of "):
        read_survey(tmp_path / "column.fits", name)


def test_units_that_are_stated_are_converted(tmp_path):
    table = survey_table("galah-dr4")
    table["teff"] /= 1000.0
    table["e_teff"] /= 1000.0
    table["teff"].unit = table["e_teff"].unit = "kK"
    table["logg"].unit = "log(cm.s**-2)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a unit that FITS does not know
        table.write(tmp_path / "t.fits")
    read = read_survey(tmp_path / "t.fits", "galah-dr4")
    np.testing.assert_allclose(read["teff"], VALUES["teff"][USED])
    np.testing.assert_allclose(read["teff_err"], 40.0)


def test_values_that_the_survey_does_not_write_are_named(tmp_path):
    table = survey_table("apogee-dr17")
    table["LOGG"][0] = -1000.0
    table.write(tmp_path / "t.fits")
    with pytest.warns(UserWarning, match=r"column LOGG: 1 of 5 values are impossible .*-1000"):
        read = read_survey(tmp_path / "t.fits")
    np.testing.assert_allclose(read["teff"], VALUES["teff"][USED][1:])


def test_apogee_s_stars_with_bad_spectra_and_duplicates_are_left_out(tmp_path):
    """STARFLAG and EXTRATARG (Fallows & Sanders 2024), where a table has them; carbon, nitrogen."""
    table = survey_table("apogee-dr17")
    table["EXTRATARG"] = table["ASPCAPFLAG"] = table["STARFLAG"] = np.zeros(len(table), dtype=int)
    table["STARFLAG"][0], table["STARFLAG"][5] = 1 << 9, 1 << 2  # the latter is no bad one
    table["EXTRATARG"][FLAGGED] = 1 << 4
    table.write(tmp_path / "t.fits")
    read = read_survey(tmp_path / "t.fits")
    assert read.meta["removed"]["PERSIST_HIGH"] == read.meta["removed"]["DUPLICATE"] == 1
    np.testing.assert_allclose(read["teff"], VALUES["teff"][USED[1:]])
    np.testing.assert_allclose(read["c_fe"], -0.05)
    np.testing.assert_allclose(read["n_fe_err"], 0.04)
    table.remove_columns(["STARFLAG", "EXTRATARG", "N_FE", "N_FE_ERR"])
    table.write(tmp_path / "old.fits")
    read = read_survey(tmp_path / "old.fits", "apogee-dr17")
    assert VALUES["teff"][0] in read["teff"]
    assert "c_fe" in read.colnames and "n_fe" not in read.colnames


def test_the_table_with_rows_of_several_in_a_file_is_read(tmp_path):
    from astropy.io import fits

    table = survey_table("sdss-dr19")
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table[:0]), fits.table_to_hdu(table)]
    fits.HDUList(hdus).writeto(tmp_path / "t.fits")
    assert len(read_survey(tmp_path / "t.fits")) == 3


def test_stars_without_an_id_are_not_one_star(tmp_path):
    table = survey_table("galah-dr4")
    table["gaiadr3_source_id"] = np.where(np.arange(len(table)) == MISSING, IDS, -1)
    table.write(tmp_path / "t.fits")
    assert len(read_survey(tmp_path / "t.fits")) == 4


def test_a_survey_from_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'columns = { source_id = "star", teff = "T", feh = "M", logg = "g" }\n'
        '[[flags]]\ncolumn = "q"\nbad = { binary = 2 }\n'
    )
    raw = Table({"star": IDS[:3], "T": [5e3, 6e3, 7e3], "M": [0.0, 0.1, 0.2], "g": [4.0, 4.1, 4.2]})
    raw["q"] = [0, 4, 8]
    raw.write(tmp_path / "t.fits")
    table = read_survey(tmp_path / "t.fits", tmp_path / "mine.toml")
    np.testing.assert_allclose(table["teff"], [5e3, 7e3])
    assert table.meta["removed"]["binary"] == 1 and table.meta["survey"] == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns = 3 =", "not a TOML file"),
        ("colums = {}", "unknown key colums"),
        ('columns = { teff = "T", feh = "M" }', "has no logg"),
        ('columns = { teff = "T", feh = "M", logg = "g" }', "neither source_id nor ra and dec"),
        ('columns = { colour = "T" }', "no label column is called colour"),
    ],
)
def test_files_that_describe_no_survey_are_refused_by_name(text, message, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=rf"mine\.toml: .*{message}"):
        load_survey(tmp_path / "mine.toml")


def test_flags_of_every_type():
    named, plain = Flag("f", {"BAD": 3, "WORSE": 40}), Flag("f")
    for column, flag, expected in (
        (np.array([0, 8, 1 << 40]), named, [0, 8, 1 << 40]),
        (np.array([0, 8], dtype=">i4"), named, [0, 8]),
        (np.array([True, False]), plain, [1, 0]),
        (np.array([0.0, 8.0, np.nan]), named, [0, 8, None]),
        (np.ma.array([1, 8], mask=[True, False]), named, [None, 8]),
        (np.array(["0", "8", "", "BAD", "GOOD,WORSE"]), named, [0, 8, None, 8, 1 << 40]),
        (np.array([b"True", b"false"]), plain, [1, 0]),
        (np.array([-9999, 1]), plain, [None, 1]),
    ):
        values, known = flag_values(column, flag, "t")
        assert [v if k else None for v, k in zip(values, known, strict=True)] == expected
    for column in (np.array([0.5]), np.array(["maybe"]), np.array(["BAD"])):
        with pytest.raises(InputError, match=r"t: .* is no flag"):
            flag_values(column, plain, "t")


def test_no_two_surveys_share_a_name_and_all_have_their_facts():
    names = [n for s in SURVEYS.values() for n in (s.name, *s.aliases)]
    assert sorted(names) == list(survey_names())
    for survey in SURVEYS.values():
        assert survey.title and survey.file and survey.paper
        assert recognised(survey_table(survey.name).colnames) == survey


def test_reference_tables_of_surveys_lose_their_flagged_stars():
    labels = reference_labels(survey_table("galah-dr3"), "t")
    assert len(labels) == 5
    np.testing.assert_array_equal(np.sort(labels["source_id"]), np.sort(np.delete(IDS, 1)))
    assert reference_labels(survey_table("lamost-mrs"), "t")["teff"][0] == 5400.0


def test_old_names_of_readers_still_work(tmp_path):
    survey_table("apogee-dr17").write(tmp_path / "a.fits")
    survey_table("lamost-lrs").write(tmp_path / "l.fits")
    with pytest.warns(FutureWarning, match=r'read_survey\(path, "apogee-dr17"\)'):
        assert len(read_apogee(tmp_path / "a.fits")) == 3
    with pytest.warns(FutureWarning, match="read_survey"):
        assert len(read_lamost(tmp_path / "l.fits")) == 4


def test_inspect_names_the_survey(tmp_path, capsys):
    survey_table("galah-dr3").write(tmp_path / "t.fits")
    assert main(["inspect", str(tmp_path / "t.fits")]) == 0
    assert "those of GALAH DR3 (--survey galah-dr3)" in capsys.readouterr().out


def test_two_copies_of_one_star_leave_the_better(tmp_path):
    table = survey_table("lamost-mrs")
    copy = table[:1].copy()
    copy["snr"] = 500.0
    vstack([table, copy]).write(tmp_path / "t.fits")
    read = read_survey(tmp_path / "t.fits")
    np.testing.assert_allclose(np.sort(read["snr"]), [60.0, 60.0, 90.0, 500.0])
