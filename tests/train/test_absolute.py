"""Training with parallaxes, on simulated surveys whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from xpfit import InputError, train_model
from xpfit.simulate import SurveySettings, simulate_survey
from xpfit.train import Phase, Recipe, TrainingIO
from xpfit.train.cleaning import CleanFlag, label_flag

QUIET = TrainingIO(progress=False)
SHORT = Recipe(
    phases=(
        Phase("start", 60, stars="low_extinction", learning_rate=3e-3,
              final_learning_rate=1e-3, free_curve=False),
        Phase("all", 8, n_cycles=6, stars="all", learning_rate=3e-3, final_learning_rate=1e-3,
              star_step="projected", star_iterations=2),
        Phase("clean", 8, n_cycles=6, learning_rate=1e-3, final_learning_rate=1e-4,
              star_step="projected", star_iterations=2, clean=True),
    ),
    hidden_layers=(24, 24),
    low_extinction=0.2,
    batch_size=128,
    covariance_rank=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def survey(model):
    settings = SurveySettings(binary_fraction=0.2, wrong_label_fraction=0.05)
    return simulate_survey(model, 1500, np.random.default_rng(1), settings)


@pytest.fixture(scope="module")
def trained(survey):
    rng = np.random.default_rng(2)
    return train_model(survey.spectra, rng=rng, recipe=SHORT, io=QUIET)


def test_parallaxes_make_the_model_absolute(survey, trained):
    model, summary = trained
    assert model.absolute and "absolute" in repr(model)
    assert summary.n_cleaned == np.sum(model.clean_flags > 0)
    known = model.trained_channels
    types = survey.truth["labels"]
    error = (model.forward.ln_absolute_flux(types) - survey.truth["ln_absolute_flux"])[:, known]
    # Luminosities range over ten magnitudes; after a minute's training on few stars:
    assert np.std(survey.truth["ln_absolute_flux"][:, 30]) > 1.5
    assert np.median(np.abs(error)) < 0.15


def test_shapes_alone_can_be_learned_from_the_same_stars(survey):
    recipe = replace(SHORT, phases=SHORT.phases[:1])
    model, _ = train_model(survey.spectra, rng=np.random.default_rng(2), recipe=recipe,
                           io=QUIET, absolute=False)  # fmt: skip
    assert not model.absolute
    assert not (model.clean_flags & int(CleanFlag.PARALLAX)).any()


def test_absolute_training_without_parallaxes_is_refused(sample):
    with pytest.raises(InputError, match="needs parallaxes"):
        train_model(sample, rng=np.random.default_rng(1), absolute=True, io=QUIET)


def test_wrong_labels_and_twins_are_dropped_with_their_reasons(survey, trained):
    model, summary = trained
    order = np.argsort(survey.spectra.source_id)  # that of the model's
    flags, truth = model.clean_flags, {k: v[order] for k, v in survey.truth.items()}
    np.testing.assert_array_equal(model.source_ids, survey.spectra.source_id[order])
    wrong, twin = truth["wrong_label"], truth["mass_ratio"] > 0.95
    good = ~wrong & (truth["mass_ratio"] == 0)
    assert np.mean(flags[wrong] > 0) > 0.8
    assert np.mean(flags[good] > 0) < 0.3
    labels = sum(label_flag(i) for i in range(3))
    assert np.mean((flags[wrong] & labels) > 0) > 0.7
    twins, singles = (np.mean((flags[m] & int(CleanFlag.BINARY)) > 0) for m in (twin, good))
    assert twins > 2.0 * singles
    assert summary.cleaned["binary"] == np.sum((flags & int(CleanFlag.BINARY)) > 0)


def test_solar_type_stars_are_kept_for_the_picture(trained):
    numbers = trained[0].diagnostics
    n = len(numbers["solar_type/pull_logg"])
    assert n > 0 and len(numbers["solar_type/absolute_magnitude"]) == n
    assert numbers["solar_type/width"][0] in (1, 2, 3, 4)
    # Dwarfs of about a solar mass.
    assert np.nanmedian(numbers["solar_type/absolute_magnitude"]) == pytest.approx(4.6, abs=1.0)


def test_a_varying_curve_is_learned_in_its_gauge(varying_model):
    """xi: mean zero, and mean square one with its uncertainty, over stars with dust."""
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0, mean_extinction=0.6)
    survey = simulate_survey(
        replace(varying_model, absolute=False), 1500, np.random.default_rng(3), settings
    )
    recipe = replace(SHORT, extinction_variation=True, low_extinction=0.5)
    model, _ = train_model(survey.spectra, rng=np.random.default_rng(2), recipe=recipe,
                           io=QUIET)  # fmt: skip
    learned, true = model.forward.variation, varying_model.forward.variation
    assert learned[63] == 0.0  # the gauge: nothing varies in Ks
    optical = np.arange(5, 61)
    assert np.corrcoef(learned[optical], true[optical])[0, 1] > 0.9
    # A constant in a is, but for the estimates of E, one in ln E.
    assert 0.5 < np.std(learned[optical]) / np.std(true[optical]) < 2.0
    r_v = model.r_v([-1.0, 1.0])
    assert r_v[1] > r_v[0]
