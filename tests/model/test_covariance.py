from dataclasses import replace

import numpy as np
import pytest
from helpers import random_full_whiteners, simulate

from xpfit import Spectra
from xpfit.data.space import SampledSpace
from xpfit.fit.misfit import variance_factor
from xpfit.model.covariance import ModelCovariance
from xpfit.prepare import coefficient_space

N_OBS = 12


@pytest.fixture
def truth(rng):
    """A known covariance of rank two plus a diagonal, 1 % or so."""
    loadings = 0.01 * rng.standard_normal((N_OBS, 2))
    return ModelCovariance(loadings, 0.004**2 * rng.uniform(0.5, 1.5, N_OBS))


def draw(truth, n_star, rng, full):
    """Residuals of stars from well to badly measured, some values missing."""
    error = 10.0 ** rng.uniform(-3, -0.5, (n_star, 1)) * rng.uniform(0.7, 1.3, (n_star, N_OBS))
    variance = error**2
    noise = error * rng.standard_normal((n_star, N_OBS))
    if full:
        variance, whitener = random_full_whiteners(error, rng)
        noise = whitener.solve(rng.standard_normal((n_star, N_OBS)))
    emulator = rng.multivariate_normal(np.zeros(N_OBS), truth.matrix(), n_star)
    residual = emulator + noise
    residual[rng.random((n_star, N_OBS)) < 0.1] = np.nan
    return residual, variance


@pytest.mark.parametrize("full", [False, True])
def test_known_covariance_is_learned_from_noisy_stars(truth, rng, full):
    learned = ModelCovariance.fit(*draw(truth, 4000, rng, full), rank=4).matrix()
    scale = np.sqrt(np.diag(truth.matrix()))
    difference = (learned - truth.matrix()) / (scale[:, None] * scale)
    assert np.max(np.abs(difference)) < 0.25
    assert np.sqrt(np.mean(difference**2)) < 0.08


def test_it_is_positive_definite_even_where_there_is_nothing_to_learn(rng):
    nothing = ModelCovariance(np.zeros((N_OBS, 1)), np.full(N_OBS, 1e-12))
    learned = ModelCovariance.fit(*draw(nothing, 200, rng, False))
    assert np.linalg.eigvalsh(learned.matrix())[0] > 0
    assert np.sqrt(np.max(np.diag(learned.matrix()))) < 0.005


def test_channels_that_no_star_has_get_nothing(truth, rng):
    residual, variance = draw(truth, 300, rng, False)
    residual[:, 5] = np.nan
    learned = ModelCovariance.fit(residual, variance)
    assert not learned.matrix()[5].any() and not learned.matrix()[:, 5].any()


def test_a_few_wild_stars_change_little(truth, rng):
    residual, variance = draw(truth, 3000, rng, False)
    clean = ModelCovariance.fit(residual, variance).matrix()
    residual[:15] = 3.0
    wild = ModelCovariance.fit(residual, variance).matrix()
    assert np.max(np.diag(wild) / np.diag(clean)) < 1.3


@pytest.mark.parametrize("full", [False, True])
def test_chi2_is_that_of_the_summed_covariance(truth, rng, full):
    flux = rng.uniform(1.0, 5.0, (3, N_OBS))
    error = 0.02 * flux
    error[1, 4] = np.inf
    covariance, whitener = random_full_whiteners(0.02 * flux, rng)
    whitener = whitener.with_independent([4], error[:, [4]])
    covariance[:, 4, :] = covariance[:, :, 4] = 0.0
    covariance[:, 4, 4] = error[:, 4] ** 2
    space = 500.0 + np.arange(N_OBS)
    spectra = Spectra([1, 2, 3], space, flux, error, whitener if full else None)
    inflated = spectra.whitener.inflate(spectra.flux, truth.root())
    residual = rng.standard_normal((3, N_OBS)) * 0.02 * flux
    value = np.sum(inflated(residual) ** 2, axis=1)
    for i in range(3):
        used = np.isfinite(error[i])
        measured = covariance[i] if full else np.diag(error[i] ** 2)
        total = measured + np.outer(spectra.flux[i], spectra.flux[i]) * truth.matrix()
        total, r = total[np.ix_(used, used)], residual[i, used]
        assert value[i] == pytest.approx(r @ np.linalg.solve(total, r), rel=1e-9)
    assert not inflated.array[1, :, 4].any()


def test_root_is_lower_triangular_and_its_square_the_matrix(truth):
    root = truth.root()
    np.testing.assert_allclose(root @ root.T, truth.matrix(), rtol=1e-12, atol=1e-16)
    assert not np.triu(root, 1).any()


def test_coefficients_are_scaled_by_their_band_and_fluxes_by_themselves(rng):
    space = coefficient_space()
    predicted = rng.standard_normal((2, 115))
    scale = space.scale(predicted)
    np.testing.assert_allclose(scale[:, 3], np.linalg.norm(predicted[:, :55], axis=1))
    np.testing.assert_allclose(scale[:, 60], np.linalg.norm(predicted[:, 55:110], axis=1))
    np.testing.assert_array_equal(scale[:, 110:], predicted[:, 110:])
    flux = rng.standard_normal((2, 3))
    assert SampledSpace([500.0, 600.0, 700.0]).scale(flux) is flux


def test_an_emulator_with_known_errors_has_pulls_of_width_one(model):
    """The truth differs from the emulator by draws of its covariance; fits know that or do not."""
    rng = np.random.default_rng(3)
    covariance = ModelCovariance(
        0.02 * np.sin(np.linspace(0, 9, 66))[:, None] * model.trained_channels[:, None],
        0.01**2 * model.trained_channels,
    )
    truth, spectra = simulate(model, 300, rng, relative_error=0.002)
    factor = 1.0 + rng.multivariate_normal(np.zeros(66), covariance.matrix(), 300)
    spectra = replace(spectra, flux=spectra.flux * factor)
    known = replace(model, covariance=covariance)
    widths = {}
    for switch in (True, False):
        result = known.fit(spectra, n_jobs=2, progress=False, model_covariance=switch)
        # Without what the excess of chi2 adds, which would hide that the emulator is wrong.
        factor = np.sqrt(variance_factor(result.chi2, result.dof))[:, None]
        pull = (result.parameters - truth) / (result.errors / factor)
        widths[switch] = 1.4826 * np.median(np.abs(pull), axis=0)
    assert np.all((widths[True] > 0.8) & (widths[True] < 1.2)), widths[True]
    assert np.all(widths[False] > 2.0), widths[False]
