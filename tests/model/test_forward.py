import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient

from xpfit.constants import WAVELENGTH
from xpfit.model import ForwardModel, ccm89_curve


@pytest.fixture
def forward(rng):
    labels = rng.standard_normal((50, 3)) * [0.8, 0.4, 1.2] + [5.0, -0.2, 3.0]
    return ForwardModel.initialise(labels, ccm89_curve(WAVELENGTH), rng)


@pytest.fixture
def theta(rng):
    labels = rng.standard_normal((4, 3)) * [0.5, 0.3, 0.8] + [5.0, -0.2, 3.0]
    return np.column_stack([labels, rng.uniform(-3, 0.5, 4), rng.uniform(-1, 2, 4)])


def test_published_model_has_4484_global_parameters(forward):
    assert len(forward.parameters) == 4484
    assert forward.network.n_parameters == 4418
    assert forward.n_obs == 66


def test_flux_is_equation_8_of_the_paper(forward, theta):
    expected = (
        np.exp(forward.ln_absolute_flux(theta[:, :3]))
        * np.exp(theta[:, 4:]) ** 2
        * np.exp(-np.exp(theta[:, 3:4]) * forward.extinction_curve)
    )
    np.testing.assert_allclose(forward.flux(theta), expected, rtol=1e-13)


def test_jacobian_with_respect_to_stellar_parameters(forward, theta):
    flux, jacobian = forward.flux_and_jacobian(theta)
    np.testing.assert_array_equal(flux, forward.flux(theta))
    for i, row in enumerate(theta):
        numerical = numerical_gradient(lambda t: forward.flux(t[None])[0], row)
        assert_close_derivative(jacobian[i].T, numerical)


def test_gradient_with_respect_to_all_global_parameters(forward, theta, rng):
    flux, pullback = forward.flux_and_pullback(theta)
    dflux = rng.standard_normal(flux.shape)
    exact = pullback(dflux)
    start = forward.parameters.copy()

    def loss(parameters):
        forward.parameters = parameters
        return np.sum(forward.flux(theta) * dflux)

    numerical = numerical_gradient(loss, start)
    assert_close_derivative(exact, numerical)


def test_extinction_curve_is_positive_whatever_the_parameters(forward, rng):
    forward.parameters = rng.standard_normal(len(forward.parameters)) * 5
    assert np.all(forward.extinction_curve > 0)


def test_channel_mask_frees_hidden_layers_and_chosen_channels_only(forward):
    channels = np.zeros(66, dtype=bool)
    channels[:64] = True
    mask = forward.channel_mask(channels)
    n_hidden = 3 * 32 + 32 + 2 * (32 * 32 + 32)
    assert mask[:n_hidden].all()
    assert mask.sum() == n_hidden + 64 * 32 + 64 + 64
    np.testing.assert_array_equal(mask[-66:], channels)


def test_only_network_weights_are_regularised(forward):
    assert forward.is_weight.sum() == 3 * 32 + 2 * 32 * 32 + 32 * 66
    assert not forward.is_weight[-66:].any()
