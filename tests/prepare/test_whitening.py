import numpy as np
import pytest

from xpfit.prepare import whiten_covariances
from xpfit.prepare.whitening import FLUX_EIGENVALUE_FLOOR


def covariances(rng, n_star=6, n=20, smallest=1e-2):
    """Covariances with known eigenvalues between `smallest` and 100."""
    rotation = np.linalg.qr(rng.standard_normal((n_star, n, n)))[0]
    values = np.geomspace(smallest, 100.0, n)
    return (rotation * values) @ np.swapaxes(rotation, 1, 2), values


def chi2(whitener, residual):
    return np.sum(whitener(residual) ** 2, axis=1)


def eigen_clipped_chi2(covariance, residual, floor, keep=slice(None)):
    """The slow twin: the paper's eq. 3, one star at a time."""
    out = []
    for c, r in zip(covariance, residual, strict=True):
        c = c[keep][:, keep]
        values, vectors = np.linalg.eigh(c)
        out.append(np.sum((vectors.T @ r[keep]) ** 2 / np.maximum(values, floor)))
    return np.array(out)


@pytest.mark.parametrize("options", [{}, {"max_condition": 1e15}], ids=["cholesky", "eigenvalues"])
def test_chi2_of_a_good_covariance_equals_a_direct_solve(rng, options):
    covariance, _ = covariances(rng)
    residual = rng.standard_normal((6, 20))
    direct = [r @ np.linalg.solve(c, r) for c, r in zip(covariance, residual, strict=True)]
    whitener = whiten_covariances(covariance, **options).whitener
    np.testing.assert_allclose(chi2(whitener, residual), direct, rtol=1e-8)


@pytest.mark.parametrize("smallest", [-1e-3, 0.0, 1e-14, 1e-9, 3e-8])
def test_small_and_negative_eigenvalues_are_raised_to_the_floor(rng, smallest):
    covariance, _ = covariances(rng, smallest=1e-2)
    rotation = np.linalg.qr(rng.standard_normal((6, 20, 20)))[0]
    values = np.geomspace(1e-3, 1.0, 20)
    values[0] = smallest
    covariance = (rotation * values) @ np.swapaxes(rotation, 1, 2)
    residual = rng.standard_normal((6, 20))
    whitening = whiten_covariances(covariance)
    expected = eigen_clipped_chi2(covariance, residual, FLUX_EIGENVALUE_FLOOR)
    np.testing.assert_allclose(chi2(whitening.whitener, residual), expected, rtol=1e-6)


def test_fast_path_is_taken_only_where_nothing_is_clipped(rng):
    good, _ = covariances(rng, 1)
    bad, _ = covariances(rng, 1, smallest=1e-12)
    whitening = whiten_covariances(np.concatenate([good, bad]))
    assert not np.triu(whitening.whitener.array, 1).any()  # in both cases
    # Where it is taken, the largest eigenvalue is bounded by the trace, not calculated.
    traces = np.trace(np.concatenate([good, bad]), axis1=1, axis2=2)
    np.testing.assert_array_equal(whitening.max_eigenvalue == traces, [True, False])


def test_eigenvalue_diagnostics_are_exact_or_bounds(rng):
    covariance, values = covariances(rng)
    fast = whiten_covariances(covariance)
    exact = whiten_covariances(covariance, max_condition=1e30)
    np.testing.assert_allclose(exact.min_eigenvalue, values[0], rtol=1e-8)
    np.testing.assert_allclose(exact.max_eigenvalue, values[-1], rtol=1e-8)
    assert np.all((fast.min_eigenvalue > 0) & (fast.min_eigenvalue <= values[0]))
    assert np.all(fast.max_eigenvalue >= values[-1])


def test_condition_can_be_capped(rng):
    covariance, values = covariances(rng)
    residual = rng.standard_normal((6, 20))
    whitener = whiten_covariances(covariance, max_condition=50.0).whitener
    expected = eigen_clipped_chi2(covariance, residual, values[-1] / 50.0)
    np.testing.assert_allclose(chi2(whitener, residual), expected, rtol=1e-8)


@pytest.mark.parametrize("smallest", [1e-2, 1e-13], ids=["cholesky", "eigenvalues"])
def test_masked_values_have_no_weight_and_do_not_disturb_the_others(rng, smallest):
    covariance, _ = covariances(rng, smallest=smallest)
    mask = rng.random((6, 20)) < 0.3
    mask[:, 0] = True
    covariance[:, 0, :] = covariance[:, :, 0] = np.nan
    residual = rng.standard_normal((6, 20))
    whitener = whiten_covariances(covariance, mask).whitener
    value = chi2(whitener, residual)
    for i in range(6):
        keep = ~mask[i]
        expected = eigen_clipped_chi2(
            covariance[i : i + 1], residual[i : i + 1], FLUX_EIGENVALUE_FLOOR, keep
        )
        assert value[i] == pytest.approx(expected[0], rel=1e-5)
    moved = residual + 1e6 * mask
    np.testing.assert_allclose(chi2(whitener, moved), value, rtol=1e-12)


def test_all_masked_gives_a_whitener_of_zeros(rng):
    covariance, _ = covariances(rng, 2)
    whitener = whiten_covariances(covariance, np.ones((2, 20), dtype=bool)).whitener
    assert not whitener.has_weight.any() and not whitener.array.any()


def test_no_stars_are_no_trouble():
    assert whiten_covariances(np.empty((0, 5, 5))).whitener.array.shape == (0, 5, 5)
