"""Tables of numbers and ids as surveys, the archive and people write them."""

import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from xpfit import InputError
from xpfit.read.cells import NULLS
from xpfit.read.columns import LABELLED
from xpfit.read.source_ids import ids_of
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


@pytest.mark.parametrize("ending", [".fits", ".fits.gz", ".xml"])
def test_of_several_tables_the_one_with_the_wanted_columns_is_read(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    visits = Table({"source_id": [1], "mjd": [5e4], "snr": [9.0]})
    labels = Table(
        {"source_id": [1, 2], "TEFF": [5e3, 4e3], "FE_H": [0.0, 0.1], "LOGG": [4.0, 2.0]}
    )
    if ending == ".xml":
        one = votable.from_table(visits)
        one.resources[0].tables.append(votable.from_table(labels).get_first_table())
        one.to_xml(str(path))
    else:
        hdus = [fits.BinTableHDU(t, name=n) for t, n in ((visits, "VISITS"), (labels, "STARS"))]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    with pytest.warns(UserWarning, match="of 2 tables .* is used; left out: "):
        assert len(read_table(path, LABELLED)) == 2
    with pytest.warns(UserWarning, match="of 2 tables .* is used; left out: "):
        assert len(read_table(path)) == 1
