import numpy as np
import pytest

from xpfit.data.split import is_held_out, place_of_id


def ids_of_neighbours(n=40_000):
    """Ids as Gaia makes them: a few cells of HEALPix, running numbers, many zero bits."""
    cell, number = np.divmod(np.arange(n), 400)
    return (cell.astype(np.int64) << 35) + (number << 7) * 32


def test_the_fraction_is_held_out_whatever_the_ids():
    for ids in (ids_of_neighbours(), np.arange(1, 40_001), 2**62 + np.arange(40_000)):
        assert is_held_out(ids, 0.2).mean() == pytest.approx(0.2, abs=0.008)
        counts = np.histogram(place_of_id(ids), 10, (0, 1))[0]
        assert np.abs(counts - 4000).max() < 300


def test_a_star_is_on_the_same_side_in_every_data_set(rng):
    ids = ids_of_neighbours()
    chosen = rng.permutation(len(ids))[:100]
    np.testing.assert_array_equal(is_held_out(ids, 0.2)[chosen], is_held_out(ids[chosen], 0.2))
    # These numbers must never change: models refer to them.
    np.testing.assert_allclose(
        place_of_id(np.array([1, 4295806720])), [0.338167, 0.829472], atol=1e-6
    )


def test_a_larger_fraction_holds_out_the_same_stars_and_more():
    ids = ids_of_neighbours()
    few, more = is_held_out(ids, 0.1), is_held_out(ids, 0.3)
    assert few.sum() < more.sum() and not np.any(few & ~more)
    assert not is_held_out(ids, 0.0).any()
