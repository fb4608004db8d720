import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from scipy import special, stats

from xpfit.nn import ELU, GELU, Dense, Dropout, ReLU, Sigmoid, Tanh

LAYERS = {
    "dense": (Dense(4, 3), 4, 3),
    "tanh": (Tanh(), 5, 5),
    "relu": (ReLU(), 5, 5),
    "elu": (ELU(), 5, 5),
    "gelu": (GELU(), 5, 5),
    "sigmoid": (Sigmoid(), 5, 5),
    "dropout": (Dropout(0.4), 5, 5),
}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS.keys())
def case(request, rng):
    layer, n_in, n_out = request.param
    w = layer.initialise(rng) + 0.1 * rng.standard_normal(layer.n_parameters)
    return layer, w, rng.standard_normal((6, n_in)), rng.standard_normal((6, n_out))


def test_backward_gives_the_gradient_with_respect_to_inputs(case):
    layer, w, x, dy = case
    dx, _ = layer.backward(w, layer.forward(w, x)[1], dy)
    flat = numerical_gradient(
        lambda v: np.sum(layer.forward(w, v.reshape(x.shape))[0] * dy), x.ravel()
    )
    assert_close_derivative(dx.ravel(), flat)


def test_backward_gives_the_gradient_with_respect_to_parameters(case):
    layer, w, x, dy = case
    _, dw = layer.backward(w, layer.forward(w, x)[1], dy)
    assert dw.shape == w.shape
    if w.size:
        assert_close_derivative(
            dw, numerical_gradient(lambda v: np.sum(layer.forward(v, x)[0] * dy), w)
        )


def test_tangent_is_the_transpose_of_backward(case, rng):
    layer, w, x, dy = case
    _, cache = layer.forward(w, x)
    directions = rng.standard_normal((6, 2, x.shape[1]))
    pushed = layer.tangent(w, cache, directions)
    dx, _ = layer.backward(w, cache, dy)
    np.testing.assert_allclose(
        np.einsum("bko,bo->bk", pushed, dy), np.einsum("bki,bi->bk", directions, dx), rtol=1e-12
    )


def test_adjoint_is_the_input_part_of_backward(case):
    layer, w, x, dy = case
    _, cache = layer.forward(w, x)
    np.testing.assert_array_equal(layer.adjoint(w, cache, dy), layer.backward(w, cache, dy)[0])


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


def test_derivatives_of_dropout_are_of_what_was_dropped(rng):
    layer, w = Dropout(0.5), np.empty(0)
    x, dy = rng.standard_normal((3, 6)), rng.standard_normal((3, 6))

    def forward(v):
        return layer.forward(w, v.reshape(x.shape), np.random.default_rng(9))

    _, cache = forward(x)
    numerical = numerical_gradient(lambda v: np.sum(forward(v)[0] * dy), x.ravel())
    assert_close_derivative(layer.backward(w, cache, dy)[0].ravel(), numerical)
    directions = rng.standard_normal((3, 2, 6))
    np.testing.assert_allclose(
        np.einsum("bko,bo->bk", layer.tangent(w, cache, directions), dy),
        np.einsum("bki,bi->bk", directions, layer.adjoint(w, cache, dy)),
    )
