from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, random_full_whiteners, simulate
from internal import coefficient_twin, simulate_coefficients

from xpfit import InputError, XpfitError, result_table, train_model
from xpfit.constants import WAVELENGTH
from xpfit.model import ccm89_curve
from xpfit.model.gauge import amplitude_channels
from xpfit.nn import chi2
from xpfit.prepare import continuous_spectra
from xpfit.train import Phase, Recipe, Trainer, TrainingIO
from xpfit.train import trainer as trainer_module
from xpfit.train.loss import model_loss
from xpfit.train.projection import project
from xpfit.train.stars import StarConstraints, StarData

QUIET = TrainingIO(progress=False)
SHORT = Recipe(
    phases=(
        Phase(
            "start",
            15,
            stars="low_extinction",
            learning_rate=3e-3,
            final_learning_rate=3e-3,
            free_curve=False,
        ),
        Phase(
            "joint",
            5,
            n_cycles=2,
            learning_rate=3e-3,
            final_learning_rate=1e-3,
            star_step="gauss-newton",
            star_iterations=2,
            clean=True,
        ),
    )
)
LABELS = ("teff", "feh", "logg")


@pytest.fixture(scope="module")
def trained(sample):
    return train_model(sample, LABELS, rng=np.random.default_rng(1), recipe=SHORT, io=QUIET)


def usable(sample):
    good = np.isfinite([sample.labels[name] for name in LABELS]).all(axis=0)
    return sample[good]


@pytest.mark.parametrize("turnover", [np.inf, 50.0])
@pytest.mark.parametrize("kind", ["diagonal", "full", "projected", "xi"])
def test_gradient_of_the_training_loss(model, varying_model, rng, turnover, kind):
    model = varying_model if kind == "xi" else model
    truth, spectra = simulate(model, 3, rng, relative_error=0.02)
    theta = np.column_stack([truth[:, :3] + 0.05, np.log(truth[:, 3:5]), *truth.T[5:]])
    whitener, projection = spectra.whitener, None
    if kind == "full":
        error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
        whitener = random_full_whiteners(error, rng)[1]
    forward = model.forward
    if kind in ("projected", "xi"):
        known = StarConstraints(
            truth[:, :3], np.full((3, 3), 0.05), truth[:, 3], np.full(3, 0.05), truth[:, 4],
            np.full(3, 0.3), absolute=True,
        )  # fmt: skip
        projection = project(
            forward, theta, StarData(spectra.flux, spectra.flux_err, whitener, known)
        )
    start = forward.parameters

    def loss(parameters):
        forward.parameters = parameters
        return model_loss(forward, theta, spectra.flux, whitener, turnover, projection)[0]

    try:
        _, gradient = model_loss(forward, theta, spectra.flux, whitener, turnover, projection)
        numerical = numerical_gradient(loss, start.copy())
    finally:
        forward.parameters = start
    assert_close_derivative(gradient, numerical)


def test_training_loss_is_equation_12(model, rng):
    truth, spectra = simulate(model, 5, rng, relative_error=0.02)
    theta = np.column_stack([truth[:, :3], np.log(truth[:, 3:])])
    value, _ = model_loss(model.forward, theta, spectra.flux, spectra.whitener, np.inf)
    per_star, _ = chi2(spectra.whitener(model.forward.flux(theta) - spectra.flux))
    weights = model.forward.parameters[model.forward.is_weight]
    assert value == pytest.approx(per_star.mean() + np.mean(weights**2))


def test_every_free_parameter_moves_and_no_frozen_one_does(sample):
    stars = usable(sample)[:400]
    trainer = Trainer(stars, LABELS, SHORT, np.random.default_rng(1), io=QUIET)
    free = trainer.forward.channel_mask(trainer.trained_grid)
    start, joint = SHORT.phases
    n_network = trainer.forward.network.n_parameters

    before = trainer.forward.parameters.copy()
    trainer.run_phase(start)
    moved = trainer.forward.parameters != before
    np.testing.assert_array_equal(moved[:n_network], free[:n_network])

    before = trainer.forward.parameters.copy()
    trainer.run_phase(joint)
    moved = trainer.forward.parameters != before
    anchor = n_network + 63  # R(Ks) is the gauge's
    moved[anchor] = free[anchor]
    np.testing.assert_array_equal(moved, free)


def test_first_phase_leaves_the_shape_of_the_extinction_curve_alone(sample):
    stars = usable(sample)[:400]
    trainer = Trainer(stars, LABELS, SHORT, np.random.default_rng(1), io=QUIET)
    trainer.run_phase(SHORT.phases[0])
    np.testing.assert_allclose(
        trainer.forward.extinction_curve, ccm89_curve(WAVELENGTH), rtol=1e-12
    )


def test_floor_of_the_flux_errors_is_for_training_alone(sample):
    stars = usable(sample)[:400]
    trainer = Trainer(stars, LABELS, SHORT, np.random.default_rng(1), io=QUIET)
    np.testing.assert_array_equal(trainer.spectra.flux_err, stars.flux_err)
    data = trainer.data
    floored = np.hypot(stars.flux_err[:, :61], 0.02 * stars.flux[:, :61])
    np.testing.assert_allclose(data.flux_err[:, :61], floored)
    np.testing.assert_array_equal(data.flux_err[:, 61:], stars.flux_err[:, 61:])
    np.testing.assert_allclose(data.whitener.array, 1.0 / data.flux_err)
    full = replace(stars, whitener=np.eye(66) / stars.flux_err[:, None, :])
    again = Trainer(full, LABELS, SHORT, np.random.default_rng(1), io=QUIET).data
    np.testing.assert_allclose(again.flux_err, data.flux_err)
    np.testing.assert_allclose(again.whitener.diagonal, data.whitener.array, rtol=1e-9)


def test_model_covariance_explains_the_residuals(sample, trained):
    model, _ = trained
    matrix = model.covariance.matrix()
    trained = model.trained_channels
    assert np.linalg.eigvalsh(matrix[np.ix_(trained, trained)])[0] > 0
    assert not matrix[~trained].any()
    spread = np.sqrt(np.diag(matrix)[trained])
    assert 0.005 < np.median(spread) < 0.2  # a poor model after a short training
    chi2_with, chi2_without = (
        model.fit(sample[:60], n_starts=1, progress=False, model_covariance=on).chi2
        for on in (True, False)
    )
    assert np.median(chi2_with) < 0.5 * np.median(chi2_without)


def test_training_lowers_the_loss(trained):
    _, summary = trained
    assert len(summary.loss) == SHORT.n_epochs
    assert summary.loss[14] < 0.5 * summary.loss[0]
    assert summary.n_used + sum(summary.dropped.values()) == summary.n_read == 2000
    assert "stars trained on" in str(summary)


def test_same_seed_gives_the_same_model_and_another_seed_another(sample, trained):
    first = trained[0]
    second, other = (
        train_model(sample, LABELS, rng=np.random.default_rng(s), recipe=SHORT, io=QUIET)[0]
        for s in (1, 4)
    )
    np.testing.assert_array_equal(first.forward.parameters, second.forward.parameters)
    np.testing.assert_array_equal(first.prior.means, second.prior.means)
    assert first.ln_prior_threshold == second.ln_prior_threshold
    assert not np.array_equal(first.forward.parameters, other.forward.parameters)


def test_trained_model_records_what_it_is(sample, tmp_path):
    """Of a label, too, that xpfit does not know, and whose errors are unknown."""
    exclude = sample.source_id[:100]
    new = {"mg_fe": sample.labels["alpha_m"]}
    sample = sample.replace(
        labels={**sample.labels, **new},
        label_err={**sample.label_err, "mg_fe": np.full(len(sample), np.nan)},
    )
    model, summary = train_model(
        sample,
        (*LABELS, "mg_fe"),
        rng=np.random.default_rng(1),
        recipe=SHORT,
        exclude=exclude,
        io=QUIET,
        provenance={"seed": 1},
    )
    assert model.label_names == (*LABELS, "mg_fe") and not model.absolute
    assert not np.isin(exclude, model.source_ids).any()
    assert len(model.source_ids) == summary.n_used == model.training["n_stars"]
    assert model.training["seed"] == 1
    assert model.training["recipe"]["batch_size"] == 512
    assert model.preparation == sample.preparation
    np.testing.assert_array_equal(model.trained_channels, np.arange(66) < 64)
    model.save(tmp_path / "model.h5")
    few = sample[np.arange(100, 104)]
    table = result_table(model, few, model.fit(few, progress=False))
    assert np.isfinite(table["mg_fe"]).all() and np.isfinite(table["mg_fe_err"]).all()
    np.testing.assert_array_equal(table["ref_mg_fe"], few.labels["mg_fe"])
    assert table["mg_fe"].description == "label mg_fe, in the unit of the training table"


def test_trained_model_is_in_the_documented_gauge(trained):
    model, _ = trained
    ln_flux = np.log(model.predict([[4.8, -0.2, 2.5], [5.6, 0.0, 4.3]]))
    window = amplitude_channels(model.space)
    np.testing.assert_allclose(ln_flux[:, window].mean(axis=1), 0.0, atol=1e-12)
    assert model.forward.extinction_curve[63] == pytest.approx(ccm89_curve(WAVELENGTH)[63])


def test_too_few_stars_are_refused(sample):
    with pytest.raises(InputError, match="at least 160"):
        train_model(sample[:50], rng=np.random.default_rng(1), io=QUIET)


def test_options_of_the_previous_version_work_with_a_warning(sample, tmp_path):
    recipe = Recipe(phases=(Phase("one", 2, learning_rate=1e-3),), covariance_rank=0)
    with pytest.warns(FutureWarning, match=r"takes progress, checkpoint as io=TrainingIO"):
        train_model(
            sample[:300],
            rng=np.random.default_rng(1),
            recipe=recipe,
            progress=False,
            checkpoint=tmp_path / "c",
        )
    assert (tmp_path / "c").exists()
    with pytest.warns(FutureWarning, match="checkpoint_minutes"), pytest.raises(InputError):
        train_model(sample[:50], rng=np.random.default_rng(1), checkpoint_minutes=1.0)


def test_phase_without_stars_is_named(sample):
    recipe = Recipe(phases=SHORT.phases, low_extinction=-5.0)
    with pytest.raises(InputError, match="only 0 stars for training phase 'start'"):
        train_model(sample, rng=np.random.default_rng(1), recipe=recipe, io=QUIET)


def test_epochs_of_few_stars_have_the_minibatches_that_the_phase_asks_for(sample, monkeypatch):
    stars, sizes = usable(sample)[:300], []
    loss = trainer_module.model_loss

    def counted(forward, theta, *rest):
        sizes.append(len(theta))
        return loss(forward, theta, *rest)

    monkeypatch.setattr(trainer_module, "model_loss", counted)
    for min_batches, passes in ((0, 1), (3, 1), (4, 2), (7, 3)):
        sizes.clear()
        phase = Phase("start", 1, min_batches=min_batches, stars="all", learning_rate=1e-3)
        recipe = replace(SHORT, phases=(phase,), batch_size=128)
        result = Trainer(stars, LABELS, recipe, np.random.default_rng(1), io=QUIET).run()
        assert sizes == [128, 128, 44] * passes
        assert np.isfinite(result.history[0]["loss"])


def test_divergence_is_an_error_that_names_the_phase(sample):
    recipe = Recipe(
        phases=(Phase("wild", 20, learning_rate=1e3, final_learning_rate=1e3),), turnover=np.inf
    )
    with (
        np.errstate(all="ignore"),
        pytest.raises(XpfitError, match=r"diverged in phase 'wild'.*learning rate"),
    ):
        train_model(sample, rng=np.random.default_rng(1), recipe=recipe, io=QUIET)


def test_training_in_coefficient_space_learns_spectra_and_dust(model):
    """From random weights, on faint simulated stars; the trainer is the same in either space."""
    rng = np.random.default_rng(1)
    twin, n_star = coefficient_twin(model), 900
    theta, stars = simulate_coefficients(twin, n_star, rng, error_factor=10.0)
    spectra = continuous_spectra([stars], twin.space)
    error = {"teff": 0.05, "feh": 0.05, "logg": 0.08}
    spectra = replace(
        spectra,
        labels={
            name: theta[:, i] + error[name] * rng.standard_normal(n_star)
            for i, name in enumerate(LABELS)
        },
        label_err={name: np.full(n_star, error[name]) for name in LABELS},
        extinction=np.exp(theta[:, 3]) + 0.05 * rng.standard_normal(n_star),
        extinction_err=np.full(n_star, 0.05),
    )
    recipe = Recipe(
        phases=(
            Phase(
                "start",
                40,
                stars="low_extinction",
                learning_rate=3e-3,
                final_learning_rate=1e-3,
                free_curve=False,
            ),
            Phase(
                "joint",
                10,
                n_cycles=4,
                learning_rate=3e-3,
                final_learning_rate=1e-4,
                star_step="gauss-newton",
                star_iterations=2,
                clean=True,
            ),
        ),
        low_extinction=0.5,
        batch_size=128,
    )
    trained, summary = train_model(spectra, LABELS, rng=rng, recipe=recipe, io=QUIET)
    assert trained.space.matches(twin.space)
    assert summary.loss[-1] < 0.2 * summary.loss[0]
    assert summary.median_chi2 < 1.3
    learned, true = (m.forward.extinction_curve for m in (trained, twin))
    bright = trained.space.covered & (trained.wavelength > 420) & (trained.wavelength < 950)
    difference = (learned - true)[bright]
    assert np.std(difference - np.median(difference)) < 0.1 * np.median(true[bright])
