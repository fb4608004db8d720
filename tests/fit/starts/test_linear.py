"""Linear least squares in ln varpi and E, against numpy's."""

import numpy as np

from xpfit.fit.starts.linear import dot, project_out


def test_projection_and_dot_products_solve_the_least_squares_problem(rng):
    amplitude, dust, target = rng.standard_normal((3, 4, 20))
    (per_extinction, rest), (coefficient, left) = project_out(amplitude, dust, target)
    extinction = dot(left, rest) / dot(rest, rest)
    for star in range(4):
        matrix = np.column_stack([amplitude[star], dust[star]])
        expected = np.linalg.lstsq(matrix, target[star], rcond=None)[0]
        found = coefficient[star] - per_extinction[star] * extinction[star], extinction[star]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_several_rows_are_projected_like_one(rng):
    amplitude, rows = rng.standard_normal((4, 20)), rng.standard_normal((4, 3, 20))
    coefficients, rest = project_out(amplitude, rows)[0]
    for i in range(3):
        one, left = project_out(amplitude, rows[:, i])[0]
        np.testing.assert_allclose(coefficients[:, i], one, rtol=1e-12)
        np.testing.assert_allclose(rest[:, i], left, rtol=1e-12)


def test_an_amplitude_without_weight_leaves_values_unchanged(rng):
    values = rng.standard_normal((4, 20))
    coefficient, rest = project_out(np.zeros((4, 20)), values)[0]
    np.testing.assert_array_equal(coefficient, 0.0)
    np.testing.assert_array_equal(rest, values)
