"""Every file of tests/data/corpus is read as the table that it was made from."""

import sys
from pathlib import Path

import numpy as np
import pytest

from xpfit.read import read_continuous, read_sampled, read_table
from xpfit.read.tables import float_column

CORPUS = Path(__file__).parents[1] / "data" / "corpus"
sys.path.insert(0, str(CORPUS))
from expected import CONTINUOUS, OMITTED, SAMPLED, TABLE, UNITS, WAVELENGTH  # noqa: E402

FILES = sorted(
    str(path.relative_to(CORPUS))
    for kind in ("continuous", "sampled", "table")
    for path in (CORPUS / kind).rglob("*.*")
)


def columns_of(name: str) -> dict:
    """Columns of a file as the package reads them, by names in lower case."""
    kind, path = name.split("/")[0], CORPUS / name
    if kind == "table":
        table = read_table(path)
    else:
        read = read_continuous if kind == "continuous" else read_sampled
        options = {} if kind == "continuous" else {"sampling": WAVELENGTH}
        (table,) = read(path, **options)
        assert not any(table["problem"])
    return {column.lower(): table[column] for column in table.colnames}


def test_there_are_files_of_every_writer_and_of_old_ones():
    writers = {name.split("/")[1] for name in FILES}
    assert {"astropy", "astropy_old", "pandas_old", "stilts", "polars", "dialects"} <= writers
    assert len(FILES) > 150


@pytest.mark.filterwarnings("ignore:.*(not the archive's|not read, since they hold Python)")
@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_as_what_it_was_made_from(name):
    expected = {"continuous": CONTINUOUS, "sampled": SAMPLED, "table": TABLE}[name.split("/")[0]]
    omitted = OMITTED.get(name) or OMITTED.get(name.replace("_old/", "/"), ())
    read = columns_of(name)
    own = {"problem", "bp_chi_squared", "rp_chi_squared"}  # which the readers of spectra add
    added = {"unnamed: 0", "", "col0"}  # pandas' row numbers
    assert set(read) - own - added == set(expected) - set(omitted)
    for column in set(expected) - set(omitted):
        wanted, values = expected[column], read[column]
        assert len(values) == len(wanted)
        if wanted.dtype.kind == "U":
            assert [str(x) for x in np.asarray(values)] == list(wanted)
        elif wanted.dtype.kind == "b":
            assert [str(x).lower() in ("true", "1", "t") for x in values] == list(wanted)
        elif column == "source_id":
            assert (values.dtype.kind, values.dtype.itemsize) == ("i", 8)
            np.testing.assert_array_equal(np.ma.filled(np.ma.asarray(values), 0), wanted)
        else:
            wanted = np.where(wanted == -1, np.nan, wanted) if wanted.dtype.kind == "i" else wanted
            rtol = 1e-12 if wanted.dtype.itemsize == 8 else 1e-6
            np.testing.assert_allclose(float_column(values), wanted, rtol=rtol, atol=2e-15)


def test_units_that_files_state_are_read():
    stating = [n for n in FILES if n.endswith((".fits", ".vot", ".ecsv", ".gz", "serialized.h5"))]
    stating = [n for n in stating if n.startswith("table")]
    assert len(stating) > 15
    for name in stating:
        columns = columns_of(name)
        for column in ("parallax", "teff", "j_m"):
            assert str(columns[column].unit) == UNITS[column], name
