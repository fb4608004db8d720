import numpy as np
import pytest

from xpfit import InputError
from xpfit.train.cleaning import outliers, trainable

LABELS = ("teff", "feh", "logg")


def test_every_row_is_used_or_counted_once(sample):
    rows, dropped = trainable(sample, LABELS, sample.source_id[:10])
    assert dropped["excluded by id"] == 10
    assert len(rows) + sum(dropped.values()) == len(sample)
    assert not np.isin(sample.source_id[:10], sample.source_id[rows]).any()


def test_stars_without_a_label_are_left_out(sample):
    rows, dropped = trainable(sample, LABELS, np.empty(0))
    assert dropped["label missing"] > 0
    assert all(np.isfinite(sample.labels[name][rows]).all() for name in LABELS)


def test_of_a_repeated_source_the_first_row_is_used(sample):
    twice = sample[np.r_[0:300, 0:300]]
    rows, dropped = trainable(twice, LABELS, np.empty(0))
    assert dropped["repeated source id"] == 300
    assert rows.max() < 300


def test_temperatures_in_kelvin_are_refused_with_advice(sample):
    stars = sample[:200]
    stars.labels["teff"] = stars.labels["teff"] * 1000.0
    with pytest.raises(InputError, match=r"label implausible.*kK"):
        trainable(stars, LABELS, np.empty(0))


def test_unknown_label_is_named(sample):
    with pytest.raises(InputError, match=r"no label c_m.*teff"):
        trainable(sample, ("teff", "c_m"), np.empty(0))


def test_outliers_are_stars_in_tension_or_badly_fitted():
    pull = np.array([[0.0, 1.0], [4.5, 0.0], [0.0, -4.5], [0.0, 0.0], [0.0, 0.0]])
    chi2 = np.array([1.0, 1.0, 1.0, 6.0, np.nan])
    found = outliers(pull, chi2, max_sigma=4.0, max_chi2=5.0)
    np.testing.assert_array_equal(found, [False, True, True, True, True])


def test_share_of_outliers_can_be_bounded(rng):
    pull = np.zeros((100, 1))
    chi2 = rng.uniform(10.0, 20.0, 100)
    found = outliers(pull, chi2, max_sigma=4.0, max_chi2=5.0, max_fraction=0.3)
    np.testing.assert_array_equal(np.flatnonzero(found), np.sort(np.argsort(chi2)[-30:]))
