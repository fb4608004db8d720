import numpy as np
import pytest
from isochrone_files import AGES, write_isochrones

from xpfit.prepare.luminosities.masses import (
    LN_TEFF_WIDTH,
    LOGG_WIDTH,
    MAX_DISTANCE,
    isochrone_masses,
    masses_at,
    point_weights,
)
from xpfit.read import read_isochrones


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return read_isochrones(write_isochrones(tmp_path_factory.mktemp("grid") / "g.h5"))


@pytest.fixture(scope="module")
def table(grid):
    return isochrone_masses(grid)


def stars(*triples):
    return np.array(triples, dtype=float).T


def brute_force(grid, feh, teff, logg):
    """Mean and variance of ln initial mass over the points of one [Fe/H]."""
    here = grid.feh == feh
    here = here[grid.feh_index]
    x = (np.log(grid.teff[here]) - np.log(teff)) / LN_TEFF_WIDTH
    y = (grid.logg[here] - logg) / LOGG_WIDTH
    mass = grid.initial_mass[here]
    age_spacing = np.array([3.0, 3.5, 4.0])[grid.age_index[here]]
    weight = mass**-2.35 * age_spacing * np.exp(-0.5 * (x**2 + y**2))
    ends = np.isin(mass, [grid.initial_mass.min(), grid.initial_mass.max()])
    weight[ends] *= 0.5
    mean = np.average(np.log(mass), weights=weight)
    return mean, np.average((np.log(mass) - mean) ** 2, weights=weight)


@pytest.mark.parametrize("star", [(5.772, 4.438), (5.6, 4.4), (6.1, 4.3), (5.9, 4.2)])
def test_mean_and_variance_are_those_of_the_sum_over_all_points(grid, table, star):
    found = masses_at(table, *stars((0.0, *star)))
    mean, variance = brute_force(grid, 0.0, *star)
    assert found.ln_mass[0] == pytest.approx(mean, abs=3e-3)
    assert found.variance[0] == pytest.approx(variance, rel=0.15)


def test_masses_between_metallicities_are_interpolated(table):
    low, middle, high = masses_at(
        table, *stars((0.0, 5.8, 4.4), (0.125, 5.8, 4.4), (0.5, 5.8, 4.4))
    ).ln_mass
    assert middle == pytest.approx(0.75 * low + 0.25 * high)


def test_gradient_is_that_of_finite_differences(table, rng):
    star = np.array([0.2, np.log(5.8123), 4.4021])
    at = lambda s: masses_at(table, s[:1], np.exp(s[1:2]), s[2:])  # noqa: E731
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-6
        difference = (at(star + step).ln_mass - at(star - step).ln_mass) / 2e-6
        np.testing.assert_allclose(at(star).gradient[:, k], difference, rtol=1e-4)


def test_stars_off_the_isochrones_have_no_mass(table):
    # Isochrones of [M/H] = 0 at 5772 K have log g of 4.3 to 4.5.
    found = masses_at(table, *stars((0, 5.772, 4.4), (0, 5.772, 3.9), (0, 4.0, 4.5), (2, 5.8, 4.4)))
    np.testing.assert_array_equal(found.covered, [True, False, False, False])
    np.testing.assert_array_equal(np.isfinite(found.ln_mass), found.covered)


def test_the_limit_is_in_standard_deviations_of_the_smoothing(grid, table):
    here = (grid.feh_index == 1) & (grid.age_index == 2)
    # Below the isochrones, at the coolest point of the oldest: far from all others.
    teff, logg = grid.teff[here][0], grid.logg[grid.feh_index == 1].max()
    for off, covered in ((MAX_DISTANCE - 0.6, True), (MAX_DISTANCE + 0.6, False)):
        found = masses_at(table, *stars((0.0, teff, logg + off * LOGG_WIDTH)))
        assert found.covered[0] == covered


def test_unknown_labels_give_no_mass(table):
    found = masses_at(table, *stars((np.nan, 5.8, 4.4), (0.0, np.nan, 4.4), (0.0, 5.8, np.nan)))
    assert not found.covered.any() and np.isnan(found.gradient).all()


def test_metallicities_just_beyond_the_grid_use_its_last_isochrones(table):
    edge, beyond = masses_at(table, *stars((0.5, 5.8, 4.4), (0.8, 5.8, 4.4))).ln_mass
    assert beyond == edge


def test_weights_count_stars_of_the_right_phases_and_ages(tmp_path):
    def change(content):
        content["values"][
            60:120, 6
        ] = -1  # the second age of the first [Fe/H]: before the main sequence
        content["age_values"] = content["age_values"].copy()
        content["age_values"][0] = 8.0  # too young

    grid = read_isochrones(write_isochrones(tmp_path / "g.h5", name="MIST", change=change))
    counted = np.bincount(grid.feh_index * 3 + grid.age_index, point_weights(grid)) > 0
    np.testing.assert_array_equal(counted.reshape(3, 3), [[0, 0, 1], [0, 1, 1], [0, 1, 1]])


def test_weights_are_imf_times_spacings(grid):
    weights = point_weights(grid).reshape(3, 3, 60)
    mass = grid.initial_mass[:60]
    assert weights[0, 0, 20] / weights[0, 0, 30] == pytest.approx(
        (mass[20] / mass[30]) ** -2.35, rel=1e-4
    )
    assert weights[0, 2, 20] / weights[0, 0, 20] == pytest.approx(
        (AGES[2] - AGES[1]) / (AGES[1] - AGES[0]), rel=1e-4
    )
