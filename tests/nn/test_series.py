import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from xpfit.nn import AveragePool, BatchNorm, Convolution, MaxPool, Position, Residual, Tanh
from xpfit.nn.convolution import convolve, correlate

NOTHING = np.empty(0)


def sums(x, weights, before):
    """The convolution written out."""
    kernel, n_in, n_out = weights.shape
    series = x.reshape(len(x), -1, n_in)
    length = series.shape[1]
    y = np.zeros((len(x), length, n_out))
    for place in range(length):
        for k in range(kernel):
            if 0 <= place + k - before < length:
                y[:, place] += series[:, place + k - before] @ weights[k]
    return y.reshape(len(x), -1)


@pytest.mark.parametrize("length", [1, 3, 5, 11, 30])
@pytest.mark.parametrize("kernel, n_in, n_out", [(1, 2, 3), (4, 1, 8), (5, 9, 6), (30, 2, 4)])
def test_convolution_gives_the_sums_written_out(length, kernel, n_in, n_out, rng):
    x = rng.standard_normal((3, length * n_in))
    weights = rng.standard_normal((kernel, n_in, n_out))
    for before in {0, (kernel - 1) // 2, kernel - 1}:
        expected = sums(x, weights, before)
        np.testing.assert_allclose(convolve(x, weights, before), expected, atol=1e-12)


def test_single_precision_stays_single(rng):
    x = rng.standard_normal((4, 14)).astype(np.float32)
    weights = rng.standard_normal((4, 2, 5)).astype(np.float32)
    y = convolve(x, weights, 1)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, sums(x, weights, 1), rtol=1e-4, atol=1e-5)
    assert correlate(x, y, (4, 2, 5), 1).dtype == np.float32


def test_convolution_starts_with_the_variance_of_he(rng):
    layer = Convolution(8, 16, 30)
    w = layer.initialise(rng)
    assert np.std(w[layer.is_weight]) == pytest.approx(np.sqrt(2.0 / (30 * 8)), rel=0.02)
    assert np.all(w[~layer.is_weight] == 0.0) and layer.is_weight.sum() == 8 * 16 * 30


def test_position_is_appended_to_every_place():
    y, _ = Position(3, 2).forward(NOTHING, np.arange(6.0)[None])
    np.testing.assert_array_equal(y, [[0, 1, -1, 2, 3, 0, 4, 5, 1]])


def test_pools_take_the_largest_and_the_mean_of_each_group():
    x = np.array([[3.0, 10.0, 5.0, -1.0, -4.0, 2.0]])  # three places of two channels
    np.testing.assert_array_equal(MaxPool(3, 2, 2).forward(NOTHING, x)[0], [[5, 10, -4, 2]])
    np.testing.assert_array_equal(AveragePool(3, 2, 2).forward(NOTHING, x)[0], [[4, 4.5, -4, 2]])


def test_normalisation_in_training_is_scikit_learns_and_running_statistics_follow(rng):
    layer = BatchNorm(3, epsilon=0.0)
    w = layer.initialise(rng)
    x = rng.normal(2.0, 5.0, (500, 12))
    y, cache = layer.forward(w, x, rng)
    places = x.reshape(-1, 3)
    expected = StandardScaler().fit_transform(places).reshape(x.shape)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_array_equal(layer.forward(w, x)[0], x)
    for _ in range(200):
        w = layer.update_running_statistics(w, cache, 0.1)
    np.testing.assert_allclose(layer.forward(w, x)[0], expected, atol=1e-6)
    np.testing.assert_array_equal(w[:6], [1, 1, 1, 0, 0, 0])


def test_normalisation_absorbs_nothing_outside_training_and_has_no_curvature_in_it(rng):
    layer = BatchNorm(2)
    w, x = layer.initialise(rng), rng.standard_normal((4, 6))
    _, cache = layer.forward(w, x)
    np.testing.assert_array_equal(layer.update_running_statistics(w, cache, 0.5), w)
    with pytest.raises(ValueError, match="depend on all stars"):
        layer.curvature(w, layer.forward(w, x, rng)[1], x[:, None, :], x)


def test_residual_adds_its_input(rng):
    layer = Residual([Tanh()])
    x = rng.standard_normal((4, 3))
    np.testing.assert_array_equal(layer.forward(NOTHING, x)[0], x + np.tanh(x))
