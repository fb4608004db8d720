"""Of which data release spectra and ids are."""

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import Table, vstack

import xpfit
from xpfit import InputError
from xpfit.read import read_continuous, read_sampled
from xpfit.read.crosswalk import Crosswalk
from xpfit.read.joins import Key
from xpfit.read.source_ids import release_of_ids

GAIA = 2**61


@pytest.mark.parametrize("style", ["csv (a, b)", "bulk csv.gz", "fits", "votable binary", "hdf5"])
@pytest.mark.parametrize(("n_bp", "release"), [(55, "DR3"), (51, "DR4")])
def test_the_numbers_of_coefficients_tell_the_release(rng, tmp_path, style, n_bp, release):
    path = write_archive(archive_sources(2, rng, n_bp, 55), tmp_path / "s", style)
    (table,) = read_continuous(path)
    assert table.meta["release"] == release
    (told,) = read_continuous(path, release=f"gaia {release.lower()}")
    assert told.meta["release"] == release
    with pytest.raises(
        InputError, match=f"said to be of Gaia .*coefficients are those of {release}"
    ):
        list(read_continuous(path, release={"DR3": "DR4", "DR4": "DR3"}[release]))
    with pytest.raises(InputError, match="no data release 'DR9' is known"):
        list(read_continuous(path, release="DR9"))


@pytest.mark.parametrize("style", ["csv (a, b)", "fits", "votable text"])
def test_sources_of_two_releases_in_one_file_are_refused(rng, tmp_path, style):
    old, new = archive_sources(2, rng, 55, 55), archive_sources(2, rng, 51, 55)
    for part in (old, new):
        for name in part.colnames:
            if part[name].ndim == 2:
                cells = np.empty(len(part), dtype=object)
                cells[:] = list(np.asarray(part[name], dtype=float))
                part[name] = cells
    path = write_archive(vstack([old, new]), tmp_path / "s", style)
    with pytest.raises(InputError, match=r"different data releases in one table: BP has (55|51)"):
        list(read_continuous(path))


def test_basis_functions_and_solutions_of_others_are_not_taken_for_dr3(rng, tmp_path):
    sources = archive_sources(2, rng, 4, 5)
    sources["rp_basis_function_id"] = np.int16(93)
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    with pytest.raises(InputError, match=r"unknown identifiers \(RP 93\), not those of DR3"):
        list(read_continuous(path))
    (told,) = read_continuous(path, release="DR4")
    assert told.meta["release"] == "DR4"
    sources["rp_basis_function_id"] = np.array([57, 93], dtype=np.int16)
    path = write_archive(sources, tmp_path / "t.csv", "csv (a, b)")
    with pytest.raises(InputError, match="different data releases in one table"):
        list(read_continuous(path))


def test_what_does_not_tell_its_release_is_said_to_be_taken_as_dr3(tmp_path, caplog):
    flux = np.full((1, 343), 1e-16)
    table = Table({"source_id": [GAIA], "ra": [1.0], "flux": flux, "flux_error": 0.01 * flux})
    table.write(tmp_path / "s.fits")
    with caplog.at_level("INFO", logger="xpfit"):
        (read,) = read_sampled(tmp_path / "s.fits")
    assert read.meta["release"] == "DR3"
    assert "data release not stated, Gaia DR3 assumed" in caplog.text
    table["solution_id"] = 4545469030156206081
    table.write(tmp_path / "t.fits")
    caplog.clear()
    (read,) = read_sampled(tmp_path / "t.fits")
    assert read.meta["release"] == "DR3" and not caplog.text
    assert next(read_sampled(tmp_path / "s.fits", release="DR4")).meta["release"] == "DR4"


def test_spectra_stores_and_catalogues_carry_the_release(tmp_path, sample_path):
    spectra = xpfit.read_spectra(sample_path, rows=slice(4))
    assert spectra.release == "DR3"
    new = spectra.replace(preparation={**spectra.preparation.to_dict(), "release": "DR4"})
    for ending in ("h5", "parquet"):
        xpfit.prepare.write_spectra([new], tmp_path / f"s.{ending}")
        assert xpfit.read_spectra(tmp_path / f"s.{ending}").release == "DR4"
    with pytest.raises(InputError, match="different data releases"):
        xpfit.Spectra.concatenate([spectra, new])


def test_a_model_refuses_spectra_of_another_release_or_flags_them(sample_path):
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(sample_path, rows=slice(3), model=model)
    new = spectra.replace(preparation={**spectra.preparation.to_dict(), "release": "DR4"})
    with pytest.raises(InputError, match=r"of Gaia DR4, the model was trained on Gaia DR3"):
        model.fit(new, progress=False, n_starts=1)
    result = model.fit(new, progress=False, n_starts=1, ignore_release=True)
    table = xpfit.result_table(model, new, result)
    assert np.all(np.asarray(table["fit_flags"]) & 524288)
    assert table.meta["RELEASE"] == "DR4"
    np.testing.assert_array_equal(table["gdr4_source_id"], new.source_id)
    assert not xpfit.quality.is_reliable(table["quality_flags"], table["fit_flags"]).any()
    same = model.fit(spectra, progress=False, n_starts=1)
    table = xpfit.result_table(model, spectra, same)
    assert not np.any(np.asarray(table["fit_flags"]) & 524288)
    assert table.meta["RELEASE"] == "DR3" and "gdr3_source_id" in table.colnames


@pytest.mark.parametrize(
    ("columns", "release"),
    [
        ({"designation": ["Gaia DR4 12"]}, "DR4"),
        ({"designation": ["Gaia EDR3 12"]}, "DR3"),
        ({"GAIAEDR3_SOURCE_ID": [GAIA]}, "DR3"),
        ({"gaia_dr4_source_id": [GAIA]}, "DR4"),
        ({"gdr3_source_id": [GAIA]}, "DR3"),
        ({"source_id": [GAIA], "ref_epoch": [2016.0]}, "DR3"),
        ({"source_id": [GAIA], "ref_epoch": [2017.5]}, "DR4"),
        ({"source_id": [GAIA], "tentative_parallax_bias": [0.01]}, "DR4"),
        ({"source_id": [GAIA]}, ""),
    ],
)
def test_what_tells_the_release_of_ids(columns, release):
    table = Table(columns)
    assert release_of_ids(table, table.colnames[0]) == release


def test_designations_of_two_releases_in_one_column_are_refused():
    table = Table({"designation": ["Gaia DR3 12", "Gaia DR4 12"]})
    with pytest.raises(InputError, match="designations of DR3 and DR4"):
        release_of_ids(table, "designation")


def test_an_unknown_solution_is_not_taken_for_dr3_without_a_word(tmp_path, caplog):
    flux = np.full((1, 343), 1e-16)
    table = Table({"source_id": [GAIA], "flux": flux, "flux_error": 0.01 * flux})
    table["solution_id"] = 99
    table.write(tmp_path / "s.fits")
    with caplog.at_level("INFO", logger="xpfit"):
        next(read_sampled(tmp_path / "s.fits"))
    assert "solution_id 99 is of no known one, Gaia DR3 assumed" in caplog.text
    assert next(read_sampled(tmp_path / "s.fits", release="DR4")).meta["release"] == "DR4"


def test_a_release_that_is_not_known_is_refused(sample_path):
    spectra = xpfit.read_spectra(sample_path, rows=slice(1))
    with pytest.raises(InputError, match="Gaia DR9, a data release that this version"):
        spectra.replace(preparation={**spectra.preparation.to_dict(), "release": "DR9"})


def test_ids_of_different_releases_are_not_joined():
    key = Key(Table({"gaia_dr3_source_id": [GAIA, GAIA + 4]}), "t.fits")
    with pytest.raises(InputError, match=r"ids of Gaia DR3, the spectra are of DR4.*--crosswalk"):
        key.rows(np.array([GAIA]), "DR4")
    _, matched = key.rows(np.array([GAIA]), "DR3")
    assert matched.all()


def test_a_crosswalk_gives_the_only_counterparts():
    table = Table({"dr3_source_id": [1, 2, 3, 3], "DR4_SOURCE_ID": [11, 12, 13, 14]})
    crosswalk = Crosswalk(table)
    ids = crosswalk.translate(np.array([12, 13, 99, 11]), "DR4", "DR3")
    np.testing.assert_array_equal(ids, [2, 0, 0, 1])
    np.testing.assert_array_equal(crosswalk.translate(np.array([2]), "DR3", "DR4"), [12])
    np.testing.assert_array_equal(crosswalk.translate(np.array([7]), "DR3", "DR3"), [7])
    with pytest.raises(InputError, match="none of the 1 stars is in column dr4_source_id"):
        crosswalk.translate(np.array([5]), "DR4", "DR3")
    with pytest.raises(InputError, match="no column dr4_source_id"):
        Crosswalk(Table({"dr3_source_id": [1]}))
