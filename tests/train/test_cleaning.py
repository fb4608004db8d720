import numpy as np
import pytest

from xpfit import InputError
from xpfit.train.cleaning import CleanFlag, Tension, clean_reasons, label_flag, trainable

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
    stars = stars.replace(labels={**stars.labels, "teff": stars.labels["teff"] * 1000.0})
    with pytest.raises(InputError, match=r"label implausible.*kK"):
        trainable(stars, LABELS, np.empty(0))


def test_unknown_label_is_named(sample):
    with pytest.raises(InputError, match=r"no label c_m.*teff"):
        trainable(sample, ("teff", "c_m"), np.empty(0))


def tension(n_star, **given):
    """No tension but what is given."""
    zero = np.zeros(n_star)
    parts = {"labels": np.zeros((n_star, 2)), "parallax": zero, "binary": zero, "flux": zero}
    return Tension(**(parts | {"chi2": zero} | given))


def test_every_reason_has_its_bit():
    one = 1.5 * np.eye(7)
    flags = Tension(one[:, :2], one[:, 2], one[:, 3], one[:, 4], one[:, 5]).flags()
    expected = [
        label_flag(0), label_flag(1), CleanFlag.PARALLAX, CleanFlag.BINARY, CleanFlag.FLUX,
        CleanFlag.CHI2, 0,
    ]  # fmt: skip
    np.testing.assert_array_equal(flags, expected)
    assert clean_reasons(flags, ("teff", "feh")) == {
        "flux": 1, "chi2": 1, "parallax": 1, "binary": 1, "not_finite": 0, "teff": 1, "feh": 1
    }  # fmt: skip


def test_a_star_may_have_several_reasons_and_bits_do_not_collide():
    flags = tension(1, chi2=np.array([2.0]), flux=np.array([1.1])).flags()
    np.testing.assert_array_equal(flags, [CleanFlag.CHI2 | CleanFlag.FLUX])
    bits = [int(flag) for flag in CleanFlag] + [label_flag(i) for i in range(4)]
    assert sum(bits) == np.bitwise_or.reduce(bits)


def test_values_that_are_not_finite_are_outliers_however_few_may_be():
    flags = tension(3, chi2=np.array([0.1, np.nan, np.inf])).flags(max_fraction=0.0)
    np.testing.assert_array_equal(flags, [0, CleanFlag.NOT_FINITE, CleanFlag.NOT_FINITE])


def test_share_of_outliers_can_be_bounded(rng):
    chi2 = rng.uniform(2.0, 4.0, 100)
    found = np.flatnonzero(tension(100, chi2=chi2).flags(max_fraction=0.3))
    np.testing.assert_array_equal(found, np.sort(np.argsort(chi2)[-30:]))
