"""Trained models recover a simulated survey: a small one in short, a large one (slow) precisely."""

import numpy as np
import pytest

from xpfit import train_model
from xpfit.fit import FitStatus
from xpfit.simulate import SurveySettings, simulate_survey
from xpfit.statistics import robust_width
from xpfit.train import Phase, Recipe, TrainingIO

QUIET = TrainingIO(progress=False)
FOLLOWING = {"star_step": "projected", "star_iterations": 2}
SHORT = Recipe(
    phases=(
        Phase("start", 20, stars="low_extinction", learning_rate=5e-3, final_learning_rate=2e-3,
              free_curve=False),
        Phase("all stars", 5, n_cycles=4, stars="all", learning_rate=3e-3,
              final_learning_rate=1e-3, **FOLLOWING),
        Phase("final", 5, n_cycles=4, learning_rate=1e-3, final_learning_rate=1e-4, clean=True,
              **FOLLOWING),
    ),
    hidden_layers=(32, 32),
    low_extinction=0.2,
    batch_size=64,
    covariance_rank=10,
)  # fmt: skip


def blind_fits(model, trained, n_star, n_jobs=1):
    """Errors of fits of new single stars with parallaxes, and the same over their uncertainties."""
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    survey = simulate_survey(model, n_star, np.random.default_rng(7), settings)
    result = trained.fit(survey.spectra, n_jobs=n_jobs, progress=False)
    truth = np.column_stack([survey.truth[name] for name in ("labels", "extinction", "parallax")])
    good = result.status == FitStatus.CONVERGED
    assert good.mean() > 0.9
    errors = (result.parameters - truth)[good]
    pulls = errors / result.errors[good]
    errors[:, -1] /= truth[good, -1]
    return (dict(zip(result.parameter_names, x.T, strict=True)) for x in (errors, pulls))


def test_a_small_survey_and_a_short_training_recover_labels_and_extinction(model, sample):
    """2,000 stars, 60 epochs: no gross bias, errors of the right size."""
    types = np.column_stack([sample.labels[name] for name in model.label_names])
    survey = simulate_survey(model, 2000, np.random.default_rng(1), types=types)
    trained, _ = train_model(survey.spectra, rng=np.random.default_rng(1), recipe=SHORT, io=QUIET)
    errors, pulls = blind_fits(model, trained, 300)
    # Attained: widths 51 K, 0.10, 0.077, 0.026 mag, 2.9 %; biases at most 10 K, 0.016, 0.012,
    # 0.004 mag, 0.3 %; pulls of widths 1.2 to 2.0 with medians of at most 0.28. The parallax's
    # error is relative.
    limits = {"teff": 0.08, "feh": 0.16, "logg": 0.12, "extinction": 0.04, "parallax": 0.045}
    for name, limit in limits.items():
        assert robust_width(errors[name]) < limit, name
        assert abs(np.median(errors[name])) < 0.4 * limit, name
        assert 0.7 < robust_width(pulls[name]) < 2.6, name
        assert abs(np.median(pulls[name])) < 0.6, name


@pytest.fixture(scope="module")
def survey(model, sample):
    types = np.column_stack([sample.labels[name] for name in model.label_names])
    return simulate_survey(model, 20_000, np.random.default_rng(1), types=types)


@pytest.fixture(scope="module")
def trained(survey):
    return train_model(survey.spectra, rng=np.random.default_rng(1), io=QUIET)[0]


@pytest.mark.slow
def test_absolute_fluxes_and_the_curve_are_learned(model, survey, trained):
    known, truth = trained.trained_channels, survey.truth
    learned = trained.forward.ln_absolute_flux(truth["labels"])[:, known]
    error = learned - truth["ln_absolute_flux"][:, known]
    assert np.median(np.abs(error)) < 0.02  # wanted: 0.01; best so far 0.014
    ratio = trained.forward.extinction_curve[known] / model.forward.extinction_curve[known]
    # The gauge: the scale of E is known by its estimates alone.
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.02)


@pytest.mark.slow
def test_wrong_labels_and_twins_are_cleaned_and_good_stars_are_kept(survey, trained):
    order = np.argsort(survey.spectra.source_id)  # that of the model's
    dropped, truth = trained.clean_flags > 0, {k: v[order] for k, v in survey.truth.items()}
    twin, wrong = truth["mass_ratio"] > 0.95, truth["wrong_label"]
    good = (truth["mass_ratio"] == 0) & ~wrong
    assert np.mean(dropped[wrong]) > 0.8
    assert np.mean(dropped[twin & ~wrong]) > 0.6
    assert np.mean(dropped[good]) < 0.05


@pytest.mark.slow
def test_errors_of_blind_fits_are_well_calibrated(model, trained):
    """New stars, without their labels, with parallaxes; single ones with the right labels."""
    _, pulls = blind_fits(model, trained, 1500, n_jobs=2)
    for name, pull in pulls.items():
        width = robust_width(pull)
        assert 0.8 < width < 1.25, (name, width)
        assert abs(np.median(pull)) < 0.3, (name, np.median(pull))
