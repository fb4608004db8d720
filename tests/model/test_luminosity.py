"""The error of the emulator's luminosity, and the parallax of stars that it leaves."""

import array_api_strict
import numpy as np
import pytest

from xpfit.model.luminosity import (
    LuminosityError,
    parallax_given_amplitude,
    split_amplitude,
    type_weights,
)

TYPES, WIDTH = np.array([[5.0, 2.5], [6.0, 4.3]]), np.array([0.5, 0.3])


@pytest.fixture
def stars(rng):
    """Amplitudes, parallaxes (some negative, some without), errors from 0.01 % to far too large."""
    n = 400
    u, ln_error = rng.normal(0.0, 2.0, n), 10.0 ** rng.uniform(-3.0, -0.3, n)
    error = 10.0 ** rng.uniform(-4.0, 1.0, n)
    observed = np.exp(u + 2.0 * ln_error * rng.standard_normal(n)) + error * rng.standard_normal(n)
    error[::10], observed[::10] = np.inf, np.nan
    assert np.sum(observed < 0) > 20
    return u, observed, error, ln_error


@pytest.mark.parametrize("flat", [True, False])
def test_the_parallax_is_at_the_minimum_of_its_loss(stars, flat):
    u, observed, error, ln_error = stars
    t, curvature = parallax_given_amplitude(*stars, flat)

    def loss(t):
        measured = np.where(np.isfinite(error), (np.exp(t) - observed) / error, 0.0)
        return measured**2 + ((t - u) / ln_error) ** 2 - 2.0 * flat * t

    assert np.isfinite(t).all() and np.all(curvature > 0)
    for step in (1e-3, 0.1, 1.0):
        width = step * ln_error / np.sqrt(curvature)
        assert np.all(loss(t) < loss(t + width)) and np.all(loss(t) < loss(t - width))


def test_the_curvature_gives_the_error(stars):
    step = 1e-4
    u, observed, error, ln_error = stars
    _, curvature = parallax_given_amplitude(*stars, True)
    higher, _ = parallax_given_amplitude(u + step * ln_error, observed, error, ln_error, True)
    lower, _ = parallax_given_amplitude(u - step * ln_error, observed, error, ln_error, True)
    slope = (higher - lower) / (2.0 * step * ln_error)
    np.testing.assert_allclose(slope, 1.0 / curvature, rtol=1e-4, atol=1e-8)


def test_array_code_is_generic(stars):
    theirs = parallax_given_amplitude(*map(array_api_strict.asarray, stars), False)
    for mine, other in zip(parallax_given_amplitude(*stars, False), theirs, strict=True):
        np.testing.assert_allclose(np.asarray(other), mine, rtol=1e-12)


def test_a_certain_luminosity_leaves_the_amplitude(stars):
    u, observed, error, _ = stars
    t, ln_err = split_amplitude(u, observed, error, np.zeros_like(u), True)
    np.testing.assert_array_equal(t, u)
    np.testing.assert_array_equal(ln_err, 0.0)


def test_errors_are_those_of_the_types_and_lie_between_elsewhere():
    error = LuminosityError(TYPES, WIDTH, np.array([0.2, 0.4]))
    np.testing.assert_allclose(error(TYPES), [0.2, 0.4], rtol=1e-3)
    between = error(np.array([[5.5, 3.4]]))[0]
    assert between == pytest.approx(np.sqrt(0.5 * (0.2**2 + 0.4**2)))
    # Far from all types, the nearest one counts.
    assert error(np.array([[20.0, 9.0]]))[0] == pytest.approx(0.4)


def test_weights_sum_to_one_and_ignore_labels_of_infinite_width(rng):
    labels = rng.normal([5.5, 3.0, 0.0], [1.0, 1.0, 5.0], (50, 3))
    types = np.column_stack([TYPES, np.zeros(2)])
    weights = type_weights(labels, types, np.append(WIDTH, np.inf))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights, type_weights(labels[:, :2], TYPES, WIDTH))
