import numpy as np
import pytest

from xpfit.nn import minibatches


def test_an_epoch_visits_every_sample_once_in_random_order(rng):
    batches = list(minibatches(1000, 128, rng))
    assert [len(b) for b in batches] == [128] * 7 + [104]
    order = np.concatenate(batches)
    assert not np.array_equal(order, np.arange(1000))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_no_samples_give_no_batches(rng):
    assert list(minibatches(0, 16, rng)) == []


def test_batch_size_must_be_positive(rng):
    with pytest.raises(ValueError, match="batch_size"):
        next(minibatches(10, 0, rng))
