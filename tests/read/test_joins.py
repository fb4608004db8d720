"""Which column holds Gaia's ids, and how many stars a table has."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
from xpfit.read.joins import Found, Key, id_column, integer_ids

IDS = np.array([5853498713190525696, 4345775217221821312])


@pytest.mark.parametrize(
    "name",
    ["source_id", "SOURCE_ID", "GAIAEDR3_SOURCE_ID", "gaia_dr3_source_id", "Gaia_Source_ID",
     "source_id_1", "source_id_x", "sourceid", "Source", "gaia.source_id"],
)  # fmt: skip
def test_names_of_ids(name):
    table = Table({"ra": [1.0, 2.0], name: IDS})
    assert id_column(table, "t") == name
    np.testing.assert_array_equal(integer_ids(table, "t"), IDS)


@pytest.mark.parametrize(
    "values",
    [
        IDS.astype(str), IDS.astype(bytes), IDS.astype(object), IDS.astype(np.uint64),
        [f"Gaia DR3 {i}" for i in IDS], [f"Gaia EDR3 {i}".encode() for i in IDS],
        MaskedColumn(IDS), IDS.astype(">i8"),
    ],
)  # fmt: skip
def test_types_of_ids(values):
    np.testing.assert_array_equal(integer_ids(Table({"source_id": values}), "t"), IDS)


def test_designations_are_a_key_if_they_are_gaia_s():
    table = Table(
        {"designation": ["12345678+1234567", "-"], "DR3Name": [f"Gaia DR3 {i}" for i in IDS]}
    )
    assert id_column(table, "t") == "DR3Name"


@pytest.mark.parametrize("name", ["source_id", "designation"])
def test_ids_of_another_release_are_refused(name):
    table = Table({name: [f"Gaia DR2 {i}" for i in IDS]})
    with pytest.raises(InputError, match=r"an id of Gaia DR2; ids of Gaia DR3 .*dr2_neighbourhood"):
        integer_ids(table, "t")
    with pytest.raises(InputError, match=r"no column of 64-bit integer ids.*gaia_dr2_source_id"):
        integer_ids(Table({"gaia_dr2_source_id": IDS}), "t")


def test_ids_as_floats_are_refused():
    with pytest.raises(InputError, match="has type float64, not 64-bit integers"):
        integer_ids(Table({"source_id": IDS.astype(float)}), "t")


def test_two_columns_of_ids_must_agree():
    table = Table({"source_id_1": IDS, "source_id_2": IDS})
    assert id_column(table, "t") == "source_id_1"
    table["source_id_2"] += 1
    with pytest.raises(InputError, match="source_id_1 and source_id_2 may both be meant"):
        id_column(table, "t")


def test_rows_are_found_and_counted():
    key = Key(Table({"source_id": MaskedColumn([7, 0, 9, 0, 5], mask=[0, 1, 0, 1, 0])}), "t.csv")
    rows, matched = key.rows(np.array([5, 6, 0, 7]))
    np.testing.assert_array_equal(matched, [True, False, False, True])
    np.testing.assert_array_equal(rows[matched], [4, 0])
    assert key.found == Found(4, 2)
    text = "t.csv: 2 of 4 stars found by source_id, 2 not; the table has 3 sources"
    assert key.check() == text


def test_repeated_sources_are_told():
    with pytest.warns(UserWarning, match="1 rows of t repeat a source id"):
        Key(Table({"source_id": [3, 3, 0, 0]}), "t")


def test_a_join_of_nothing_is_an_error_and_a_poor_one_a_warning():
    key = Key(Table({"source_id": range(1, 21)}), "t.fits")
    assert key.check().startswith("t.fits: 0 of 0")
    with pytest.raises(InputError, match=r"^t\.fits: none of the 9 stars is in this table.*DR3"):
        key.check(Found(9, 0))
    with pytest.warns(UserWarning, match="t.fits: 4 of 9 stars.*is it the table of these stars"):
        key.check(Found(9, 4))
    short = Key(Table({"source_id": range(1, 5)}), "t.fits")
    assert short.check(Found(9, 4)).startswith("t.fits: 4 of 9")  # all that it has
