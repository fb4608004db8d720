from pathlib import Path

import numpy as np
import pytest
from isochrone_files import write_isochrones

from xpfit import InputError
from xpfit.prepare import LuminosityFlag, isochrone_masses, spectroscopic_luminosities
from xpfit.prepare.luminosities.estimate import ONE_GRID_ERROR, metallicity
from xpfit.quantities import LABELS
from xpfit.read import read_isochrones

ISOCHRONES = Path(__file__).resolve().parents[3] / "data" / "library" / "isochrones"
ERRORS = {"teff": 0.05, "feh": 0.05, "logg": 0.05, "alpha_m": 0.03}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two sets of isochrones; of the second, stars of a type are 5 % heavier."""
    path = tmp_path_factory.mktemp("grids") / "g.h5"

    def heavier(content):
        content["values"][:, 5] += np.log10(1.05)

    first = isochrone_masses(read_isochrones(write_isochrones(path)))
    return first, isochrone_masses(read_isochrones(write_isochrones(path, change=heavier)))


@pytest.fixture(scope="module")
def real_tables():
    paths = sorted(ISOCHRONES.glob("*.h5"))
    if not paths:
        pytest.skip("needs isochrones: python scripts/make_luminosities.py")
    return [isochrone_masses(read_isochrones(path)) for path in paths]


def estimate(tables, *stars, errors=ERRORS):
    columns = dict(zip(LABELS, np.array(stars, dtype=float).T, strict=True))
    err = {name: np.full(len(stars), errors[name]) for name in LABELS}
    return spectroscopic_luminosities(columns, err, tables)


def test_sun_has_its_luminosity(real_tables):
    sun = estimate(real_tables, (5.772, 0.0, 4.438, 0.0))
    # Stars like it of all ages have 0.97 solar masses.
    assert sun.ln_luminosity[0] == pytest.approx(0.0, abs=0.05)
    assert abs(sun.ln_luminosity[0]) < 1.5 * sun.conditional_error[0]
    assert sun.flags[0] == 0


def test_red_clump_star_has_the_luminosity_of_the_clump(real_tables):
    # Arcturus is more luminous; the clump is at log L = 1.6 to 1.8.
    clump = estimate(real_tables, (4.75, -0.1, 2.42, 0.02))
    assert 1.6 < clump.ln_luminosity[0] / np.log(10) < 1.85
    assert 0.1 < clump.error[0] < 0.4


def test_arcturus(real_tables):
    # Ramirez & Allende Prieto (2011): 4286 K, 1.66, -0.52, +0.4; angular diameter and parallax give
    # log L = 2.24.
    arcturus = estimate(real_tables, (4.286, -0.52, 1.66, 0.35))
    found = arcturus.ln_luminosity[0] / np.log(10)
    assert abs(found - 2.24) < 2 * arcturus.error[0] / np.log(10)


def test_stars_no_isochrone_reaches_are_flagged(real_tables):
    found = estimate(real_tables, (8.0, 0.0, 2.0, 0.0), (5.772, 0.0, 4.438, 0.0))
    np.testing.assert_array_equal(found.flags, [LuminosityFlag.OFF_ISOCHRONES, 0])
    assert np.isnan(found.ln_luminosity[0]) and np.isnan(found.error[0])


def test_luminosity_is_mass_times_surface(tables):
    found = estimate(tables[:1], (5.772, 0.0, 4.438, 0.0)).ln_luminosity[0]
    assert found == pytest.approx(np.log(0.97), abs=0.03)


def test_sets_of_isochrones_are_averaged_and_their_difference_is_an_error(tables):
    star = (5.8, 0.0, 4.4, 0.0)
    first, second, both = (estimate(t, star) for t in (tables[:1], tables[1:], tables))
    assert second.ln_luminosity - first.ln_luminosity == pytest.approx(np.log(1.05), abs=1e-3)
    assert both.ln_luminosity == pytest.approx(0.5 * (first.ln_luminosity + second.ln_luminosity))
    spread = np.sqrt(first.conditional_error**2 - ONE_GRID_ERROR**2)
    assert both.conditional_error == pytest.approx(np.hypot(spread, 0.5 * np.log(1.05)), rel=1e-2)
    assert first.flags[0] == LuminosityFlag.ONE_GRID and both.flags[0] == 0


def test_derivatives_are_those_of_finite_differences(tables):
    star = np.array([5.8123, 0.07, 4.4021, 0.11])
    found = estimate(tables, star)
    for k in range(4):
        step = 1e-6 * np.eye(4)[k]
        high, low = (estimate(tables, star + s * step).ln_luminosity for s in (1, -1))
        np.testing.assert_allclose(found.derivative[:, k], (high - low) / 2e-6, rtol=1e-3)


def test_errors_of_labels_add_to_the_conditional_error(tables):
    star = (5.8, 0.0, 4.4, 0.0)
    precise = estimate(tables, star, errors=dict.fromkeys(LABELS, 1e-9))
    found = estimate(tables, star)
    labels = np.sum((found.derivative[0] * list(ERRORS.values())) ** 2)
    assert precise.error == pytest.approx(precise.conditional_error)
    assert found.error**2 == pytest.approx(precise.error**2 + labels)


def test_errors_cover_the_truth_of_simulated_stars(tables, rng):
    """Stars on the isochrones of the first set, with noisy labels: pulls have unit width."""
    n = 4000
    mass, age = rng.uniform(0.85, 1.15, n), rng.choice([1.0, 4.0, 8.0], n)
    teff = 5.772 * mass**0.5 * 10 ** (0.002 * age)
    logg = 4.438 - 2.0 * np.log10(mass) - 0.02 * age
    truth = np.log(mass) + 4 * np.log(teff / 5.772) - np.log(10) * (logg - 4.438)
    labels = np.column_stack([teff, np.zeros(n), logg, np.zeros(n)])
    noisy = labels + rng.normal(size=(n, 4)) * [0.05, 0.0, 0.05, 0.0]
    errors = {"teff": 0.05, "feh": 1e-6, "logg": 0.05, "alpha_m": 1e-6}
    found = estimate(tables[:1], *noisy, errors=errors)
    good = np.isfinite(found.ln_luminosity)
    assert good.mean() > 0.95
    spread = np.sqrt(found.error**2 - ONE_GRID_ERROR**2)
    pull = ((found.ln_luminosity - truth) / spread)[good]
    assert 0.8 < np.std(pull) < 1.1 and abs(np.mean(pull)) < 0.15


def test_unknown_labels_are_flagged_and_unknown_alpha_is_not(tables):
    found = estimate(
        tables,
        (np.nan, 0, 4.4, 0),
        (5.8, np.nan, 4.4, 0),
        (5.8, 0, 4.4, np.nan),
        (5.8, 0, 4.4, 0.05),
    )
    unknown = LuminosityFlag.UNKNOWN_LABELS
    np.testing.assert_array_equal(found.flags, [unknown, unknown, 0, 0])
    assert found.ln_luminosity[2] == found.ln_luminosity[3]
    assert found.error[2] > found.error[3]


def test_labels_may_lack_alpha_but_not_gravity(tables):
    labels = {"teff": np.array([5.8]), "feh": np.zeros(1), "logg": np.array([4.4])}
    errors = {name: np.array([0.05]) for name in labels}
    assert np.isfinite(spectroscopic_luminosities(labels, errors, tables).ln_luminosity[0])
    del labels["logg"]
    with pytest.raises(InputError, match="logg"):
        spectroscopic_luminosities(labels, errors, tables)
    with pytest.raises(InputError, match="at least one"):
        estimate([], (5.8, 0, 4.4, 0))


def test_metallicity_of_alpha_enhanced_stars_is_that_of_salaris():
    # [alpha/Fe] = 0.4 raises [M/H] by 0.29 (Salaris et al. 1993).
    mh, by_alpha = metallicity(np.array([-1.0, 0.0]), np.array([0.4, 0.0]))
    np.testing.assert_allclose(mh, [-0.71, 0.0], atol=0.005)
    assert by_alpha[1] == pytest.approx(0.638)
