"""The recipes that come with xpfit, on simulated surveys of a few thousand stars: minutes each."""

from pathlib import Path

import numpy as np
import pytest

import xpfit
from xpfit.simulate import SurveySettings, simulate_survey
from xpfit.train import TrainingIO, load_recipe, train_model

ROOT = Path(__file__).parents[2]
SETTINGS = SurveySettings(binary_fraction=0.1, wrong_label_fraction=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "simulator", "max_chi2", "max_dropped"),
    [
        ("default", "data/simulated_model.h5", 1.0, 0.03),
        ("default", "xpfit/model/default.h5", 1.0, 0.03),
        ("zgr23", "data/simulated_model.h5", 1.5, 0.12),
    ],
)
def test_recipe_converges_and_cleans(name, simulator, max_chi2, max_dropped):
    simulator = xpfit.load_model(ROOT / simulator)
    survey = simulate_survey(simulator, 4000, np.random.default_rng(1), SETTINGS)
    model, summary = train_model(
        survey.spectra,
        simulator.label_names,
        rng=np.random.default_rng(1),
        recipe=load_recipe(name),
        io=TrainingIO(progress=False),
    )
    assert summary.median_chi2 < max_chi2
    dropped = model.clean_flags[np.searchsorted(model.source_ids, survey.spectra.source_id)] > 0
    wrong, twin = survey.truth["wrong_label"], survey.truth["mass_ratio"] > 0.95
    good = ~wrong & (survey.truth["mass_ratio"] == 0)
    assert dropped[good].mean() < max_dropped
    assert dropped[wrong].mean() > 0.85 and dropped[twin].mean() > 0.75
    known = model.trained_channels
    flux = model.forward.ln_absolute_flux(survey.truth["labels"])
    error = np.abs(flux - survey.truth["ln_absolute_flux"])[good][:, known]
    assert np.median(error) < 0.06
