"""Tables of numbers and ids as surveys, the archive and people write them."""

import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.read.cells import NULLS
from xpfit.read.joins import ids_of
from xpfit.read.tables import float_column, read_table


@pytest.mark.parametrize("null", [text for text in NULLS if text not in ("()", "[]")])
def test_every_spelling_of_a_missing_number(tmp_path, null):
    path = tmp_path / "t.csv"
    path.write_text(f"source_id,teff\n1,5000\n2,{null}\n")
    np.testing.assert_array_equal(float_column(read_table(path)["teff"]), [5000.0, np.nan])


def test_a_text_among_numbers_counts_as_missing_and_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("source_id,teff\n1,5000\n2,unknown\n3,4000\n")
    with pytest.warns(UserWarning, match="teff: 1 of 3 cells are no numbers, such as 'unknown'"):
        values = float_column(read_table(path)["teff"])
    np.testing.assert_array_equal(values, [5000.0, np.nan, 4000.0])


def test_the_archive_s_comments_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeff# %ECSV 1.0\n# ---\nsource_id,j_m\n7,12.5\n".encode())
    assert read_table(path).colnames == ["source_id", "j_m"]


def test_ids_as_texts():
    ids = ids_of(Table({"source_id": ["5853498713190525696", "null"]})["source_id"], "t")
    np.testing.assert_array_equal(ids, [5853498713190525696, 0])
    with pytest.warns(UserWarning, match="1 of 2 cells are no 64-bit integer ids"):
        ids = ids_of(Table({"source_id": ["12", "99999999999999999999"]})["source_id"], "t")
    np.testing.assert_array_equal(ids, [12, 0])


@pytest.mark.filterwarnings("ignore:column source_id")
@pytest.mark.parametrize("values", [[1.0], np.array([1], dtype=np.int32), ["a"]])
def test_ids_that_may_have_lost_digits_are_refused(values):
    with pytest.raises(InputError, match="64-bit integer"):
        ids_of(Table({"source_id": values})["source_id"], "the table")
