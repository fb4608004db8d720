"""Tables joined part by part."""

import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError, Spectra
from xpfit.prepare import Additions


def spectra(*ids):
    n = len(ids)
    return Spectra(list(ids), [500.0, 600.0], np.ones((n, 2)), np.ones((n, 2)))


@pytest.fixture
def gaia():
    return Table({"source_id": [3, 4, 5], "parallax": [1.0] * 3, "parallax_error": [0.1] * 3})


def test_tables_are_checked_before_any_work(gaia):
    gaia.remove_column("parallax")
    with pytest.raises(InputError, match="lacks parallax"):
        Additions(astrometry=gaia, zero_point=False)


def test_stars_are_counted_over_all_parts(gaia, caplog):
    additions = Additions(astrometry=gaia, zero_point=False)
    for part in (spectra(3, 4), spectra(5, 6)):
        additions.apply(part)
    assert additions.found == {"astrometry": [4, 3]}
    with caplog.at_level("INFO", logger="xpfit"):
        additions.check_joins()
    assert "3 of 4 stars found by source_id, 1 not" in caplog.records[-1].getMessage()


def test_a_table_without_any_of_the_stars_is_told_at_once_and_refused_at_the_end(gaia):
    additions = Additions(astrometry=gaia, zero_point=False)
    with pytest.warns(UserWarning, match="none of the first 2 stars"):
        additions.apply(spectra(1, 2))
    additions.apply(spectra(7, 8))
    with pytest.raises(InputError, match="none of the 4 stars is in this table"):
        additions.check_joins()
    additions.check_joins({"astrometry": [4, 2]})  # as other processes counted


def test_a_part_without_stars_of_the_table_is_no_error(gaia):
    additions = Additions(astrometry=gaia, zero_point=False)
    additions.apply(spectra(3, 4))
    assert np.isinf(additions.apply(spectra(8, 9)).parallax_err).all()
    additions.check_joins()
