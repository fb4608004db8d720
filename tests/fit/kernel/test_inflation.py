import numpy as np
import pytest
from helpers import random_full_whiteners

from xpfit.data import Diagonal

kernel = pytest.importorskip("xpfit.fit.kernel", reason="needs Numba")


@pytest.mark.parametrize("kind", ["diagonal", "triangular"])
def test_model_covariance_is_that_of_the_array_code(rng, kind):
    n = 23
    error = np.ones((3, 1))
    error[1] = np.inf
    if kind == "diagonal":
        whitener = Diagonal(rng.uniform(0.5, 2.0, (3, n)))
    else:
        _, whitener = random_full_whiteners(rng.uniform(0.5, 1.0, (3, n)), rng)
    whitener = whitener.with_independent([4], error)
    loadings = rng.standard_normal((n, n))
    root = np.linalg.qr(loadings, mode="r").T.copy()
    scale = rng.uniform(0.5, 2.0, (3, n))
    ours = kernel.inflate(whitener.rows, scale, root)
    expected = whitener.inflate(scale, root).array
    precision = np.swapaxes(expected, 1, 2) @ expected
    np.testing.assert_allclose(np.swapaxes(ours, 1, 2) @ ours, precision, atol=1e-12)
    assert not np.triu(ours, 1).any()
