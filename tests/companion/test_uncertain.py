import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import assert_close_derivative, numerical_gradient, simulate

from xpfit import Fitter, InputError, read_catalogue
from xpfit.cli import main
from xpfit.companion import UncertainNetwork, UncertainSettings, load_companion
from xpfit.companion.base import Examples
from xpfit.companion.uncertain import UncertainTask

LABELS = ("teff", "feh", "logg")
QUICK = UncertainSettings(hidden=(32, 32), n_epochs=60, batch_size=128, learning_rate=3e-3)


def labelled(model, n, seed):
    """Simulated spectra with their labels, which have errors."""
    rng = np.random.default_rng(seed)
    truth, spectra = simulate(model, n, rng, relative_error=0.01)
    error = np.array([0.03, 0.03, 0.05])
    labels = truth[:, :3] + error * rng.standard_normal((n, 3))
    return replace(
        spectra,
        labels=dict(zip(LABELS, labels.T, strict=True)),
        label_err={name: np.full(n, e) for name, e in zip(LABELS, error, strict=True)},
    ), truth


@pytest.fixture(scope="module")
def stars(model):
    return labelled(model, 3000, 1)[0]


@pytest.fixture(scope="module")
def trained(stars):
    return UncertainNetwork(LABELS, QUICK).fit(stars, rng=np.random.default_rng(3), progress=False)


def test_labels_of_new_stars_come_back_with_honest_errors(model, trained):
    spectra, truth = labelled(model, 2000, 2)
    prediction = trained.predict(spectra)
    residual = prediction.values - truth[:, :3]
    assert np.median(np.abs(residual[:, 0])) < 0.15 and np.median(np.abs(residual[:, 2])) < 0.3
    pull = residual / prediction.total_err
    width = 1.4826 * np.median(np.abs(pull - np.median(pull, axis=0)), axis=0)
    # The labels' own errors are known to the loss; these pulls are against the truth.
    np.testing.assert_allclose(width, 1.0, atol=0.2)
    assert trained.score(spectra) > 0.8


def test_noisier_spectra_are_more_uncertain(model, trained):
    spectra, _ = labelled(model, 300, 4)
    noisy = replace(spectra, flux_err=5.0 * spectra.flux_err, whitener=None)
    few, many = (trained.predict(s).errors["input_err"] for s in (spectra, noisy))
    np.testing.assert_allclose(many, 5.0 * few, rtol=1e-9)


def test_total_error_is_the_sum_in_squares_of_its_parts(trained, stars):
    p = trained.predict(stars[np.arange(50)])
    expected = p.errors["model_err"] ** 2 + p.errors["input_err"] ** 2 + p.errors["excess_err"] ** 2
    np.testing.assert_allclose(p.total_err**2, expected)
    assert np.all(p.errors["model_err"] > 0) and np.all(p.errors["excess_err"] > 0)


def test_gradient_of_the_loss_is_exact(trained, stars, rng):
    few = stars[np.arange(12)]
    labels = np.column_stack([few.labels[name] for name in LABELS])
    errors = np.column_stack([few.label_err[name] for name in LABELS])
    owner = UncertainNetwork(LABELS, replace(QUICK, hidden=(4,)))
    owner.features_ = trained.features_
    owner.label_mean_, owner.label_scale_ = trained.label_mean_, trained.label_scale_
    task = UncertainTask(owner, Examples(few, labels, errors))
    task.other_variance[:] = 0.01
    parameters = owner.network.initialise(rng)
    rows = np.arange(12)

    def loss(p):
        return task.loss(p, rows, np.random.default_rng(8))[0]

    _, gradient = task.loss(parameters, rows, np.random.default_rng(8))
    assert_close_derivative(gradient, numerical_gradient(loss, parameters), 1e-5)


def test_errors_of_inputs_and_dropout_enter_the_loss_after_the_warm_up(trained, stars):
    few = stars[np.arange(40)]
    owner = UncertainNetwork(LABELS, QUICK)
    owner.features_ = trained.features_
    owner.label_mean_, owner.label_scale_ = trained.label_mean_, trained.label_scale_
    task = UncertainTask(owner, Examples(few, np.zeros((40, 3)), np.zeros((40, 3))))
    task.before_epoch(0, trained.parameters_)
    assert np.all(task.other_variance == 0)
    task.before_epoch(8, trained.parameters_)  # an eighth of 60 epochs
    assert np.all(task.other_variance > 0)


def test_a_dozen_stars_are_enough_to_say_something(stars):
    network = UncertainNetwork(LABELS, replace(QUICK, n_epochs=2))
    network.fit(stars[np.arange(12)], rng=np.random.default_rng(1), progress=False)
    prediction = network.predict(stars[[50]])
    assert np.all(prediction.total_err > 1e-3) and np.isfinite(network.axes_).all()


def test_guesses_start_fits_that_find_the_same_optimum(model, trained, stars):
    some = stars[np.arange(200)]
    guesses = trained.guesses(some, model.label_names)
    assert guesses.shape == (200, 5, 3)
    prediction = trained.predict(some, n_draws=10)
    np.testing.assert_array_equal(guesses[:, 0], prediction.values)
    np.testing.assert_allclose(guesses[:, 1:3].mean(axis=1) + guesses[:, 3:].mean(axis=1),
                               2.0 * guesses[:, 0])  # fmt: skip
    usual, guided = (Fitter(model).fit(some, False, g) for g in (None, guesses))
    assert np.mean(guided.loss < usual.loss + 0.5) >= 0.98
    assert guided.n_iterations.sum() < usual.n_iterations.sum()
    with pytest.raises(InputError, match="does not predict alpha_m"):
        trained.guesses(some, ("teff", "alpha_m"))


def test_commands_train_predict_and_tell(sample_path, tmp_path, capsys):
    few, companion, output = (tmp_path / name for name in ("few.fits", "c.h5", "out.fits"))
    Table.read(sample_path)[:400].write(few)
    command = ["companion", "train", str(few), "--kind", "uncertain", "--output", str(companion)]
    command += ["--wavelength", "362:998:6"]
    assert main([*command, "--n-epochs", "5", "--quiet"]) == 0
    command = ["companion", "predict", str(few), "--companion", str(companion)]
    assert main([*command, "--output", str(output), "--quiet"]) == 0
    table = read_catalogue(output)
    assert len(table) == 400 and np.isfinite(table["teff"]).all()
    assert str(table["teff_input_err"].unit) == "K"
    assert "dropout" in table["feh_model_err"].description
    command_fit = ["fit", str(few), "--start-from", str(companion), "--output"]
    assert main([*command_fit, str(tmp_path / "fits.h5"), "--quiet"]) == 0
    assert read_catalogue(tmp_path / "fits.h5").meta["STARTS"] == "c.h5"
    capsys.readouterr()
    assert main(["companion", "card", str(companion)]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["kind"] == "uncertain" and card["spectra"] == "few.fits" and card["seed"] == 1
    assert main([*command, "--output", str(output)]) == 1
    assert "exists" in capsys.readouterr().err


def test_the_shipped_network_is_as_tight_as_promised_on_stars_that_it_never_saw(companion_path):
    """At least as tight as scikit-learn's MLPRegressor on the same inputs; pulls of width one."""
    import xpfit

    network = load_companion(companion_path)
    sample = companion_path.parent / "apogee_xp_sample.fits"
    stars = xpfit.read_spectra(sample, space=network.space)
    names = network.label_names
    keep = np.isfinite([stars.labels[n] for n in names]).all(axis=0)
    keep &= (stars.snr > 50) & (stars.labels["teff"] < 8.0)
    stars = stars[np.flatnonzero(keep)]
    prediction = network.predict(stars)
    truth = np.column_stack([stars.labels[n] for n in names])
    error = np.nan_to_num(np.column_stack([stars.label_err[n] for n in names]))
    residual = prediction.values - truth
    giant = stars.labels["logg"] < 3.6
    for rows, limits in (
        (giant, (0.055, 0.106, 0.19, 0.042)),
        (~giant, (0.118, 0.125, 0.23, 0.042)),
    ):
        scatter = 1.4826 * np.median(
            np.abs(residual[rows] - np.median(residual[rows], axis=0)), axis=0
        )
        assert np.all(scatter < limits), scatter
    pull = residual / np.hypot(prediction.total_err, error)
    width = 1.4826 * np.median(np.abs(pull - np.median(pull, axis=0)), axis=0)
    np.testing.assert_allclose(width, 1.0, atol=0.12)


def test_stars_without_all_labels_are_not_learned_from(stars):
    labels = {**stars.labels, "feh": stars.labels["feh"].copy()}
    labels["feh"][5:] = np.nan
    with pytest.raises(InputError, match="too few"):
        UncertainNetwork(LABELS).fit(replace(stars, labels=labels), rng=np.random.default_rng(1))
    with pytest.raises(InputError, match="refresh"):
        UncertainSettings(refresh=0)
