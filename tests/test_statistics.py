import warnings

import numpy as np
import pytest

from xpfit.constants import MAD_TO_SIGMA
from xpfit.statistics import robust_width


def test_robust_width_is_that_of_the_median_absolute_deviation(rng):
    values = rng.standard_normal((500, 4)) * [1.0, 2.0, 3.0, 4.0]
    expected = MAD_TO_SIGMA * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    np.testing.assert_allclose(robust_width(values, axis=0), expected, rtol=1e-5)
    assert robust_width(values[:, 1]) == pytest.approx(expected[1], rel=1e-5)


def test_missing_values_do_not_count_and_nothing_has_no_width():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert robust_width([1.0, np.nan, 2.0, 3.0]) == robust_width([1.0, 2.0, 3.0])
        assert np.isnan(robust_width([])) and np.isnan(robust_width([np.nan]))
        columns = robust_width(np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan]]), axis=0)
    assert columns[0] == robust_width([1.0, 2.0, 3.0]) and np.isnan(columns[1])
