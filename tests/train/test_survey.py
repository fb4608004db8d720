"""What the default recipe does with a survey of 20,000 stars: minutes of work, marked slow."""

import numpy as np
import pytest

from xpfit import train_model
from xpfit.fit import FitStatus
from xpfit.simulate import simulate_survey
from xpfit.statistics import robust_width
from xpfit.train import TrainingIO


@pytest.fixture(scope="module")
def survey(model, sample):
    types = np.column_stack([sample.labels[name] for name in model.label_names])
    return simulate_survey(model, 20_000, np.random.default_rng(1), types=types)


@pytest.fixture(scope="module")
def trained(survey):
    return train_model(survey.spectra, rng=np.random.default_rng(1), io=TrainingIO(progress=False))[
        0
    ]


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
def test_blind_fits_have_honest_errors(model, trained):
    """New stars, without their labels, with parallaxes; single ones with the right labels."""
    from xpfit.simulate import SurveySettings

    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    survey = simulate_survey(model, 1500, np.random.default_rng(7), settings)
    result = trained.fit(survey.spectra, n_jobs=2, progress=False)
    truth = np.column_stack([survey.truth[name] for name in ("labels", "extinction", "parallax")])
    good = result.status == FitStatus.CONVERGED
    pulls = ((result.parameters - truth) / result.errors)[good]
    for name, pull in zip(result.parameter_names, pulls.T, strict=True):
        width = robust_width(pull)
        assert 0.8 < width < 1.25, (name, width)
        assert abs(np.median(pull)) < 0.3, (name, np.median(pull))
