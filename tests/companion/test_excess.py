import numpy as np
import pytest

from xpfit.companion.excess import ExcessErrors, excess_error


def test_excess_errors_give_pulls_of_width_one(rng):
    residual, error = rng.normal(0.0, 5.0, 4000), np.full(4000, 3.0)
    assert excess_error(residual, error) == pytest.approx(4.0, rel=0.06)
    assert excess_error(0.1 * residual, error) < 1e-4


def test_they_follow_what_they_depend_on_and_leave_out_what_is_unknown(rng):
    n = 12_000
    at = rng.uniform(0.0, 6.0, n)
    residual = rng.standard_normal((n, 2)) * np.column_stack([1.0 + at, np.full(n, 2.0)])
    residual[at > 4.0, 1] = np.nan  # no star there has the second label
    errors = ExcessErrors.learn(at, residual, np.full((n, 2), 0.5))
    expected = np.sqrt((1.0 + errors.at) ** 2 + 1.0 / 12.0 - 0.25)
    np.testing.assert_allclose(errors.errors[0], expected, rtol=0.08)
    np.testing.assert_allclose(errors.errors[1], np.sqrt(4.0 - 0.25), rtol=0.25)
    between = errors(np.array([-5.0, 3.0, 50.0]))
    assert between[0, 0] == errors.errors[0, 0] and between[2, 0] == errors.errors[0, -1]
    assert between[1, 0] == pytest.approx(4.0, rel=0.1)
