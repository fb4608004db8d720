import numpy as np
from helpers import assert_close_derivative, numerical_gradient

from xpfit.nn import Dense, Dropout, ReLU, Tanh, classifier_network, multilayer_perceptron


def small(rng):
    network = multilayer_perceptron(3, (5, 4), 6)
    return network, network.initialise(rng) + 0.05 * rng.standard_normal(network.n_parameters)


def test_published_network_has_4418_weights_and_biases():
    assert multilayer_perceptron(3, (32, 32, 32), 66).n_parameters == 4418


def test_layers_are_dense_and_tanh_in_turn_with_a_linear_output():
    kinds = [type(layer) for layer in multilayer_perceptron(3, (32, 32, 32), 66).layers]
    assert kinds == [Dense, Tanh, Dense, Tanh, Dense, Tanh, Dense]


def test_slices_cover_the_parameter_vector_once(rng):
    network, _ = small(rng)
    covered = np.zeros(network.n_parameters, dtype=int)
    for where in network.slices:
        covered[where] += 1
    assert np.all(covered == 1)


def test_weights_are_told_from_biases(rng):
    network, _ = small(rng)
    assert network.is_weight.sum() == 3 * 5 + 5 * 4 + 4 * 6
    assert np.all(network.initialise(rng)[~network.is_weight] == 0.0)


def test_gradient_with_respect_to_parameters(rng):
    network, parameters = small(rng)
    x, dy = rng.standard_normal((7, 3)), rng.standard_normal((7, 6))
    exact = network.backward(parameters, network.forward(parameters, x)[1], dy)
    numerical = numerical_gradient(lambda p: np.sum(network.forward(p, x)[0] * dy), parameters)
    assert_close_derivative(exact, numerical)


def test_reverse_and_forward_mode_give_the_same_jacobian(rng):
    network, parameters = small(rng)
    x = rng.standard_normal((4, 3))
    _, caches = network.forward(parameters, x)
    forward = network.tangent(parameters, caches, np.broadcast_to(np.eye(3), (4, 3, 3)))
    backward = network.jacobian(parameters, x, (5, 0))
    np.testing.assert_allclose(backward, forward.transpose(0, 2, 1)[:, [5, 0]], rtol=1e-12)


def test_one_pass_gives_the_gradients_of_parameters_and_inputs(rng):
    network, parameters = small(rng)
    x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 6))
    _, caches = network.forward(parameters, x)
    gradient, dx = network.pullback(parameters, caches, dy)
    np.testing.assert_array_equal(gradient, network.backward(parameters, caches, dy))
    np.testing.assert_array_equal(dx, network.adjoint(parameters, caches, dy))
    numerical = numerical_gradient(
        lambda v: np.sum(network.forward(parameters, v.reshape(5, 3))[0] * dy), x.ravel()
    )
    assert_close_derivative(dx.ravel(), numerical)


def test_tangent_gives_the_jacobian_with_respect_to_inputs(rng):
    network, parameters = small(rng)
    x = rng.standard_normal((2, 3))
    _, caches = network.forward(parameters, x)
    jacobian = network.tangent(parameters, caches, np.broadcast_to(np.eye(3), (2, 3, 3)))
    for i in range(2):
        numerical = numerical_gradient(lambda v: network.forward(parameters, v[None])[0][0], x[i])
        assert_close_derivative(jacobian[i].T, numerical)


def test_curvature_is_the_hessian_of_weighted_outputs(rng):
    network, parameters = small(rng)
    x, weights = rng.standard_normal((2, 3)), rng.standard_normal((2, 6))
    directions = rng.standard_normal((2, 2, 3))
    _, caches = network.forward(parameters, x)
    exact = network.curvature(parameters, caches, directions, weights)
    for i in range(2):

        def slope(v, i=i):
            _, caches = network.forward(parameters, v[None])
            eye = np.eye(3)[None]
            return (network.tangent(parameters, caches, eye) @ weights[i])[0]

        hessian = numerical_gradient(slope, x[i])
        assert_close_derivative(exact[i], directions[i] @ hessian @ directions[i].T)


def test_classifier_is_that_of_appendix_b():
    network = classifier_network(81, (64, 64, 64), 0.1)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == 3 * [Dropout, Dense, ReLU] + [Dense]
    assert network.layers[-1].n_out == 1 and network.layers[0].fraction == 0.1


def test_classifier_s_gradient_with_what_was_dropped(rng):
    network = classifier_network(4, (6, 5), 0.3)
    parameters = network.initialise(rng) + 0.1 * rng.standard_normal(network.n_parameters)
    x, dy = rng.standard_normal((7, 4)), rng.standard_normal((7, 1))

    def forward(p):
        return network.forward(p, x, np.random.default_rng(3))

    exact = network.backward(parameters, forward(parameters)[1], dy)
    numerical = numerical_gradient(lambda p: np.sum(forward(p)[0] * dy), parameters)
    assert_close_derivative(exact, numerical)
