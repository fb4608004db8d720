"""Every file of tests/data/corpus is read as the table that it was made from."""

import pytest
from corpus import CORPUS, FILES, OWN, ROW_NUMBERS, difference, expected, expected_columns
from corpus import read_columns as read

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(not the archive's|not read, since they hold Python|the last line has no end)"
)


def test_there_are_files_of_every_writer_and_of_old_ones():
    writers = {name.split("/")[1] for name in FILES}
    assert {"astropy", "astropy_old", "pandas_old", "stilts", "polars", "dialects"} <= writers
    assert len(FILES) > 150


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_as_what_it_was_made_from(name):
    wanted = expected_columns(name)
    columns, problems = read(name.split("/")[0], CORPUS / name)
    assert not any(problems)
    assert set(columns) - OWN - ROW_NUMBERS == set(wanted)
    assert [difference(columns[c], wanted[c], c) for c in wanted] == [""] * len(wanted)


def test_units_that_files_state_are_read():
    stating = [n for n in FILES if n.endswith((".fits", ".vot", ".ecsv", ".gz", "serialized.h5"))]
    stating = [n for n in stating if n.startswith("table")]
    assert len(stating) > 15
    for name in stating:
        columns, _ = read("table", CORPUS / name)
        for column in ("parallax", "teff", "j_m"):
            assert str(columns[column].unit) == expected.UNITS[column], name
