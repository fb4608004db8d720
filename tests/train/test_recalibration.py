"""The factor between two releases: its equations, its error, and what it is learned from."""

import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, simulate

from xpfit.train import recalibration
from xpfit.train.linear import flux_and_jacobian
from xpfit.train.recalibration import KnownParameters, StarFlux, recalibrate, recalibrated
from xpfit.train.smooth import SIZE, best_smooth, spline_basis

ERROR = np.array([0.05, 0.05, 0.08, 0.03])
"""Of known labels and extinction, in kK, dex, mag."""


def ln_distortion(model):
    """ln of a flux that differs by 2 %, in the blue by 5 %, but in no photometric band."""
    x = (model.wavelength - 392.0) / 600.0
    smooth = 0.02 * np.sin(6.0 * x) + 0.05 * np.exp(-((x / 0.15) ** 2))
    return np.where(model.space.is_band, 0.0, smooth)


def stars_in_common(model, n_star, rng, less_extinction=0.0):
    """Distorted flux of stars whose labels and extinctions are known, and their true parameters."""
    truth, spectra = simulate(model, n_star, rng, relative_error=0.01)
    truth[:, 3] -= less_extinction
    factor = np.exp(less_extinction * model.forward.extinction_curve + ln_distortion(model))
    spectra = spectra.replace(flux=spectra.flux * factor)
    values, information = truth.copy(), np.zeros((n_star, truth.shape[1], truth.shape[1]))
    values[:, :4] += ERROR * rng.standard_normal((n_star, 4))
    information[:, np.arange(4), np.arange(4)] = ERROR**-2.0
    known = KnownParameters(values, information)
    kept = spectra.keep_channels(model.trained_channels)
    return truth, StarFlux(kept.flux.copy(), kept.whitener, known)


def channels_of(model):
    return model.trained_channels & ~model.space.is_band


def pulls_of(model, found):
    """Independent errors of a factor in units of those that it states, one for each coefficient."""
    channels = channels_of(model)
    off = (found.ln_factor - ln_distortion(model))[channels]
    left, size, _ = np.linalg.svd(found.root[channels], full_matrices=False)
    return left.T @ off / size


@pytest.mark.parametrize("extinction", [-0.1, 0.0, 0.4])
@pytest.mark.parametrize("name", ["model", "varying_model"])
def test_derivatives_by_linear_parameters_are_exact(request, name, extinction, rng):
    forward = request.getfixturevalue(name).forward
    star = np.array([5.0, -0.2, 3.0, extinction, 1.3, 0.4])[: forward.n_stellar]

    def flux(values):
        return flux_and_jacobian(forward, values[None])[0][0]

    exact = flux_and_jacobian(forward, star[None])[1][0].T
    assert_close_derivative(exact, numerical_gradient(flux, star))


def test_flux_in_linear_parameters_is_that_of_the_model(model, rng):
    truth, _ = simulate(model, 5, rng, relative_error=0.01)
    flux = flux_and_jacobian(model.forward, truth)[0]
    expected = model.forward.flux(model.forward.layout.to_theta(truth))
    np.testing.assert_allclose(flux, expected, rtol=1e-12)


def test_a_recalibrated_model_predicts_the_flux_times_the_factor(model, rng):
    truth, _ = simulate(model, 5, rng, relative_error=0.01)
    theta = model.forward.layout.to_theta(truth)
    new = recalibrated(model.forward, ln_distortion(model))
    expected = model.forward.flux(theta) * np.exp(ln_distortion(model))
    np.testing.assert_allclose(new.flux(theta), expected, rtol=1e-12)


def test_the_gradient_is_that_of_the_loss_at_the_best_parameters_of_each_star(model, rng):
    _, stars = stars_in_common(model, 3, rng)
    at = np.flatnonzero(channels_of(model))[::20]

    def best(ln_factor):
        values = recalibration._start(model.forward, stars)
        for _ in range(40):
            equations = recalibration._equations(
                model.forward, stars, (values, ln_factor), at, np.ones(3)
            )
            values = values + equations.steps
        return values, equations

    def loss(part):
        ln_factor = np.zeros(model.space.n_grid)
        ln_factor[at] = part
        values, _ = best(ln_factor)
        flux = flux_and_jacobian(model.forward, values)[0] * np.exp(ln_factor)
        off = stars.known.values - values
        chi2 = np.sum(stars.whitener(stars.flux - flux) ** 2)
        return np.array([chi2 + np.einsum("si,sij,sj", off, stars.known.information, off)])

    equations = best(np.zeros(model.space.n_grid))[1]
    numerical = numerical_gradient(loss, np.zeros(len(at)), step=1e-4)[0]
    assert_close_derivative(-2.0 * equations.gradient, numerical, tolerance=1e-4)


def test_the_factor_is_found_within_its_error_by_stars_some_of_which_are_wrong(model, rng):
    truth, stars = stars_in_common(model, 400, rng)
    stars.known.values[:12, :3] = truth[100:112, :3]
    stars.flux[12:20, 10:40] *= 1.5
    found = recalibrate(model.forward, stars, channels_of(model))
    assert np.all(found.ln_factor[~channels_of(model)] == 0.0)
    pulls = pulls_of(model, found)
    # The amplitudes are free, so that a constant factor is hardly known.
    assert np.sum(pulls**2) < 3.0 * len(pulls)
    assert np.std((found.ln_factor - ln_distortion(model))[channels_of(model)]) < 0.004
    assert np.median(found.weight[20:]) > 0.9 and np.median(found.weight[:20]) < 0.5


def test_the_error_of_the_factor_is_that_of_repeated_simulations(model):
    pulls = []
    for seed in range(6):
        _, stars = stars_in_common(model, 150, np.random.default_rng(seed))
        found = recalibrate(model.forward, stars, channels_of(model))
        pulls.append(pulls_of(model, found))
    assert 0.7 < np.sqrt(np.mean(np.concatenate(pulls) ** 2)) < 1.35


def test_splines_sum_to_one_and_a_straight_line_needs_few_knots(rng):
    wavelength = np.linspace(400.0, 1000.0, 61)
    np.testing.assert_allclose(spline_basis(wavelength, 7).sum(axis=1), 1.0)
    error = 0.001
    normal = np.eye(61) / error**2
    line, wave = 0.1 * np.log(wavelength / 700.0), 0.02 * np.sin(wavelength / 20.0)
    few, many = (
        best_smooth(wavelength, normal, normal @ (f + error * rng.standard_normal(61)))
        for f in (line, wave)
    )
    assert few.n_intervals <= 2 and many.n_intervals == 16
    off = (few.value - line) / np.linalg.norm(few.root, axis=1)
    assert np.sqrt(np.mean(off**2)) < 2.5


def test_without_data_the_factor_is_as_uncertain_as_its_prior():
    wavelength = np.linspace(400.0, 1000.0, 61)
    nothing = best_smooth(wavelength, np.zeros((61, 61)), np.zeros(61))
    assert np.all(nothing.value == 0.0) and 0.5 * SIZE < np.linalg.norm(nothing.root[30]) <= SIZE


def test_stars_without_dust_give_the_factor_without_bias(model):
    """Fits that kept E positive would find more dust than there is, on average, and change R."""
    pulls = []
    for seed in range(4):
        _, stars = stars_in_common(model, 150, np.random.default_rng(seed), less_extinction=0.55)
        pulls.append(pulls_of(model, recalibrate(model.forward, stars, channels_of(model))))
    assert np.mean(stars.known.values[:, 3] < 0) > 0.4
    assert np.sqrt(np.mean(np.concatenate(pulls) ** 2)) < 1.4
