import array_api_strict
import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from scipy import special, stats

from xpfit.nn import (
    ELU,
    GELU,
    AveragePool,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    GaussianSample,
    MaxPool,
    Position,
    ReLU,
    Residual,
    Sigmoid,
    Tanh,
)

LAYERS = {
    "dense": (Dense(4, 3), 4, 3),
    "tanh": (Tanh(), 5, 5),
    "relu": (ReLU(), 5, 5),
    "elu": (ELU(), 5, 5),
    "gelu": (GELU(), 5, 5),
    "sigmoid": (Sigmoid(), 5, 5),
    "dropout": (Dropout(0.4), 5, 5),
    "sample": (GaussianSample(3), 6, 3),
    "position": (Position(4, 2), 8, 12),
    "convolution": (Convolution(2, 5, 4), 14, 35),
    "short convolution": (Convolution(3, 2, 6), 12, 8),
    "normalisation": (BatchNorm(3), 12, 12),
    "largest": (MaxPool(7, 2, 3), 14, 6),
    "average": (AveragePool(7, 2, 3), 14, 6),
    "residual": (Residual([Convolution(2, 3, 3), BatchNorm(3), ELU(), Dense(12, 8)]), 8, 8),
}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS.keys())
def case(request, rng):
    layer, n_in, n_out = request.param
    w = layer.initialise(rng) + 0.1 * rng.standard_normal(layer.n_parameters)
    return layer, w, rng.standard_normal((6, n_in)), rng.standard_normal((6, n_out))


class Noise:
    """A generator that draws the same each time, as finite differences need it."""

    def random(self, shape):
        return np.random.default_rng(9).random(shape)

    def standard_normal(self, shape):
        return np.random.default_rng(9).standard_normal(shape)


TRAINING = (None, Noise())
"""Generators that layers are given: outside training, and in it."""


@pytest.mark.parametrize("noise", TRAINING, ids=("used", "trained"))
def test_backward_gives_the_gradients(case, noise):
    layer, w, x, dy = case
    dx, dw = layer.backward(w, layer.forward(w, x, noise)[1], dy)
    flat = numerical_gradient(
        lambda v: np.sum(layer.forward(w, v.reshape(x.shape), noise)[0] * dy), x.ravel()
    )
    assert_close_derivative(dx.ravel(), flat)
    assert dw.shape == w.shape and layer.is_weight.shape == w.shape
    if w.size:
        exact = dw if noise is not None else np.where(still(layer, w), 0.0, dw)
        numerical = numerical_gradient(lambda v: np.sum(layer.forward(v, x, noise)[0] * dy), w)
        assert_close_derivative(exact, np.where(still(layer, w), 0.0, numerical))


def still(layer, w):
    """Which parameters are running statistics, that have no gradient."""
    x = np.ones((2, 12))
    if isinstance(layer, BatchNorm):
        return layer.update_running_statistics(w, layer.forward(w, x, Noise())[1], 0.5) != w
    if isinstance(layer, Residual):
        inner = zip(layer.inner.layers, layer.inner.slices, strict=True)
        return np.concatenate([still(part, w[where]) for part, where in inner])
    return np.zeros(len(w), dtype=bool)


@pytest.mark.parametrize("noise", TRAINING, ids=("used", "trained"))
def test_tangent_is_the_transpose_of_backward(case, noise, rng):
    layer, w, x, dy = case
    _, cache = layer.forward(w, x, noise)
    directions = rng.standard_normal((6, 2, x.shape[1]))
    pushed = layer.tangent(w, cache, directions)
    dx, _ = layer.backward(w, cache, dy)
    np.testing.assert_allclose(
        np.einsum("bko,bo->k", pushed, dy), np.einsum("bki,bi->k", directions, dx), rtol=1e-11
    )
    np.testing.assert_array_equal(layer.adjoint(w, cache, dy), dx)


def test_curvature_is_the_second_derivative_along_directions(case, rng):
    layer, w, x, dy = case
    _, cache = layer.forward(w, x)
    directions = rng.standard_normal((6, 2, x.shape[1]))
    exact = layer.curvature(w, cache, directions, dy)

    def slopes(shift):
        _, moved = layer.forward(w, x + np.einsum("k,bki->bi", shift, directions))
        return np.einsum("bko,bo->bk", layer.tangent(w, moved, directions), dy)

    numerical = numerical_gradient(slopes, np.zeros(2))
    if exact is None:
        np.testing.assert_allclose(numerical, 0.0, atol=1e-8)
    else:
        assert_close_derivative(exact, numerical)


@pytest.mark.parametrize("noise", TRAINING, ids=("used", "trained"))
def test_layers_are_array_code(case, noise, rng):
    layer, w, x, dy = case
    if isinstance(layer, GELU):
        pytest.skip("the array standard has no error function")
    directions = rng.standard_normal((6, 2, x.shape[1]))

    def run(w, x, dy, directions):
        y, cache = layer.forward(w, x, noise)
        parts = [y, *layer.backward(w, cache, dy), layer.tangent(w, cache, directions)]
        return [*parts, layer.update_running_statistics(w, cache, 0.1)]

    there = run(*(array_api_strict.asarray(a) for a in (w, x, dy, directions)))
    for a, b in zip(run(w, x, dy, directions), there, strict=True):
        np.testing.assert_allclose(np.from_dlpack(b), a, rtol=1e-12, atol=1e-12)


def test_dense_is_the_matrix_product_written_out():
    layer = Dense(2, 3)
    w = np.arange(9.0)
    y, _ = layer.forward(w, np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(y, [[0 + 6 + 6, 1 + 8 + 7, 2 + 10 + 8]])


def test_dense_starts_within_the_glorot_limit(rng):
    w = Dense(10, 20).initialise(rng)
    limit = np.sqrt(6.0 / 30.0)
    assert np.all(np.abs(w[:200]) <= limit)
    assert np.std(w[:200]) == pytest.approx(limit / np.sqrt(3.0), rel=0.15)
    assert np.all(w[200:] == 0.0)


def test_relu_is_zero_below_zero():
    y, _ = ReLU().forward(np.empty(0), np.array([[-1.0, 0.0, 2.0]]))
    np.testing.assert_array_equal(y, [[0.0, 0.0, 2.0]])


def test_activations_are_what_they_are_called():
    x = np.array([[-800.0, -1.3, 0.0, 0.7, 800.0]])
    for layer, expected in (
        (ELU(), np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)),
        (Sigmoid(), special.expit(x)),
        (GELU(), x * stats.norm.cdf(x)),
    ):
        with np.errstate(all="raise", under="ignore"):
            y, _ = layer.forward(np.empty(0), x)
        np.testing.assert_allclose(y, expected, atol=1e-15)


def test_dropout_drops_its_fraction_in_training_and_keeps_the_mean(rng):
    layer, x = Dropout(0.25), np.ones((400, 500))
    y, _ = layer.forward(np.empty(0), x, rng)
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.005)
    np.testing.assert_allclose(y[y != 0], 1 / 0.75)
    np.testing.assert_array_equal(layer.forward(np.empty(0), x)[0], x)
    with pytest.raises(ValueError, match="fraction"):
        Dropout(1.0)


def test_samples_have_the_mean_and_variance_that_they_are_told(rng):
    layer = GaussianSample(2)
    x = np.broadcast_to([1.0, -2.0, np.log(0.25), np.log(9.0)], (40_000, 4))
    y, _ = layer.forward(np.empty(0), x, rng)
    np.testing.assert_allclose(y.mean(axis=0), [1.0, -2.0], atol=0.05)
    np.testing.assert_allclose(y.std(axis=0), [0.5, 3.0], rtol=0.02)
    np.testing.assert_array_equal(layer.forward(np.empty(0), x)[0], x[:, :2])


def test_curvature_of_a_sample_with_noise(rng):
    layer, w = GaussianSample(2), np.empty(0)
    x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    directions = rng.standard_normal((3, 2, 4))
    exact = layer.curvature(w, layer.forward(w, x, Noise())[1], directions, dy)

    def slopes(shift):
        moved = x + np.einsum("k,bki->bi", shift, directions)
        _, cache = layer.forward(w, moved, Noise())
        return np.einsum("bko,bo->bk", layer.tangent(w, cache, directions), dy)

    assert_close_derivative(exact, numerical_gradient(slopes, np.zeros(2)))
