"""Real stars with rows of gaia_source: what fits by the shipped model make of the parallaxes."""

import numpy as np
import pytest
from helpers import gaia_source

import xpfit
from xpfit.prepare import attach_astrometry, parallax_zero_point
from xpfit.quality import FitFlag, QualityFlag

ORDINARY, EXACT, NEGATIVE, NO_ERROR, MASKED, VAGUE, BAD, WRONG, IMPOSSIBLE = range(9)


@pytest.fixture(scope="module")
def model():
    return xpfit.load_model()


@pytest.fixture(scope="module")
def stars(model, sample_path):
    return xpfit.read_spectra(sample_path, slice(0, 12), model=model)


@pytest.fixture(scope="module")
def alone(model, stars):
    """Without parallaxes."""
    return xpfit.result_table(model, stars, model.fit(stars, progress=False))


@pytest.fixture(scope="module")
def rows(stars, alone):
    """The last three stars have no row."""
    parallax = np.array(alone["parallax"][:9])
    error = 0.02 * parallax
    error[EXACT] *= 0.005
    parallax[NEGATIVE], error[NEGATIVE] = -0.3 * parallax[NEGATIVE], parallax[NEGATIVE]
    error[NO_ERROR] = 0.0
    parallax[MASKED] = error[MASKED] = np.nan
    error[VAGUE] = 1e5
    parallax[WRONG], error[WRONG] = 1.3 * parallax[WRONG], 1e-4 * parallax[WRONG]
    parallax[IMPOSSIBLE], error[IMPOSSIBLE] = -parallax[IMPOSSIBLE], 0.01 * parallax[IMPOSSIBLE]
    ruwe = np.ones(9)
    ruwe[BAD] = 7.0
    table = gaia_source(stars.source_id[:9], parallax, error, ruwe=ruwe)
    table["parallax"] += parallax_zero_point(table)
    return table


@pytest.fixture(scope="module")
def observed(stars, rows):
    return attach_astrometry(stars, rows)


@pytest.fixture(scope="module")
def together(model, observed):
    return xpfit.result_table(model, observed, model.fit(observed, progress=False))


def test_every_parallax_ends_in_a_converged_fit(together):
    np.testing.assert_array_equal(together["status"], 0)
    assert np.isfinite(together["parallax_err"]).all() and np.all(together["parallax"] > 0)


def test_the_zero_point_is_taken_off(together, alone):
    for star in (ORDINARY, EXACT, BAD):
        assert together["gaia_parallax"][star] == pytest.approx(alone["parallax"][star])


@pytest.mark.parametrize("star", [NO_ERROR, MASKED, 9, 10, 11])
def test_without_a_usable_parallax_a_fit_is_as_without_any(star, together, alone):
    assert np.isnan(together["gaia_parallax"][star]) and np.isnan(
        together["parallax_tension"][star]
    )
    for name in ("teff", "feh", "logg", "parallax", "parallax_err", "chi2_opt", "fit_flags"):
        np.testing.assert_allclose(together[name][star], alone[name][star], rtol=1e-9, err_msg=name)


def test_stars_do_not_depend_on_the_parallaxes_of_others(model, observed, together):
    alone = xpfit.result_table(
        model, observed[[EXACT]], model.fit(observed[[EXACT]], progress=False)
    )
    for name in ("teff", "logg", "parallax", "chi2_opt"):
        np.testing.assert_allclose(alone[name][0], together[name][EXACT], rtol=1e-9)


def test_a_parallax_of_a_hundredth_of_a_per_cent_is_taken_over(together, alone):
    assert together["parallax"][EXACT] == pytest.approx(together["gaia_parallax"][EXACT], rel=1e-3)
    assert together["parallax_err"][EXACT] <= 1.01e-4 * alone["parallax"][EXACT]
    # It agrees with the spectrum: nothing else changes but errors.
    assert together["chi2_opt"][EXACT] < alone["chi2_opt"][EXACT] + 1.0
    assert together["logg_err"][EXACT] < alone["logg_err"][EXACT]
    assert abs(together["parallax_tension"][EXACT]) < 1.0


def test_a_weak_parallax_hardly_matters(together, alone):
    for star in (NEGATIVE, VAGUE):
        offset = together["parallax"][star] - alone["parallax"][star]
        assert abs(offset) < alone["parallax_err"][star]
        assert together["fit_flags"][star] & int(FitFlag.WEAK_PARALLAX)
        assert abs(together["parallax_tension"][star]) < 2.0
    assert together["teff"][VAGUE] == pytest.approx(alone["teff"][VAGUE], abs=0.1)


def test_a_bad_solution_is_flagged_and_used_as_given(together):
    flagged = (together["fit_flags"] & int(FitFlag.HIGH_RUWE)) > 0
    np.testing.assert_array_equal(np.flatnonzero(flagged), [BAD])
    assert together["parallax_err"][BAD] < 1.01 * together["gaia_parallax_error"][BAD]


def test_a_parallax_that_contradicts_the_spectrum_shows_as_tension(together):
    """Farther than its spectrum says is too bright for it, and the other way round."""
    assert together["parallax_tension"][WRONG] < -0.5
    assert together["parallax_tension"][IMPOSSIBLE] > 10.0
    flagged = (together["quality_flags"] & int(QualityFlag.PARALLAX)) > 0
    assert flagged[IMPOSSIBLE] and not flagged[[ORDINARY, EXACT, NEGATIVE, VAGUE, BAD]].any()


def test_labels_are_better_known_with_a_parallax(together, alone):
    assert together["logg_err"][ORDINARY] < 0.9 * alone["logg_err"][ORDINARY]


def test_shapes_alone_leave_the_parallaxes_out(observed, stars):
    shapes = xpfit.load_model(shapes_only=True)
    with pytest.warns(UserWarning, match="parallaxes of these stars are not used"):
        result = shapes.fit(observed, progress=False)
    table = xpfit.result_table(shapes, observed, result)
    assert np.isnan(table["parallax"]).all() and np.isnan(table["parallax_tension"]).all()
    assert np.isfinite(table["gaia_parallax"][EXACT]) and np.all(table["amplitude"] > 0)
    assert not np.any(table["fit_flags"] & int(FitFlag.HIGH_RUWE | FitFlag.WEAK_PARALLAX))
    again = shapes.fit(stars, progress=False)
    np.testing.assert_array_equal(result.parameters, again.parameters)
    np.testing.assert_array_equal(result.covariance, again.covariance)
