import numpy as np
import pytest
from scipy.stats import multivariate_normal

from xpfit.prepare.label_scales import fit_scales
from xpfit.prepare.label_scales.likelihood import (
    CommonStars,
    Parameters,
    disagreement,
    minus_two_ln_likelihood,
)
from xpfit.prepare.label_scales.links import chains, common_counts


@pytest.fixture
def stars(rng):
    """Twelve stars, all measured by the first survey, and each by one or both of two others."""
    variance = rng.uniform(0.05, 0.3, (12, 3)) ** 2
    variance[:4, 1] = np.inf
    variance[8:, 2] = np.inf
    group = np.repeat([0, 1, 2], 4)
    values = np.where(np.isfinite(variance), rng.normal(size=(12, 3)), 0.0)
    return CommonStars(values, variance, group)


@pytest.fixture
def parameters(rng):
    return Parameters(
        offset=np.array([0.0, 0.2, -0.3]),
        slope=np.array([0.0, 0.1, -0.15]),
        scatter2=np.array([0.0, 0.02, 0.05]),
        mean=rng.normal(size=3) * 0.2,
        ln_variance=np.array([-0.3, 0.2, 0.4]),
    )


def test_the_likelihood_is_that_of_a_dense_gaussian(stars, parameters):
    value, _ = minus_two_ln_likelihood(stars, parameters)
    beta = 1.0 + parameters.slope
    for i, group in enumerate(stars.group):
        has = np.isfinite(stars.variance[i])
        mean = parameters.offset + beta * parameters.mean[group]
        covariance = np.exp(parameters.ln_variance[group]) * np.outer(beta, beta)
        covariance = covariance[np.ix_(has, has)]
        covariance += np.diag((stars.variance[i] + parameters.scatter2)[has])
        expected = multivariate_normal(mean[has], covariance).logpdf(stars.values[i, has])
        constant = has.sum() * np.log(2 * np.pi)
        np.testing.assert_allclose(value[i], -2 * expected - constant, rtol=1e-10)


def test_derivatives_of_the_likelihood_are_those_of_finite_differences(stars, parameters):
    _, gradient = minus_two_ln_likelihood(stars, parameters)
    vector = parameters.vector()
    for i in range(len(vector)):
        step = np.where(np.arange(len(vector)) == i, 1e-5, 0.0)
        above, below = (
            minus_two_ln_likelihood(stars, Parameters.of_vector(vector + s, 3))[0]
            for s in (step, -step)
        )
        np.testing.assert_allclose(gradient[:, i], (above - below) / 2e-5, rtol=1e-5, atol=1e-6)


def test_disagreement_is_that_of_the_best_common_label(stars, parameters):
    chi2 = disagreement(stars, parameters)
    beta, x = 1.0 + parameters.slope, np.linspace(-5, 5, 200_001)
    has = np.isfinite(stars.variance[5])
    weight = 1.0 / (stars.variance[5] + parameters.scatter2)[has]
    left = (stars.values[5] - parameters.offset)[has, None] - beta[has, None] * x
    np.testing.assert_allclose(chi2[5], (weight[:, None] * left**2).sum(axis=0).min(), rtol=1e-6)


def test_chains_prefer_the_most_stars_in_common():
    counts = np.array([[900, 30, 500, 0], [30, 900, 200, 80], [500, 200, 900, 0], [0, 80, 0, 90]])
    parent, weakest = chains(counts, 0)
    np.testing.assert_array_equal(parent, [0, 2, 0, 1])
    np.testing.assert_array_equal(weakest, [900, 200, 500, 80])


def test_stars_in_common_are_counted():
    measured = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], dtype=bool)
    np.testing.assert_array_equal(common_counts(measured), [[2, 2, 1], [2, 2, 1], [1, 1, 2]])


def three_surveys(n, rng, *, chain=False, outliers=0.0):
    """Temperatures of dwarfs and giants; in a chain the first and the third share no star."""
    x = np.where(rng.random(n) < 0.4, rng.normal(4700, 200, n), rng.normal(5900, 400, n))
    error = rng.uniform([15, 30, 60], [35, 70, 120], (n, 3))
    noise = np.hypot(error, [0.0, 30.0, 60.0]) * rng.standard_normal((n, 3))
    y = 5400 + OFFSET + (1 + SLOPE) * (x[:, None] - 5400) + noise
    y[rng.random((n, 3)) < outliers] += 1500.0
    if chain:
        first = rng.random(n) < 0.5
        y[first, 2], y[~first, 0] = np.nan, np.nan
    return y, error


OFFSET, SLOPE = np.array([0.0, 80.0, -120.0]), np.array([0.0, 0.04, -0.06])


@pytest.mark.parametrize(
    "chain", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["all", "chain"]
)
def test_offsets_slopes_and_their_errors_over_many_seeds(chain):
    """Pulls of 40 simulations: standard deviations of 1 within 3 sigma (0.11 each)."""
    pulls = []
    for seed in range(40):
        y, error = three_surveys(400, np.random.default_rng(seed), chain=chain)
        fit = fit_scales(y, error, 0)
        sigma = np.sqrt(np.diagonal(fit.covariance, axis1=1, axis2=2))[1:]
        offset = OFFSET + SLOPE * (fit.pivot - 5400)
        scatter2 = np.array([0.0, 30.0, 60.0]) ** 2
        off = np.stack([fit.offset - offset, fit.slope - SLOPE, fit.scatter**2 - scatter2], axis=1)
        found = sigma[:, 2] > 0
        pulls.append(np.where(sigma > 0, off[1:] / np.where(sigma > 0, sigma, 1), np.nan))
        assert found.any()
    pulls = np.array(pulls)
    assert np.all(np.abs(np.nanmean(pulls, axis=0)) < 0.55)
    width = np.nanstd(pulls[:, :, :2], axis=0)
    assert np.all((width > 0.67) & (width < 1.33))
    assert 0.8 < np.sqrt(np.mean(width**2)) < 1.2


def test_outliers_change_little():
    y, error = three_surveys(800, np.random.default_rng(3))
    clean = fit_scales(y, error, 0)
    wrong = np.random.default_rng(4).random(len(y)) < 0.03
    y[wrong, 1] += 2000.0
    fit = fit_scales(y, error, 0)
    sigma = np.sqrt(np.diagonal(clean.covariance, axis1=1, axis2=2))[1:]
    assert fit.n_outlier[1] >= wrong.sum()
    assert np.all(np.abs(fit.offset - clean.offset)[1:] < 1.5 * sigma[:, 0])
    assert np.all(np.abs(fit.slope - clean.slope)[1:] < 1.5 * sigma[:, 1])


def test_few_stars_give_an_offset_and_no_slope():
    y, error = three_surveys(60, np.random.default_rng(5))
    fit = fit_scales(y[:, :2], error[:, :2], 0)
    assert fit.slope[1] == 0 and fit.covariance[1, 1, 1] == 0
    assert fit.covariance[1, 0, 0] > 0 and fit.offset[1] > 0
