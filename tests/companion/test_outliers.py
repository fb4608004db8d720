from dataclasses import replace

import numpy as np
import pytest

import xpfit
from xpfit.companion import load_companion
from xpfit.companion.outliers import FALSE_ALARMS, OutlierDetector

N_INPUT = 12


def ordinary(n, rng):
    """Latent numbers in two groups, and residuals that are correlated."""
    group = rng.integers(2, size=n)[:, None]
    latent = rng.standard_normal((n, 2)) * 0.3 + np.where(group, 2.0, -2.0)
    common = rng.standard_normal((n, 1)) * np.linspace(-2, 2, N_INPUT)
    return latent, common + rng.standard_normal((n, N_INPUT))


@pytest.fixture(scope="module")
def detector():
    rng = np.random.default_rng(1)
    latent, residual = ordinary(20_000, rng)
    residual[:100] += 50.0  # what is odd in the training set is not to spoil it
    return OutlierDetector.learn(latent, residual, np.arange(100, 20_000, 3), rng)


def share_flagged(detector, latent, residual):
    return np.mean(detector.score(detector.statistics(latent, residual)) > detector.limit)


def test_two_per_cent_of_ordinary_stars_are_flagged(detector, rng):
    assert share_flagged(detector, *ordinary(20_000, rng)) == pytest.approx(FALSE_ALARMS, abs=0.005)


def test_each_number_sees_what_the_others_do_not(detector, rng):
    latent, residual = ordinary(2000, rng)
    one, all_, between = residual.copy(), residual.copy(), latent.copy()
    one[:, 5] += 6.0
    all_ += 2.0  # a shape that ordinary residuals do not have
    between[:] = 0.0  # common enough along each axis, but no star is there
    assert share_flagged(detector, latent, one) > 0.9
    assert share_flagged(detector, latent, all_) > 0.9
    assert share_flagged(detector, between, residual) > 0.9
    along = residual + 3.0 * np.linspace(-2, 2, N_INPUT)  # what ordinary residuals do, too
    assert share_flagged(detector, latent, along) < 0.6


def test_oddity_is_the_rarity_of_the_oddest_number(detector, rng):
    numbers = detector.statistics(*ordinary(40_000, rng))
    for row, values in enumerate(numbers):
        alone = np.full_like(numbers, -np.inf)
        alone[row] = values
        for rarity in (0.5, 1.0, 2.0):
            share = np.mean(detector.score(alone) > rarity)
            assert share == pytest.approx(10**-rarity, rel=0.25)


def test_the_odder_the_higher_without_end(detector, rng):
    latent, residual = ordinary(1, rng)
    oddities = [
        detector.score(detector.statistics(latent, residual + shift))[0] for shift in (5, 50, 500)
    ]
    assert oddities[0] < oddities[1] < oddities[2] and np.isfinite(oddities[2])


def test_the_deviation_of_one_value_given_all_others_is_that_of_a_regression(detector, rng):
    """The conditional mean of a Gaussian, worked out by solving for it."""
    residual = ordinary(1, rng)[1]
    covariance = np.linalg.inv(detector.precision)
    away = (residual - detector.mean)[0]
    for i in (0, 7):
        others = np.delete(np.arange(N_INPUT), i)
        inner = covariance[np.ix_(others, others)]
        weights = np.linalg.solve(inner, covariance[others, i])
        left = np.sqrt(covariance[i, i] - weights @ covariance[others, i])
        expected = (away[i] - weights @ away[others]) / left
        assert detector.deviations(residual)[0, i] == pytest.approx(expected, rel=1e-9)


def test_the_shipped_auto_encoder_finds_odd_spectra_among_stars_it_never_saw(companion_path):
    """Wrong bands, galaxies' colours, black bodies; sums of two stars less."""
    network = load_companion(companion_path.with_name("companion_svae.h5"))
    sample = companion_path.parent / "apogee_xp_sample.fits"
    stars = xpfit.read_spectra(sample, space=network.space)
    rng = np.random.default_rng(7)
    assert np.mean(network.predict(stars).is_outlier) < 0.035
    for name, flux in injected(stars, network.features_.channels, rng).items():
        found = np.mean(network.predict(replace(stars, flux=flux)).is_outlier)
        assert found > LEAST_FOUND[name], (name, found)


LEAST_FOUND = {"band": 0.88, "ten samples": 0.93, "redshift": 0.93, "black body": 0.98, "sum": 0.3}


def injected(stars, channels, rng):
    """Spectra that are no star's, or not a single one's."""
    n, at, band = len(stars), stars.space.wavelength, stars.space.is_band
    rows = np.arange(n)
    odd = {name: stars.flux.copy() for name in LEAST_FOUND}
    wrong = rng.choice(np.flatnonzero(channels & band), n)
    odd["band"][rows, wrong] *= rng.choice([1.5, 1 / 1.5], n)
    first = rng.integers(5, 90, n)
    redshift = rng.uniform(0.05, 0.3, n)
    pivot = int(np.argmin(np.abs(at - 680.0)))
    noise = rng.standard_normal(stars.flux.shape) * np.where(
        np.isfinite(stars.flux_err), stars.flux_err, 0.0
    )
    for i in range(n):
        odd["ten samples"][i, first[i] : first[i] + 10] *= 1.2
        moved = np.interp(at[~band] / (1 + redshift[i]), at[~band], stars.flux[i, ~band])
        odd["redshift"][i, ~band] = moved
        curve = 1.0 / (at**5 * np.expm1(1.43878e7 / (at * rng.uniform(7e3, 25e3))))
        odd["black body"][i] = curve / curve[pivot] * stars.flux[i, pivot] + noise[i]
    other = rng.permutation(n)
    level = np.median(stars.flux[:, 20:90], axis=1)
    odd["sum"] += stars.flux[other] * (level / level[other])[:, None]
    return odd
