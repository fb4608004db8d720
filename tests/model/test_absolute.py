"""Absolute magnitudes and luminosities of an absolute model, and their errors."""

from dataclasses import replace

import numpy as np
import pytest
from internal import coefficient_twin

import xpfit
from xpfit.constants import LN_PER_MAG, SOLAR_LUMINOSITY
from xpfit.model.absolute import (
    absolute_magnitude_g,
    extinction_in_g,
    ln_luminosity_with_error,
    model_ln_luminosity,
)


@pytest.fixture(scope="module")
def sunlike():
    return np.array([[5.77, 0.0, 4.44, 0.0, 1.0], [4.8, -0.2, 2.6, 0.3, 0.5]])


def test_without_dust_there_is_no_extinction_and_with_it_about_three_times_e(
    absolute_model, sunlike
):
    found = extinction_in_g(absolute_model, sunlike)
    assert abs(found[0]) < 1e-12
    # CCM89's curve with R(V) = 3.1 gives A_G / E(B-V) = 2.4 to 2.9.
    assert 2.3 < found[1] / 0.3 < 3.1


def test_extinction_per_dust_falls_as_dust_reddens_the_light(absolute_model, sunlike):
    star = np.repeat(sunlike[:1], 3, axis=0)
    star[:, 3] = 0.1, 1.0, 3.0
    per_dust = extinction_in_g(absolute_model, star) / star[:, 3]
    assert np.all(np.diff(per_dust) < 0)


def test_absolute_magnitude_is_that_at_ten_parsec(absolute_model, sunlike):
    covariance = np.zeros((2, 5, 5))
    covariance[:, 4, 4] = (0.01 * sunlike[:, 4]) ** 2
    magnitude, error = absolute_magnitude_g(
        absolute_model, sunlike, covariance, np.array([14.67, np.nan])
    )
    assert magnitude[0] == pytest.approx(14.67 - 10.0)
    assert error[0] == pytest.approx(2.0 * 0.01 / LN_PER_MAG, rel=1e-3)
    assert np.isnan(magnitude[1]) and np.isnan(error[1])


def test_errors_of_dust_and_distance_that_compensate_do_so(absolute_model, sunlike):
    """With the flux given, a star behind more dust is nearer: (d varpi / varpi) = R dE / 2 ln."""
    star = sunlike[1:]
    slope = (
        extinction_in_g(absolute_model, star + [0, 0, 0, 1e-4, 0])
        - extinction_in_g(absolute_model, star)
    ) / 1e-4
    d_parallax = star[0, 4] * 0.5 * LN_PER_MAG * slope[0]
    covariance = np.zeros((1, 5, 5))
    covariance[0, 3:, 3:] = 0.02**2 * np.outer([1.0, d_parallax], [1.0, d_parallax])
    g = np.array([12.0])
    _, together = absolute_magnitude_g(absolute_model, star, covariance, g)
    apart = covariance * np.eye(5)
    assert together[0] < 0.02 * absolute_magnitude_g(absolute_model, star, apart, g)[1][0]


def test_luminosity_is_the_integral_of_the_model_s_spectrum(absolute_model, sunlike):
    """Twice the flux at all wavelengths is twice the luminosity; the error is that of Teff."""
    labels = sunlike[:, :3]
    ln_l = model_ln_luminosity(absolute_model, labels)
    forward = replace(absolute_model.forward, parameters=absolute_model.forward.parameters.copy())
    _, bias = forward.output_layer.split(forward.weights[forward.network.slices[-1]])
    bias += np.log(2.0)
    brighter = model_ln_luminosity(replace(absolute_model, forward=forward), labels)
    np.testing.assert_allclose(brighter - ln_l, np.log(2.0), rtol=1e-9)
    assert SOLAR_LUMINOSITY == 3.828e26


def test_errors_of_luminosity_are_those_of_parallax_dust_and_bolometric_correction(
    absolute_model, sunlike
):
    covariance = np.zeros((2, 5, 5))
    covariance[:, 4, 4] = (0.01 * sunlike[:, 4]) ** 2
    value, error = ln_luminosity_with_error(absolute_model, sunlike, covariance, 0.3)
    np.testing.assert_allclose(value, model_ln_luminosity(absolute_model, sunlike[:, :3]) + 0.3)
    np.testing.assert_allclose(error, 0.02, rtol=1e-3)
    _, of_magnitude = absolute_magnitude_g(absolute_model, sunlike, covariance, np.ones(2))
    np.testing.assert_allclose(error, LN_PER_MAG * of_magnitude, rtol=1e-6)
    # Teff alone, at given G: the bolometric correction changes by little near 6000 K.
    covariance = np.zeros((2, 5, 5))
    covariance[:, 0, 0] = 0.05**2
    _, error = ln_luminosity_with_error(absolute_model, sunlike, covariance)
    assert error[0] < 0.015 and 0.01 < error[1] < 0.06


def test_models_of_shapes_have_no_luminosity(model, sunlike):
    assert np.isnan(model_ln_luminosity(model, sunlike[:, :3])).all()


def test_the_shipped_model_knows_the_sun():
    """To the accuracy of its luminosities, which its training decides."""
    model = xpfit.load_model()
    sun = np.array([[5.77, 0.0, 4.44, 0.0][: len(model.label_names)]])
    assert abs(model_ln_luminosity(model, sun)[0]) < 0.5


def test_stars_without_a_fit_are_unknown(absolute_model, sunlike):
    covariance = np.zeros((2, 5, 5))
    covariance[1] = np.nan
    value, error = ln_luminosity_with_error(absolute_model, sunlike, covariance)
    np.testing.assert_array_equal(np.isnan(value), [False, True])
    np.testing.assert_array_equal(np.isnan(error), [False, True])


def test_extinction_in_coefficient_space_is_that_in_sampled_space(absolute_model, sunlike):
    """BP and RP together see about what G does."""
    twin = coefficient_twin(absolute_model)
    dusty = np.tile(sunlike[1], (3, 1))
    dusty[:, 3] = 0.1, 0.3, 1.0
    found = extinction_in_g(twin, dusty) / extinction_in_g(absolute_model, dusty)
    np.testing.assert_allclose(found, 1.0, atol=0.05)
    assert np.isnan(model_ln_luminosity(twin, sunlike[:, :3])).all()
