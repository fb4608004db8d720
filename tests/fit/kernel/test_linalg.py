import math

import numpy as np
import pytest

linalg = pytest.importorskip("xpfit.fit.kernel.linalg", reason="needs Numba")


def test_exponential_is_exact_to_rounding(rng):
    x = np.concatenate([rng.uniform(-30, 30, 1000), [0.0, -700.0, 700.0, 1e-300]])
    y = x.copy()
    linalg.exponentiate(y, len(y), np.empty(len(y), dtype=np.int64))
    expected = np.array([math.exp(v) for v in x])
    assert np.all(np.abs(y / expected - 1.0) < 1e-15 * (1.0 + np.abs(x)))
    odd = np.array([np.nan, 1e4, -1e4])
    linalg.exponentiate(odd, 3, np.empty(3, dtype=np.int64))
    assert np.isnan(odd[0]) and odd[1] > 1e300 and odd[2] < 1e-300
