"""Companions on Gaia's own coefficients, with full covariances: Fallows & Sanders' inputs."""

from dataclasses import replace

import numpy as np
import pytest
from internal import coefficient_twin, simulate_coefficients

from xpfit.companion import (
    GaiaNet,
    GaiaNetSettings,
    ScatterAutoencoder,
    ScatterSettings,
    UncertainNetwork,
    UncertainSettings,
    attention,
    derivative_spectra,
    load_companion,
    save_companion,
)
from xpfit.prepare import continuous_spectra
from xpfit.validate.reconstruction import reconstruction_errors

LABELS = ("teff", "feh", "logg")
N = 900


@pytest.fixture(scope="module")
def stars(model):
    twin = coefficient_twin(model)
    theta, table = simulate_coefficients(twin, N, np.random.default_rng(1), error_factor=3.0)
    spectra = continuous_spectra([table], twin.space)
    labels = dict(zip(LABELS, theta.T, strict=False))
    return replace(spectra, labels=labels, label_err={name: np.full(N, 0.01) for name in LABELS})


COMPANIONS = {
    "uncertain": UncertainNetwork(
        LABELS, UncertainSettings(hidden=(32, 32), n_epochs=40, batch_size=64, learning_rate=3e-3)
    ),
    "gaianet": GaiaNet(
        settings=GaiaNetSettings(
            n_channel=4, width=32, n_dense=3, n_epochs=20, batch_size=64, learning_rate=4e-3
        )
    ),
}


@pytest.mark.parametrize("companion", COMPANIONS.values(), ids=COMPANIONS.keys())
def test_labels_are_learned_from_coefficients(companion, stars, tmp_path):
    training, new = stars[np.arange(100, N)], stars[np.arange(100)]
    companion.fit(training, rng=np.random.default_rng(3), progress=False)
    # BP 55, RP 54: the first RP coefficient is what all are divided by.
    assert companion.features_.n_input == 109
    prediction = companion.predict(new)
    column = companion.label_names.index("teff")
    true = new.labels["teff"]
    away = np.median(np.abs(prediction.values[:, column] - true))
    assert away < 0.4 * np.median(np.abs(true - np.median(true)))
    assert np.isfinite(prediction.total_err).all()
    assert np.all(prediction.errors["input_err"] > 0)
    assert attention(companion, new).shape == (3, 109)
    assert derivative_spectra(companion, new).shape == (3, 109)
    save_companion(companion, tmp_path / "c.h5")
    again = load_companion(tmp_path / "c.h5").predict(new)
    np.testing.assert_array_equal(again.values, prediction.values)


def test_coefficients_pass_through_the_auto_encoder(stars):
    settings = ScatterSettings(
        hidden=(40, 20, 10), n_latent=4, n_epochs=80, cycle=40, batch_size=64, learning_rate=4e-3
    )
    network = ScatterAutoencoder(settings=settings)
    network.fit(stars[np.arange(100, N)], rng=np.random.default_rng(1), progress=False)
    new = stars[np.arange(100)]
    out = network.predict(new)
    true = network.features_.relative_flux(network.features_.inputs(new))
    left = np.var(out.flux - true, axis=0) / np.var(true, axis=0)
    assert np.median(left[:5]) < 0.1, "the first coefficients, which hold most"
    assert np.isnan(out.most_deviant_wavelength).all() and np.isfinite(out.outlier_score).all()
    errors = reconstruction_errors(network, new)
    # Eq. 7 for one star, its coefficients' covariance inverted as a whole.
    star, features = new[[3]], network.features_
    used = np.flatnonzero(features.channels & ~star.space.is_band_channel)
    level = star.flux[0, features.reference > 0][0]
    difference = (level * out.flux[3])[np.searchsorted(np.flatnonzero(features.channels), used)]
    difference -= star.flux[0, used]
    covariance = star.whitener.covariance()[0][np.ix_(used, used)]
    expected = np.sqrt(difference @ np.linalg.solve(covariance, difference) / len(used))
    np.testing.assert_allclose(errors.spectrum["auto-encoder"][3], expected, rtol=1e-6)
