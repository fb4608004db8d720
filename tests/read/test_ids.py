import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.read import read_source_ids


def test_text_with_comments_and_blank_lines(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("# mine\n4611686018427387905\n\n  17 \n")
    ids = read_source_ids(path)
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, [4611686018427387905, 17])


def test_bad_line_is_named(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("12\n1.2e18\n")
    with pytest.raises(InputError, match=r"ids\.txt, line 2: '1\.2e18'"):
        read_source_ids(path)


def test_fits_table_of_spectra_serves_as_a_list(sample_path):
    assert len(np.unique(read_source_ids(sample_path))) == 2000


def test_fits_table_without_ids_is_refused(tmp_path):
    path = tmp_path / "t.fits"
    Table({"x": [1]}).write(path)
    with pytest.raises(InputError, match="no column of 64-bit integer ids"):
        read_source_ids(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ids\.txt"):
        read_source_ids(tmp_path / "ids.txt")


def test_designations_in_a_text_with_their_release(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("Gaia DR3 5853498713190525696\n4345775217221821312\n")
    np.testing.assert_array_equal(read_source_ids(path), [5853498713190525696, 4345775217221821312])
    path.write_text("Gaia DR2 5853498713190525696\n")
    with pytest.raises(InputError, match=r"line 1: 'Gaia DR2 .* ids of Gaia DR3"):
        read_source_ids(path)
