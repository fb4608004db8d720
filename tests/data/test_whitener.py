"""Every kind of whitener against its dense twin, in every operation."""

import array_api_strict
import numpy as np
import pytest
from helpers import random_full_whiteners

from xpfit import InputError
from xpfit.arrays import with_arrays
from xpfit.data import Diagonal, Triangular, Whitener, as_whitener, unpack

N_STAR, N_OBS = 3, 8
KINDS = ("diagonal", "triangular", "diagonal, masked", "triangular, masked")


def make(kind, rng) -> Whitener:
    covariance, whitener = random_full_whiteners(rng.uniform(0.1, 0.5, (N_STAR, N_OBS)), rng)
    keep = np.ones(N_OBS, dtype=bool)
    if "diagonal" in kind:
        index = np.arange(N_OBS)
        whitener = Diagonal(1.0 / np.sqrt(covariance[:, index, index]))
    if "masked" in kind:
        keep[[2, 5]] = False
        whitener = whitener.marginal(keep)
    return whitener


def dense_covariance(whitener) -> np.ndarray:
    """Covariances by inverting L^T L, star by star; zero without weight."""
    out = np.zeros((N_STAR, N_OBS, N_OBS))
    for i, star in enumerate(whitener.inflate(np.zeros((N_STAR, N_OBS)), np.eye(N_OBS)).array):
        used = np.flatnonzero(star.any(axis=0))
        inverse = (star.T @ star)[np.ix_(used, used)]
        out[i][np.ix_(used, used)] = np.linalg.inv(inverse)
    return out


def check_whitener(whitener: Whitener, rng) -> None:
    """All that a whitener does agrees with what its covariance says."""
    covariance = dense_covariance(whitener)
    weight = np.diagonal(covariance, axis1=1, axis2=2) > 0
    np.testing.assert_array_equal(whitener.has_weight, weight)
    np.testing.assert_allclose(whitener.covariance(), covariance, rtol=1e-9, atol=1e-15)
    assert len(whitener) == N_STAR and whitener.n_obs == N_OBS
    vectors = rng.standard_normal((N_STAR, 4, N_OBS))
    white = whitener(vectors)
    solved, half = whitener.solve(vectors), whitener.solve_adjoint(vectors)
    for i in range(N_STAR):
        used = np.flatnonzero(weight[i])
        inner = covariance[i][np.ix_(used, used)]
        for k in range(4):
            x = vectors[i, k, used]
            chi2 = x @ np.linalg.solve(inner, x)
            assert np.sum(white[i, k] ** 2) == pytest.approx(chi2, rel=1e-9)
            assert np.sum(half[i, k] ** 2) == pytest.approx(x @ inner @ x, rel=1e-9)
        # One vector is as several; L^T is the adjoint of L, and its inverse that of L^-1.
    np.testing.assert_allclose(whitener(vectors[:, 1]), white[:, 1], rtol=1e-12)
    np.testing.assert_allclose(whitener.solve(vectors[:, 1]), solved[:, 1], rtol=1e-9, atol=1e-12)
    other = rng.standard_normal((N_STAR, N_OBS))
    left = np.sum(other * whitener(vectors[:, 0]), axis=1)
    right = np.sum(whitener.adjoint(other) * vectors[:, 0], axis=1)
    np.testing.assert_allclose(left, right, rtol=1e-10)
    np.testing.assert_allclose(whitener.adjoint(vectors)[:, 2], whitener.adjoint(vectors[:, 2]))
    np.testing.assert_allclose(whitener(solved), vectors * weight[:, None], rtol=1e-9, atol=1e-9)
    rows = whitener.rows if whitener.kind == "triangular" else whitener.rows * np.eye(N_OBS)
    np.testing.assert_allclose(vectors[:, 0, None] @ np.swapaxes(rows, 1, 2), white[:, :1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_agrees_with_its_dense_twin(kind, rng):
    check_whitener(make(kind, rng), rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropped", [[6, 7], [0], [1, 2, 6]], ids=["last", "first", "between"])
def test_marginals_are_those_of_the_covariance(kind, dropped, rng):
    whitener = make(kind, rng)
    keep = np.ones(N_OBS, dtype=bool)
    keep[dropped] = False
    marginal = whitener.marginal(keep)
    check_whitener(marginal, rng)
    expected = whitener.covariance() * keep[:, None] * keep
    np.testing.assert_allclose(marginal.covariance(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_inflation_adds_to_the_covariance(kind, rng):
    whitener, scale = make(kind, rng), rng.uniform(1.0, 3.0, (N_STAR, N_OBS))
    root = np.linalg.cholesky(0.01 * (np.eye(N_OBS) + 0.5))
    inflated = whitener.inflate(scale, root)
    check_whitener(inflated, rng)
    added = scale[:, :, None] * scale[:, None, :] * (root @ root.T)
    weight = whitener.has_weight
    expected = whitener.covariance() + added * weight[:, :, None] * weight[:, None, :]
    np.testing.assert_allclose(inflated.covariance(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_replaced_channels_are_independent_of_all_others(kind, rng):
    whitener, error = make(kind, rng), np.array([[0.3, 0.2], [0.1, np.inf], [0.5, 0.7]])
    replaced = whitener.with_independent([3, 7], error)
    check_whitener(replaced, rng)
    keep = ~np.isin(np.arange(N_OBS), [3, 7])
    expected = whitener.covariance() * keep[:, None] * keep
    expected[:, [3, 7], [3, 7]] = np.where(np.isfinite(error), error, 0.0) ** 2
    np.testing.assert_allclose(replaced.covariance(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_parts_and_packing_keep_all(kind, rng):
    whitener = make(kind, rng)
    for rows in (slice(1, 3), [2, 0], np.array([True, False, True])):
        np.testing.assert_array_equal(whitener[rows].array, whitener.array[rows])
    again = Whitener.concatenate([whitener[:1], whitener[1:]])
    assert again.kind == whitener.kind
    np.testing.assert_array_equal(again.array, whitener.array)
    unpacked = unpack(whitener.packed(), N_OBS)
    assert unpacked.kind == whitener.kind
    np.testing.assert_array_equal(unpacked.array, whitener.array)


@pytest.mark.parametrize("kind", KINDS)
def test_array_code_runs_on_strict_arrays(kind, rng):
    whitener = make(kind, rng)
    strict = with_arrays(whitener, array_api_strict.asarray)
    vectors = rng.standard_normal((N_STAR, 2, N_OBS))
    there = array_api_strict.asarray(vectors)
    for name in ("__call__", "adjoint", "solve", "solve_adjoint"):
        for v, t in ((vectors, there), (vectors[:, 0], there[:, 0, :])):
            ours, theirs = getattr(whitener, name)(v), getattr(strict, name)(t)
            np.testing.assert_allclose(np.asarray(theirs), ours, rtol=1e-12, atol=1e-14)
    scale, root = np.ones((N_STAR, N_OBS)), 0.1 * np.eye(N_OBS)
    inflated = strict.inflate(array_api_strict.asarray(scale), array_api_strict.asarray(root))
    np.testing.assert_allclose(
        np.asarray(inflated.array), whitener.inflate(scale, root).array, rtol=1e-12, atol=1e-14
    )


def test_any_matrix_becomes_lower_triangular_with_the_same_chi2(rng):
    matrix = rng.standard_normal((N_STAR, N_OBS, N_OBS))
    matrix[1, :, 4] = 0.0  # a value without weight
    whitener = as_whitener(matrix)
    assert isinstance(whitener, Triangular) and not np.triu(whitener.array, 1).any()
    product = np.swapaxes(matrix, 1, 2) @ matrix
    ours = np.swapaxes(whitener.array, 1, 2) @ whitener.array
    np.testing.assert_allclose(ours, product, rtol=1e-9, atol=1e-12)
    assert not whitener.array[1, 4].any() and not whitener.has_weight[1, 4]
    check_whitener(whitener, rng)
    assert as_whitener(whitener) is whitener
    with pytest.raises(InputError, match="whitener has shape"):
        as_whitener(np.ones((2, 3, 4)))
