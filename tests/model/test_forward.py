import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient

from xpfit.constants import WAVELENGTH
from xpfit.data.space import SampledSpace
from xpfit.model import ForwardModel
from xpfit.prepare import coefficient_space

SPACES = {"sampled": SampledSpace(WAVELENGTH), "coefficient": coefficient_space()}


def random_model(space, rng, curve_varies=False):
    """A model with random weights and, where it has one, a second-order term."""
    labels = rng.standard_normal((50, 3)) * [0.8, 0.4, 1.2] + [5.0, -0.2, 3.0]
    model = ForwardModel.initialise(labels, space, rng, curve_varies=curve_varies)
    model.second_order[:] = 0.02 * rng.standard_normal(len(model.second_order))
    return model


@pytest.fixture
def sampled(rng):
    return random_model(SPACES["sampled"], rng)


@pytest.fixture
def coefficient(rng):
    return random_model(SPACES["coefficient"], rng)


@pytest.fixture
def varying(rng):
    return random_model(SPACES["sampled"], rng, curve_varies=True)


def draw_theta(forward, rng):
    labels = rng.standard_normal((4, 3)) * [0.5, 0.3, 0.8] + [5.0, -0.2, 3.0]
    columns = [labels, rng.uniform(-3, 0.5, 4), rng.uniform(-1, 2, 4), rng.standard_normal(4)]
    return np.column_stack(columns)[:, : forward.n_stellar]


@pytest.fixture(params=["sampled", "coefficient", "sampled, xi", "coefficient, xi"])
def forward(request, rng):
    space, _, xi = request.param.partition(", ")
    return random_model(SPACES[space], rng, curve_varies=bool(xi))


@pytest.fixture
def theta(request, rng):
    name = "forward" if "forward" in request.fixturenames else "sampled"
    return draw_theta(request.getfixturevalue(name), rng)


def test_published_model_has_4484_global_parameters(sampled):
    assert len(sampled.parameters) == 4484
    assert sampled.network.n_parameters == 4418


def test_flux_is_equation_8_of_the_paper(sampled, theta):
    expected = (
        np.exp(sampled.ln_absolute_flux(theta[:, :3]))
        * np.exp(theta[:, 4:]) ** 2
        * np.exp(-np.exp(theta[:, 3:4]) * sampled.extinction_curve)
    )
    np.testing.assert_allclose(sampled.flux(theta), expected, rtol=1e-13)


def test_dust_on_coefficients_is_multiplication_on_the_pseudo_wavelengths(coefficient, theta):
    """c_pred = varpi^2 M(E) c_abs, M(E) = H+ diag(exp(-E R + E^2 Q)) H per band."""
    space, n_u = coefficient.space, 121
    dust_free = theta.copy()
    dust_free[:, 3] = -np.inf
    dust_free[:, 4] = 0.0
    without, flux = coefficient.flux(dust_free), coefficient.flux(theta)
    curve, second_order = coefficient.extinction_curve, coefficient.second_order
    for star in range(len(theta)):
        extinction, parallax = np.exp(theta[star, 3:])
        transmission = np.exp(-extinction * curve + extinction**2 * second_order)
        for basis, grid, block in (
            (space.bp_basis, slice(0, n_u), slice(0, 55)),
            (space.rp_basis, slice(n_u, 2 * n_u), slice(55, 110)),
        ):
            h = basis.T
            matrix = np.linalg.pinv(h) @ np.diag(transmission[grid]) @ h
            expected = parallax**2 * matrix @ without[star, block]
            np.testing.assert_allclose(flux[star, block], expected, rtol=1e-9)
        np.testing.assert_allclose(
            flux[star, 110:], parallax**2 * transmission[-5:] * without[star, 110:], rtol=1e-12
        )


def test_jacobian_with_respect_to_stellar_parameters(forward, theta):
    flux, jacobian = forward.flux_and_jacobian(theta)
    np.testing.assert_array_equal(flux, forward.flux(theta))
    for i, row in enumerate(theta):
        numerical = numerical_gradient(lambda t: forward.flux(t[None])[0], row, step=1e-4)
        assert_close_derivative(jacobian[i].T, numerical)


def test_curvature_is_the_hessian_of_weighted_flux(forward, theta, rng):
    weights = rng.standard_normal((len(theta), forward.space.n_obs))
    exact = forward.curvature(theta, weights)
    for i, row in enumerate(theta):
        numerical = numerical_gradient(
            lambda t, i=i: (forward.flux_and_jacobian(t[None])[1] @ weights[i])[0], row, step=1e-4
        )
        assert_close_derivative(exact[i], numerical)


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


def test_curve_of_each_star_is_exp_b_plus_xi_a(varying, rng):
    theta = draw_theta(varying, rng)
    dust_free = theta.copy()
    dust_free[:, 3] = -np.inf
    optical_depth = -np.log(varying.flux(theta) / varying.flux(dust_free))
    curve = np.exp(varying.ln_curve + theta[:, 5:] * varying.variation)
    np.testing.assert_allclose(optical_depth, np.exp(theta[:, 3:4]) * curve, rtol=1e-9)
    assert varying.n_stellar == 6 and len(varying.scale) == 6


def test_extinction_curve_is_positive_whatever_the_parameters(forward, rng):
    forward.parameters = rng.standard_normal(len(forward.parameters)) * 5
    assert np.all(forward.extinction_curve > 0)


def test_channel_mask_frees_hidden_layers_and_chosen_channels_only(sampled):
    channels = np.zeros(66, dtype=bool)
    channels[:64] = True
    mask = sampled.channel_mask(channels)
    n_hidden = 3 * 32 + 32 + 2 * (32 * 32 + 32)
    assert mask[:n_hidden].all()
    assert mask.sum() == n_hidden + 64 * 32 + 64 + 64
    np.testing.assert_array_equal(mask[-66:], channels)


def test_second_order_term_is_free_but_for_photometric_bands(coefficient):
    mask = coefficient.channel_mask(np.ones(247, dtype=bool))
    np.testing.assert_array_equal(mask[-247:], np.arange(247) < 242)
    assert mask[:-247].all()


def test_variation_is_free_in_the_chosen_channels(varying):
    channels = np.arange(66) < 64
    np.testing.assert_array_equal(varying.channel_mask(channels)[-66:], channels)


def test_only_network_weights_are_regularised(forward):
    n_grid = forward.space.n_grid
    assert forward.is_weight.sum() == 3 * 32 + 2 * 32 * 32 + 32 * n_grid
    assert not forward.is_weight[forward.network.n_parameters :].any()
