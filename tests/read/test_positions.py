import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
from xpfit.read import match_positions

ARCSEC = 1.0 / 3600.0


def sources(ra, dec, pmra=0.0, pmdec=0.0):
    n = len(ra)
    return Table(
        {
            "ra": np.array(ra, dtype=float),
            "dec": np.array(dec, dtype=float),
            "pmra": MaskedColumn(np.broadcast_to(pmra, n).astype(float)),
            "pmdec": MaskedColumn(np.broadcast_to(pmdec, n).astype(float)),
        }
    )


def test_proper_motion_takes_a_source_to_where_the_survey_saw_it():
    """One arc second a year, at a declination where right ascension shrinks."""
    gaia = sources([100.0, 200.0], [60.0, -30.0], [1000.0, 0.0], [-500.0, 0.0])
    moved = Table(
        {
            "ra": [200.0, 100.0 - 16.0 * ARCSEC / np.cos(np.radians(60.0))],
            "dec": [-30.0, 60.0 + 8.0 * ARCSEC],
        }
    )
    rows, matched = match_positions(gaia, moved, 2000.0)
    np.testing.assert_array_equal(matched, [True, True])
    np.testing.assert_array_equal(rows, [1, 0])
    _, still = match_positions(gaia, moved, 2016.0)
    np.testing.assert_array_equal(still, [False, True])


def test_reference_epoch_of_the_table_counts():
    gaia = sources([100.0], [0.0], [1000.0])
    gaia["ref_epoch"] = [2000.0]
    _, matched = match_positions(gaia, Table({"ra": [100.0], "dec": [0.0]}), 2000.0)
    assert matched.all()


@pytest.mark.parametrize(("offset", "expected"), [(0.2, True), (0.3, False)])
def test_radius_is_a_quarter_of_an_arc_second(offset, expected):
    other = Table({"ra": [100.0], "dec": [10.0 + offset * ARCSEC]})
    _, matched = match_positions(sources([100.0], [10.0]), other, 2016.0)
    assert matched[0] == expected


def test_doubtful_pairs_are_announced_and_the_nearest_taken():
    gaia = sources([100.0, 100.0], [10.0, 10.0 + 0.2 * ARCSEC])
    other = Table({"ra": [100.0, 100.0], "dec": [10.0 + 0.18 * ARCSEC, 10.0 + 0.24 * ARCSEC]})
    with pytest.warns(UserWarning, match="nearest pairs are used"):
        rows, matched = match_positions(gaia, other, 2016.0)
    assert matched[1] and rows[1] == 0
    assert not matched[0] or rows[0] == 1
    assert len(set(rows[matched])) == matched.sum()


def test_sources_without_proper_motion_stand_still_and_bad_positions_match_nothing():
    gaia = sources([100.0, 110.0], [10.0, np.nan])
    gaia["pmra"].mask = gaia["pmdec"].mask = True
    _, matched = match_positions(gaia, Table({"ra": [100.0], "dec": [10.0]}), 2000.0)
    np.testing.assert_array_equal(matched, [True, False])
    _, matched = match_positions(gaia, Table({"ra": [np.nan], "dec": [10.0]}), 2000.0)
    assert not matched.any()


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="pmra, pmdec"):
        match_positions(Table({"ra": [1.0], "dec": [1.0]}), Table(), 2000.0)
