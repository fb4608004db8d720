"""Posterior of distance: against brute force, and against the truth of simulated stars."""

from pathlib import Path

import numpy as np
import pytest

import xpfit
from xpfit import InputError
from xpfit.fit.distance import (
    DISTANCE_LIMITS,
    SpectrumTerm,
    distance_quantiles,
    parallax_tension,
    prior_slope,
    spectrum_term,
)
from xpfit.simulate.survey import SurveySettings, simulate_survey

ROOT = Path(__file__).resolve().parents[2]
SINGLE = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0, g_limits=(12.0, 17.5))


def gaussian(ln_parallax, error):
    """A spectrum that says ln varpi = `ln_parallax` +- `error`."""
    shape = np.broadcast_shapes(np.shape(ln_parallax), np.shape(error))
    values = (np.broadcast_to(x, shape).astype(float) for x in (ln_parallax, 0.0, error))
    x0, slope, sigma = values
    return SpectrumTerm(x0, slope, sigma**-2.0)


def brute_force(term, parallax, parallax_err, power):
    """Quantiles on 200,000 points; the prior is distance^(power) d ln distance."""
    grid = np.linspace(*np.log(DISTANCE_LIMITS), 200_001)
    offset = -grid - term.ln_parallax
    ln_p = term.slope * offset - 0.5 * term.information * offset**2 + power * grid
    ln_p -= 0.5 * ((np.exp(-grid) - parallax) / parallax_err) ** 2
    mass = np.cumsum(np.exp(ln_p - ln_p.max()))
    return np.exp(np.interp([0.16, 0.5, 0.84], mass / mass[-1], grid))


@pytest.mark.parametrize(
    ("prior", "slope", "power"), [("none", 1, -1), ("none", 0, 0), ("uniform", 1, 3)]
)
@pytest.mark.parametrize(
    ("parallax", "error"), [(0.5, 0.001), (0.5, 0.1), (0.2, 0.5), (-0.3, 0.2), (80.0, 0.008)]
)
def test_quantiles_are_those_of_a_sum_over_a_fine_grid(prior, slope, power, parallax, error):
    term = gaussian(np.log([max(parallax, 0.3) * 1.05]), 0.2)
    measured = np.array([parallax]), np.array([error])
    found = distance_quantiles(term, *measured, prior=prior, fit_slope=slope)[:, 0]
    np.testing.assert_allclose(found, brute_force(term, *measured, power), rtol=3e-4)


def test_a_parallax_of_a_hundredth_of_a_per_cent_is_resolved():
    measured = np.array([10.0]), np.array([1e-3])
    low, median, high = distance_quantiles(gaussian([np.log(10.1)], 0.1), *measured)[:, 0]
    assert median == pytest.approx(0.1, rel=1e-5)
    assert 0.5 * (high - low) / median == pytest.approx(0.9945e-4, rel=0.01)


def test_without_parallax_and_prior_the_spectrum_alone_decides():
    term = gaussian(np.log([1.0, 4.0]), [0.1, 0.3])
    nothing = np.full(2, np.nan), np.full(2, np.inf)
    found = distance_quantiles(term, *nothing)
    np.testing.assert_allclose(found[1], [1.0, 0.25], rtol=1e-4)
    np.testing.assert_allclose(np.log(found[2] / found[1]), [0.09945, 0.2983], rtol=1e-3)
    # The mean of a Gaussian in ln distance moves by 3 sigma^2 where volume counts.
    uniform = distance_quantiles(term, *nothing, prior="uniform")
    np.testing.assert_allclose(np.log(uniform[1] / found[1]), [0.03, 0.27], rtol=1e-3)


def test_stars_that_nothing_is_known_of_stay_within_the_limits_and_unfitted_ones_unknown():
    term = SpectrumTerm(np.array([0.0, np.nan]), np.zeros(2), np.array([0.0, np.nan]))
    nothing = np.full(2, np.nan), np.full(2, np.inf)
    for prior in ("none", "uniform"):
        found = distance_quantiles(term, *nothing, prior=prior)
        assert np.all(np.diff(found[:, 0]) > 0) and found[2, 0] < DISTANCE_LIMITS[1]
        assert np.isnan(found[:, 1]).all()
    assert np.isnan(term.estimate[0]) and np.isnan(term.error[0])


def test_a_prior_that_does_not_exist_is_named():
    with pytest.raises(InputError, match="no distance prior 'disc'"):
        distance_quantiles(gaussian([0.0], 0.1), *np.ones((2, 1)), prior="disc")


def test_results_do_not_depend_on_other_stars(rng):
    term = gaussian(rng.normal(0.0, 1.0, 50), rng.uniform(0.02, 0.5, 50))
    measured = rng.normal(1.0, 1.0, 50), rng.uniform(0.01, 1.0, 50)
    together = distance_quantiles(term, *measured)
    one = SpectrumTerm(*(x[7:8] for x in vars(term).values()))
    np.testing.assert_array_equal(
        together[:, 7:8], distance_quantiles(one, *(x[7:8] for x in measured))
    )


@pytest.fixture(scope="module")
def survey():
    model = xpfit.load_model(ROOT / "data" / "simulated_model.h5")
    simulated = simulate_survey(model, 1500, np.random.default_rng(3), SINGLE)
    stars = simulated.spectra
    without = stars.replace(parallax=np.full(1500, np.nan), parallax_err=np.full(1500, np.inf))
    fits = [
        (part, model.fit(part, progress=False, model_covariance=False)) for part in (stars, without)
    ]
    return model, simulated.truth, fits


def test_taking_the_parallax_out_gives_the_fit_without_it(survey):
    """Where the spectrum knows the parallax to 10 %, and both fits are in one mode."""
    model, _, ((stars, with_it), (without, alone)) = survey
    taken_out = spectrum_term(model, with_it, stars.parallax, stars.parallax_err)
    direct = spectrum_term(model, alone, without.parallax, without.parallax_err)
    good = (with_it.status == 0) & (alone.status == 0) & (direct.error < 0.1)
    assert good.sum() > 150
    difference = ((taken_out.estimate - direct.estimate) / direct.error)[good]
    assert abs(np.median(difference)) < 0.1 and np.median(np.abs(difference)) < 0.25
    assert np.median((taken_out.error / direct.error)[good]) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(
        direct.error[good], (alone.error("parallax") / alone["parallax"])[good], rtol=1e-6
    )


@pytest.mark.parametrize("with_parallax", [True, False])
def test_intervals_hold_two_thirds_of_the_truth_and_medians_are_unbiased(survey, with_parallax):
    """Types are drawn from the model's prior, as those of an observed sample are."""
    model, truth, fits = survey
    stars, result = fits[0 if with_parallax else 1]
    term = spectrum_term(model, result, stars.parallax, stars.parallax_err)
    measured = stars.parallax, stars.parallax_err
    good, distance = result.status == 0, 1.0 / truth["parallax"]
    low, median, high = distance_quantiles(term, *measured)[:, good]
    inside = (low < distance[good]) & (distance[good] < high)
    assert inside.mean() == pytest.approx(0.68, abs=0.06)
    assert np.mean(median < distance[good]) == pytest.approx(0.5, abs=0.06)
    # What speaks against counting the volume twice: too far, and overconfident.
    low, median, high = distance_quantiles(term, *measured, prior="uniform")[:, good]
    assert np.mean(median > distance[good]) > 0.6
    assert np.mean((low < distance[good]) & (distance[good] < high)) < 0.62


def test_tension_of_single_stars_is_a_standard_normal(survey):
    model, _, ((stars, result), _) = survey
    term = spectrum_term(model, result, stars.parallax, stars.parallax_err)
    tension = parallax_tension(term, stars.parallax, stars.parallax_err)[result.status == 0]
    assert abs(np.median(tension)) < 0.15
    assert 1.4826 * np.median(np.abs(tension)) == pytest.approx(1.0, abs=0.2)


def test_tension_is_the_difference_of_two_measurements_in_their_common_error():
    """For a spectrum that says 2.2 +- 0.05 and an observation of 2 +- 0.03 mas."""
    weights = np.array([0.05, 0.03]) ** -2.0
    best = np.sum(weights * [2.2, 2.0]) / weights.sum()
    slope = best * (best - 2.0) / 0.03**2
    term = SpectrumTerm(np.log([best]), np.array([slope]), np.array([(best / 0.05) ** 2]))
    found = parallax_tension(term, np.array([2.0]), np.array([0.03]))
    assert found[0] == pytest.approx(0.2 / np.hypot(0.05, 0.03))
    unknown = parallax_tension(term, np.array([np.nan]), np.array([np.inf]))
    assert np.isnan(unknown[0])


def test_twins_are_in_tension(survey):
    model = survey[0]
    twins = SurveySettings(
        binary_fraction=1.0, twin_fraction=1.0, wrong_label_fraction=0.0, g_limits=(9.0, 13.0)
    )
    simulated = simulate_survey(model, 600, np.random.default_rng(5), twins)
    stars = simulated.spectra
    result = model.fit(stars, progress=False, model_covariance=False)
    term = spectrum_term(model, result, stars.parallax, stars.parallax_err)
    tension = parallax_tension(term, stars.parallax, stars.parallax_err)
    twin = (simulated.truth["mass_ratio"] > 0) & (result.status == 0)
    single = (simulated.truth["mass_ratio"] == 0) & (result.status == 0)
    assert twin.sum() > 100 and np.median(tension[twin]) > 1.5
    assert abs(np.median(tension[single])) < 0.3
    # The residual of ZGR23's eq. 26 cannot see them: the fit follows a precise parallax.
    pull = np.abs(result["parallax"] - stars.parallax)[twin] / stars.parallax_err[twin]
    assert np.median(pull) < 0.5 * np.median(tension[twin])


def test_priors_of_fits_have_their_slopes(absolute_model):
    assert prior_slope(absolute_model) == 1.0
