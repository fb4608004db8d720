from dataclasses import replace

import numpy as np
import pytest
from helpers import (
    assert_close_derivative,
    numerical_gradient,
    random_full_whiteners,
    simulate,
)

from xpfit import InputError, read_spectra
from xpfit.companion import GaiaNet, GaiaNetSettings, load_companion
from xpfit.companion.base import Examples
from xpfit.companion.features import draw_noise
from xpfit.companion.gaianet import GaiaNetTask
from xpfit.nn import BatchNorm, Convolution, Dense, MaxPool, Residual

LABELS = ("logg", "teff", "feh")
ERRORS = {"teff": 0.02, "feh": 0.03, "logg": 0.05}
QUICK = GaiaNetSettings(
    n_channel=4, kernel=10, width=32, n_dense=3, n_epochs=40, batch_size=64, learning_rate=4e-3,
    validation_share=0.2,
)  # fmt: skip


def labelled(model, n, seed):
    """Simulated spectra with their labels, which have errors."""
    rng = np.random.default_rng(seed)
    truth, spectra = simulate(model, n, rng, relative_error=0.01)
    labels = {
        name: truth[:, model.label_names.index(name)] + ERRORS[name] * rng.standard_normal(n)
        for name in LABELS
    }
    errors = {name: np.full(n, ERRORS[name]) for name in LABELS}
    return replace(spectra, labels=labels, label_err=errors), truth


@pytest.fixture(scope="module")
def stars(model):
    return labelled(model, 2500, 1)[0]


@pytest.fixture(scope="module")
def trained(stars):
    return GaiaNet(settings=QUICK).fit(stars, rng=np.random.default_rng(3), progress=False)


def test_the_network_is_built_as_in_the_paper(stars):
    owner = GaiaNet()
    owner.features_ = (
        GaiaNet(settings=replace(QUICK, n_epochs=1))
        .fit(stars[np.arange(80)], rng=np.random.default_rng(1), progress=False)
        .features_
    )
    kinds = [type(layer) for layer in owner.network.layers]
    assert kinds.count(Residual) == 3 and kinds.count(Dense) == 7 and kinds.count(MaxPool) == 1
    block = next(layer for layer in owner.network.layers if isinstance(layer, Residual)).inner
    assert [layer.kernel for layer in block.layers if isinstance(layer, Convolution)] == [30, 30]
    assert sum(isinstance(layer, BatchNorm) for layer in block.layers) == 2
    channels = owner.features_.channels
    assert not channels[owner.features_.space.is_band].any(), "photometry is left out"


def test_labels_of_new_stars_come_back_with_honest_errors(model, trained):
    spectra, truth = labelled(model, 1500, 2)
    prediction = trained.predict(spectra)
    order = [model.label_names.index(name) for name in LABELS]
    residual = prediction.values - truth[:, order]
    assert np.median(np.abs(residual[:, 1])) < 0.2 and np.median(np.abs(residual[:, 0])) < 0.3
    pull = residual / prediction.total_err
    width = 1.4826 * np.median(np.abs(pull - np.median(pull, axis=0)), axis=0)
    np.testing.assert_allclose(width, 1.0, atol=0.2)
    assert trained.score(spectra) > 0.7


def test_gradient_of_the_loss_is_exact_and_leaves_out_what_is_masked(trained, stars, rng):
    few = stars[np.arange(8)]
    owner = GaiaNet(settings=replace(QUICK, n_channel=2, kernel=4, width=5, n_block=1))
    owner.features_ = trained.features_
    owner.label_mean_, owner.label_scale_ = trained.label_mean_, trained.label_scale_
    targets = rng.standard_normal((8, 3))
    targets[:4, 2] = np.nan
    labels = targets * owner.label_scale_ + owner.label_mean_
    task = GaiaNetTask(owner, Examples(few, labels, np.zeros((8, 3))))
    task.inputs = task.inputs.astype(float)
    parameters = owner.network.initialise(rng)
    rows, moving = np.arange(8), owner.network.update_running_statistics

    def loss(p):
        return task.loss(p, rows, np.random.default_rng(8))[0]

    value, gradient = task.loss(parameters, rows, np.random.default_rng(8))
    still = moving(parameters, task.caches, 0.5) != parameters
    numerical = np.where(still, 0.0, numerical_gradient(loss, parameters))
    assert_close_derivative(gradient, numerical, 1e-4)
    task.targets[:4, 2] = 99.0
    assert task.loss(parameters, rows, np.random.default_rng(8))[0] == value


def test_metallicities_without_meaning_are_not_learned_from(stars):
    some = stars[np.arange(60)]
    labels = {name: values.copy() for name, values in some.labels.items()}
    labels["logg"][:5], labels["teff"][5:9], labels["feh"][9] = 7.9, 3.1, np.nan
    targets, _ = GaiaNet()._labels(replace(some, labels=labels))
    assert np.isnan(targets[:10, 2]).all() and np.isfinite(targets[10:]).all()
    assert np.isfinite(targets[:10, :2]).all()
    np.testing.assert_allclose(targets[5:9, 1], np.log10(3100.0))


def test_redrawn_spectra_have_the_covariance_of_the_errors(stars, rng):
    some = stars[np.arange(2)]
    noise = draw_noise(some, 4000, seed=1)
    known = np.isfinite(some.flux_err)
    np.testing.assert_allclose(noise.std(axis=0)[known], some.flux_err[known], rtol=0.08)
    assert np.all(noise[:, ~known] == 0)
    few = np.flatnonzero(known[0])[:6]
    covariance, whitener = random_full_whiteners(some.flux_err[:1, few], rng)
    whole = np.zeros((1, known.shape[1], known.shape[1]))
    whole[0][np.ix_(few, few)] = whitener.array[0]
    error = np.full((1, known.shape[1]), np.inf)
    error[0, few] = np.sqrt(np.diagonal(covariance[0]))
    star = replace(some[[0]], flux_err=error, whitener=whole)
    drawn = draw_noise(star, 20_000, seed=2)[:, 0][:, few]
    scale = np.sqrt(np.outer(*[np.diagonal(covariance[0])] * 2))
    np.testing.assert_allclose(np.cov(drawn.T) / scale, covariance[0] / scale, atol=0.04)


def test_noisier_spectra_are_more_uncertain(trained, stars):
    some = stars[np.arange(200)]
    noisy = replace(some, flux_err=5.0 * some.flux_err, whitener=None)
    few, many = (trained.predict(s).errors["input_err"] for s in (some, noisy))
    assert np.all(np.median(many / few, axis=0) > 2.5)


def test_a_label_that_hardly_any_star_has_is_refused(stars):
    few = stars[np.arange(40)]
    nothing = {**few.labels, "feh": np.full(40, np.nan)}
    with pytest.raises(InputError, match="fewer than 10 stars have the labels feh"):
        GaiaNet().fit(replace(few, labels=nothing), rng=np.random.default_rng(1))
    with pytest.raises(InputError, match="width must be"):
        GaiaNetSettings(width=0)


def test_the_shipped_network_does_as_promised_on_stars_that_it_never_saw(companion_path):
    network = load_companion(companion_path.with_name("companion_gaianet.h5"))
    stars = read_spectra(companion_path.parent / "apogee_xp_sample.fits", space=network.space)
    prediction = network.predict(stars)
    truth = np.column_stack([stars.labels[name] for name in LABELS])
    residual = prediction.values - truth
    cool = (stars.snr > 50) & (stars.labels["teff"] < 8.0) & np.isfinite(truth).all(axis=1)
    giant = stars.labels["logg"] < 3.6
    for rows, limits in (
        (cool & giant, (0.205, 0.065, 0.108)),
        (cool & ~giant, (0.185, 0.126, 0.108)),
    ):
        away = np.abs(residual[rows] - np.median(residual[rows], axis=0))
        assert np.all(1.4826 * np.median(away, axis=0) < limits)
    hot = stars.labels["teff"] >= 8.0
    away = np.log10(prediction.values[hot, 1] / truth[hot, 1])
    assert 1.4826 * np.median(np.abs(away - np.median(away))) < 0.065
    error = np.nan_to_num(np.column_stack([stars.label_err[name] for name in LABELS]))
    pull = (residual / np.hypot(prediction.total_err, error))[cool]
    width = 1.4826 * np.median(np.abs(pull - np.median(pull, axis=0)), axis=0)
    np.testing.assert_allclose(width, 1.0, atol=0.25)
    # Single precision does no harm.
    inputs = network.features_.inputs(stars)
    double, _ = network.network.forward(network.parameters_.astype(float), inputs)
    single, _ = network.network.forward(network.parameters_, inputs.astype(np.float32))
    assert np.abs(single - double).max() < 1e-4
