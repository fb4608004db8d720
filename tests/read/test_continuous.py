import contextlib

import h5py
import numpy as np
import pytest
from archive import FORMATS, archive_sources, write_archive
from hypothesis import given, settings
from hypothesis import strategies as st

from xpfit import InputError
from xpfit.read import read_continuous, spectra_kind
from xpfit.read.cells import _parse_array
from xpfit.read.formats.dialects import split_line

ARRAYS = [f"{b}_{c}" for b in ("bp", "rp") for c in
          ("coefficients", "coefficient_errors", "coefficient_correlations")]  # fmt: skip


@pytest.fixture
def sources(rng):
    return archive_sources(3, rng)


def read_all(path, **options):
    return list(read_continuous(path, **options))


def with_nulls(table, row, names):
    """Copy whose cells `names` of one row are null."""
    copy = table.copy()
    for name in names:
        cells = np.empty(len(table), dtype=object)
        cells[:] = list(table[name])
        cells[row] = None
        copy[name] = cells
    return copy


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_gives_the_same_numbers(sources, tmp_path, style):
    (table,) = read_all(write_archive(sources, tmp_path / "spectra", style))
    np.testing.assert_array_equal(table["source_id"], sources["source_id"])
    assert table["source_id"].dtype == np.int64
    for name in ARRAYS:
        np.testing.assert_allclose(table[name], sources[name], rtol=1e-7, err_msg=name)
    np.testing.assert_array_equal(table["bp_coefficients"], sources["bp_coefficients"])
    np.testing.assert_allclose(table["rp_n_relevant_bases"], 53)
    assert list(table["problem"]) == ["", "", ""]


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_is_recognised(sources, tmp_path, style):
    assert spectra_kind(write_archive(sources, tmp_path / "spectra", style)) == "continuous"


def test_the_library_is_told_from_continuous_spectra(sample_path):
    assert spectra_kind(sample_path) == "library"


@pytest.mark.parametrize("style", ["csv (a, b)", "fits", "votable text"])
def test_chunks_hold_all_sources_in_order(rng, tmp_path, style):
    sources = archive_sources(7, rng, 5, 4)
    tables = read_all(write_archive(sources, tmp_path / "spectra", style), chunk_size=3)
    assert [len(t) for t in tables] == [3, 3, 1]
    ids = np.concatenate([np.asarray(t["source_id"]) for t in tables])
    np.testing.assert_array_equal(ids, sources["source_id"])


def test_number_of_coefficients_comes_from_the_data(rng, tmp_path):
    path = write_archive(archive_sources(2, rng, 51, 55), tmp_path / "dr4.csv", "csv (a, b)")
    (table,) = read_all(path)
    assert table["bp_coefficients"].shape == (2, 51)
    assert table["bp_coefficient_correlations"].shape == (2, 51 * 50 // 2)


@pytest.mark.parametrize("style", ["csv (a, b)", "ecsv", "bulk csv.gz", "fits"])
def test_absent_band_is_nan_and_no_problem(sources, tmp_path, style):
    absent = with_nulls(sources, 1, ARRAYS[:3])
    (table,) = read_all(write_archive(absent, tmp_path / "spectra", style))
    assert np.isnan(table["bp_coefficients"][1]).all()
    assert np.isfinite(table["rp_coefficients"]).all()
    assert np.isfinite(table["bp_coefficients"][[0, 2]]).all()
    assert list(table["problem"]) == ["", "", ""]


def test_cell_of_the_wrong_length_is_a_problem_of_its_source_alone(sources, tmp_path):
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("(", "(1.0, ", 1)
    path.write_text("\n".join(lines))
    (table,) = read_all(path)
    assert list(table["problem"]) == ["", "bp_coefficients: 56 values, expected 55", ""]


@pytest.mark.parametrize("cell", ['"(1.0, two, 3.0)"', '"1.0, 2.0"', '"(1.0,, 3.0)"'])
def test_unreadable_cell_is_a_problem_of_its_source_alone(sources, tmp_path, cell):
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    lines = path.read_text().splitlines()
    start = lines[1].index('"')
    lines[1] = lines[1][:start] + cell + lines[1][lines[1].index('"', start + 1) + 1 :]
    path.write_text("\n".join(lines))
    (table,) = read_all(path)
    assert table["problem"][0].startswith("bp_coefficients: ") and table["problem"][1] == ""


@pytest.mark.parametrize("style", ["fits", "votable binary"])
def test_columns_of_float_ids_are_refused(sources, tmp_path, style):
    sources["source_id"] = sources["source_id"].astype(float)
    with pytest.raises(InputError, match="64-bit integers"):
        read_all(write_archive(sources, tmp_path / "s", style))


def test_missing_id_is_masked(sources, tmp_path):
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    path.write_text(path.read_text().replace(f"{sources['source_id'][1]},", ",", 1))
    (table,) = read_all(path)
    np.testing.assert_array_equal(np.ma.getmaskarray(table["source_id"]), [False, True, False])


@pytest.mark.parametrize("style", FORMATS)
def test_table_of_another_type_is_refused_by_its_missing_columns(sources, tmp_path, style):
    sources.remove_columns(["rp_coefficients", "bp_coefficient_errors"])
    path = write_archive(sources, tmp_path / "s", style)
    with pytest.raises(InputError, match="missing columns bp_coefficient_errors, rp_coefficients"):
        read_all(path)


@pytest.mark.parametrize("style", ["csv (a, b)", "ecsv", "fits", "votable text"])
def test_table_without_rows_is_refused(sources, tmp_path, style):
    with pytest.raises(InputError, match="no rows"):
        read_all(write_archive(sources[:0], tmp_path / "s", style))


def test_empty_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv: the file is empty"):
        read_all(tmp_path / "empty.csv")
    with pytest.raises(FileNotFoundError, match=r"absent\.csv"):
        read_all(tmp_path / "absent.csv")


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_truncated_file_is_an_error_that_names_it(sources, tmp_path, style, share):
    path = write_archive(sources, tmp_path / "spectra.x", style)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"spectra\.x"):
        read_all(path)


def test_correlations_that_do_not_fit_the_coefficients_are_refused(sources, tmp_path):
    sources["bp_coefficient_correlations"] = sources["bp_coefficient_correlations"][:, :100]
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    with pytest.raises(InputError, match="100 correlations for 55 bp coefficients; expected 1485"):
        read_all(path)


def test_errors_that_do_not_fit_the_coefficients_are_refused(sources, tmp_path):
    sources["rp_coefficient_errors"] = sources["rp_coefficient_errors"][:, :3]
    path = write_archive(sources, tmp_path / "s.h5", "hdf5")
    with pytest.raises(InputError, match="3 errors for 55 rp coefficients; expected 55"):
        read_all(path)


def test_errors_of_a_band_without_coefficients_are_left_out(sources, tmp_path):
    sources["bp_coefficients"] = [None] * len(sources)
    (table,) = read_all(write_archive(sources, tmp_path / "s.csv", "csv (a, b)"))
    assert table["bp_coefficient_errors"].shape == (len(sources), 0)
    assert np.isfinite(table["rp_coefficients"]).all()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
       st.sampled_from(["()", "[]"]), st.sampled_from([",", ", ", " , "]))  # fmt: skip
def test_any_list_of_numbers_comes_back(values, brackets, comma):
    text = brackets[0] + comma.join(map(repr, values)) + brackets[1]
    np.testing.assert_array_equal(_parse_array(text.encode()), values)


@given(st.binary(max_size=60))
def test_any_cell_gives_an_array_or_a_value_error(cell):
    with contextlib.suppress(ValueError):
        assert _parse_array(cell).ndim == 1


@given(st.lists(st.one_of(st.integers().map(str), st.just(""), st.just('"(1, 2)"'),
                          st.just("[3, 4]")), min_size=1, max_size=8))  # fmt: skip
def test_lines_split_at_commas_outside_quotes_and_brackets(cells):
    expected = [cell.strip('"').encode() for cell in cells]
    assert split_line(",".join(cells).encode()) == expected


settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")


def test_mirror_with_datasets_of_different_lengths_is_refused(sources, tmp_path):
    path = write_archive(sources, tmp_path / "mirror.h5", "hdf5")
    with h5py.File(path, "r+") as file:
        short = file["rp_coefficients"][:2]
        del file["rp_coefficients"]
        file["rp_coefficients"] = short
    with pytest.raises(InputError, match="different lengths"):
        read_all(path)
