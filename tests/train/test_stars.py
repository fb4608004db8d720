import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, random_full_whiteners, simulate

from xpfit.train import stars as stars_module
from xpfit.train.stars import StarConstraints, stellar_loss, update_stars


@pytest.fixture
def case(model, rng):
    """Stars, their noisy spectra and labels, and a start well away from the best fit."""
    truth, spectra = simulate(model, 30, rng, relative_error=0.01)
    error = np.array([0.05, 0.05, 0.1])
    constraints = StarConstraints(
        truth[:, :3] + error * rng.standard_normal((30, 3)),
        np.tile(error, (30, 1)),
        truth[:, 3] + 0.05 * rng.standard_normal(30),
        np.full(30, 0.05),
    )
    constraints.extinction_err[:3], constraints.extinction[:3] = np.inf, np.nan
    theta = np.column_stack([constraints.labels, np.log(truth[:, 3:])])
    theta += 0.1 * rng.standard_normal(theta.shape)
    return theta, truth, spectra, constraints


def test_loss_is_equation_13_without_the_amplitude_s_terms(model, case):
    theta, _, spectra, known = case
    loss = stellar_loss(model.forward, theta, spectra.flux, spectra.whitener, known)
    extinction = np.exp(theta[:, 3])
    residual = (model.forward.flux(theta) - spectra.flux)[:, :64] / spectra.flux_err[:, :64]
    expected = np.sum(residual**2, axis=1)
    expected += np.sum(((theta[:, :3] - known.labels) / known.label_err) ** 2, axis=1)
    pull = (extinction - known.extinction) / known.extinction_err
    expected += np.where(np.isfinite(known.extinction_err), pull, 0.0) ** 2
    np.testing.assert_allclose(loss, expected - 2.0 * theta[:, 3], rtol=1e-10)


def test_gradient_of_the_stellar_loss(model, case):
    theta, _, spectra, known = case
    gradient, _ = stars_module._loss_derivatives(
        model.forward, theta, spectra.flux, spectra.whitener, known
    )
    for i in (0, 7):  # without and with an estimate of extinction
        rows = slice(i, i + 1)
        numerical = numerical_gradient(
            lambda t, rows=rows: stellar_loss(
                model.forward, t[None], spectra.flux[rows], spectra.whitener[rows], known[rows]
            )[0],
            theta[i],
        )
        assert_close_derivative(gradient[i], numerical)


def test_update_never_raises_the_loss_of_a_star(model, case, rng):
    theta, _, spectra, known = case
    theta = theta + rng.standard_normal(theta.shape) * [1.0, 0.5, 1.0, 1.0, 1.0]
    data = (spectra.flux, spectra.whitener, known)
    before = stellar_loss(model.forward, theta, *data)
    for n_iterations in (1, 2, 5, 20):
        after = stellar_loss(
            model.forward, update_stars(model.forward, theta, *data, n_iterations), *data
        )
        assert np.all(after <= before)


def test_update_reaches_a_minimum(model, case):
    theta, _, spectra, known = case
    data = (spectra.flux, spectra.whitener, known)
    best = update_stars(model.forward, theta, *data, 40)
    gradient, hessian = stars_module._loss_derivatives(model.forward, best, *data)
    promised = 0.5 * np.einsum("sk,skl,sl->s", gradient, np.linalg.inv(hessian), gradient)
    assert np.all(promised < 1e-4)


def test_updated_labels_are_closer_to_the_truth_than_the_measured(model, case):
    theta, truth, spectra, known = case
    best = update_stars(model.forward, theta, spectra.flux, spectra.whitener, known, 40)
    fitted, measured = best[:, :3] - truth[:, :3], known.labels - truth[:, :3]
    assert np.all(np.std(fitted, axis=0) < 0.8 * np.std(measured, axis=0))


def test_no_iterations_change_nothing(model, case):
    theta, _, spectra, known = case
    same = update_stars(model.forward, theta, spectra.flux, spectra.whitener, known, 0)
    np.testing.assert_array_equal(same, theta)


def test_chunks_do_not_matter(model, case, monkeypatch):
    theta, _, spectra, known = case
    data = (spectra.flux, spectra.whitener, known, 5)
    whole = update_stars(model.forward, theta, *data)
    monkeypatch.setattr(stars_module, "CHUNK", 7)
    np.testing.assert_allclose(update_stars(model.forward, theta, *data), whole, rtol=1e-10)


def test_full_whiteners_work_like_diagonal_ones(model, case):
    theta, _, spectra, known = case
    full = np.zeros((30, 66, 66))
    full[:, np.arange(66), np.arange(66)] = spectra.whitener
    diagonal = update_stars(model.forward, theta, spectra.flux, spectra.whitener, known, 5)
    same = update_stars(model.forward, theta, spectra.flux, full, known, 5)
    np.testing.assert_allclose(same, diagonal, rtol=1e-9)


def test_correlated_errors_are_heeded(model, case, rng):
    theta, _, spectra, known = case
    error = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 1e6)
    _, whitener = random_full_whiteners(error, rng)
    data = (spectra.flux, whitener, known)
    best = update_stars(model.forward, theta, *data, 10)
    before, after = (stellar_loss(model.forward, t, *data) for t in (theta, best))
    assert np.all(after < before)
