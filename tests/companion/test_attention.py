from dataclasses import replace

import numpy as np
import pytest
from helpers import numerical_gradient, simulate

from xpfit.companion import (
    GaiaNet,
    GaiaNetSettings,
    UncertainNetwork,
    UncertainSettings,
    attention,
    derivative_spectra,
)

LABELS = ("teff", "feh", "logg")


@pytest.fixture(scope="module")
def stars(model):
    truth, spectra = simulate(model, 1500, np.random.default_rng(1), relative_error=0.01)
    labels = dict(zip(LABELS, truth.T, strict=False))
    zero = {name: np.zeros(1500) for name in LABELS}
    return replace(spectra, labels=labels, label_err=zero)


@pytest.fixture(scope="module")
def network(stars):
    settings = UncertainSettings(hidden=(32, 32), n_epochs=60, batch_size=128, learning_rate=3e-3)
    rng = np.random.default_rng(3)
    return UncertainNetwork(LABELS, settings).fit(stars, rng=rng, progress=False)


def test_attention_is_the_scatter_of_input_times_derivative(network, stars):
    few = stars[np.arange(15)]
    inputs, k = network.features_.inputs(few), 3

    def outputs(shift):
        moved = inputs.copy()
        moved[:, 5] += shift[0]
        return network.network.forward(network.parameters_, moved)[0][:, :k]

    slope = numerical_gradient(outputs, np.zeros(1), 1e-6)[:, :, 0]
    expected = np.std(slope * inputs[:, 5:6], axis=0)
    found = attention(network, few)
    assert found.shape == (3, inputs.shape[1])
    np.testing.assert_allclose(found[:, 5], expected, rtol=1e-5)


def test_a_derivative_spectrum_changes_its_label_and_no_other(network, stars):
    star = stars[[4]]
    features, step = network.features_, 1e-4
    inputs = features.inputs(star)
    n_channel = int(features.channels.sum())
    assert n_channel == inputs.shape[1], "no parallax here"
    before = network.network.forward(network.parameters_, inputs)[0][:, :3]
    for i, spectrum in enumerate(derivative_spectra(network, star)):
        moved = inputs + step * spectrum / features.scale
        after = network.network.forward(network.parameters_, moved)[0][:, :3]
        change = (after - before)[0] * network.label_scale_ / step
        np.testing.assert_allclose(change, np.eye(3)[i], atol=1e-2)


def test_of_all_such_changes_the_smallest_in_standard_deviations_is_chosen(network, stars):
    """Any other one that changes the same label alone is longer, in units of eq. 14's w^2."""
    star, features = stars[[4]], network.features_
    spectrum = derivative_spectra(network, star)
    inputs = features.inputs(star)
    jacobian = network.network.jacobian(network.parameters_, inputs, range(3))[0]
    jacobian *= network.label_scale_[:, None]
    # Least squares solves the underdetermined equations by the shortest solution.
    shortest = np.linalg.lstsq(jacobian, np.eye(3), rcond=None)[0].T
    np.testing.assert_allclose(spectrum / features.scale, shortest, rtol=1e-6, atol=1e-9)
    assert np.ptp(np.log(features.scale)) > 0.5, "another power of the weights differs"


def test_gaia_net_has_them_too(stars):
    settings = GaiaNetSettings(n_channel=2, kernel=4, width=8, n_dense=2, n_epochs=2)
    network = GaiaNet(settings=settings).fit(stars, rng=np.random.default_rng(1), progress=False)
    few = stars[np.arange(6)]
    assert attention(network, few).shape == (3, network.features_.n_input)
    assert np.isfinite(derivative_spectra(network, few)).all()
