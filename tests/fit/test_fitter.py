import numpy as np
import pytest
from helpers import simulate, with_luminosities, without_weight

from xpfit import FitResult, FitStatus, InputError, Spectra, fit_spectra, result_table
from xpfit.fit import Fitter, fitter
from xpfit.fit.distance import tension_of_fits
from xpfit.statistics import robust_width


@pytest.fixture(scope="module")
def simulated(model):
    return simulate(model, 1000, np.random.default_rng(11), relative_error=0.002)


@pytest.fixture(scope="module")
def fitted(model, simulated):
    return model.fit(simulated[1], n_jobs=2, progress=False)


def test_noiseless_spectra_give_their_parameters_back(model, rng):
    truth, _ = simulate(model, 40, rng, relative_error=0.01)
    flux = np.nan_to_num(model.predict(truth[:, :3], truth[:, 3], truth[:, 4]))
    # Errors so small that prior and Jacobian terms cannot shift the optimum.
    error = np.where(model.trained_channels, 1e-6 * flux, np.inf)
    result = model.fit(Spectra(np.arange(40), model.space, flux, error), progress=False)
    np.testing.assert_allclose(result.parameters[:, :4], truth[:, :4], atol=1e-4)
    np.testing.assert_allclose(result.parameters[:, 4], truth[:, 4], rtol=1e-4)


def test_noisy_spectra_give_pulls_of_unit_width(simulated, fitted):
    truth, _ = simulated
    pulls = (fitted.parameters - truth) / fitted.errors
    assert len(pulls) == 1000
    for name, pull in zip(fitted.parameter_names, pulls.T, strict=True):
        assert 0.9 < np.std(pull) < 1.1, name
        # The robust width of 1,000 pulls has a sampling error of 0.037.
        assert 0.85 < robust_width(pull) < 1.15, name
        assert abs(np.mean(pull)) < 0.15, name


def test_pulls_are_of_unit_width_where_the_curve_varies(varying_model):
    """With observed parallaxes; xi's error is that of its prior where there is little dust."""
    rng = np.random.default_rng(12)
    truth, spectra = simulate(varying_model, 400, rng, relative_error=0.005)
    error = 0.02 * truth[:, 4]
    parallax = truth[:, 4] + error * rng.standard_normal(400)
    spectra = spectra.replace(parallax=parallax, parallax_err=error)
    result = varying_model.fit(spectra, n_jobs=2, n_starts=4, progress=False)
    assert result.parameter_names == ("teff", "feh", "logg", "extinction", "parallax", "xi")
    pulls = (result.parameters - truth) / result.errors
    for name, pull in zip(result.parameter_names, pulls.T, strict=True):
        assert 0.85 < robust_width(pull) < 1.15, name
        assert abs(np.median(pull)) < 0.2, name
    table = result_table(varying_model, spectra, result)
    np.testing.assert_allclose(table["r_v"], varying_model.r_v(result["xi"]))
    correlation = np.corrcoef(table["r_v"], varying_model.r_v(truth[:, 5]))[0, 1]
    assert correlation > 0.9


def test_chi2_of_simulated_stars_has_the_right_mean_and_variance(fitted):
    dof = fitted.dof[0]
    assert dof == 64 - 5
    assert np.mean(fitted.chi2) == pytest.approx(dof, abs=4 * np.sqrt(2 * dof / 1000))
    assert np.var(fitted.chi2) == pytest.approx(2 * dof, rel=0.25)


def test_all_simulated_stars_converge(fitted):
    assert np.all(fitted.status == FitStatus.CONVERGED)


def test_errors_and_covariances_agree(fitted):
    identity = fitted.covariance @ fitted.inverse_covariance
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(5), identity.shape), atol=1e-6)
    np.testing.assert_allclose(
        fitted.error("teff"), np.sqrt(fitted.covariance[:, 0, 0]), rtol=1e-12
    )


def test_numbers_of_workers_and_chunks_do_not_matter(model, simulated, fitted, monkeypatch):
    some = simulated[1][:300]
    for n_jobs, size in ((1, 1000), (2, 64), (3, 7)):
        monkeypatch.setattr(fitter, "STARS_PER_CHUNK", size)
        again = Fitter(model, n_jobs=n_jobs).fit(some, False)
        for name in ("parameters", "covariance", "loss", "n_iterations", "min_hessian_eigenvalue"):
            expected = getattr(fitted, name)[:300]
            np.testing.assert_allclose(getattr(again, name), expected, rtol=1e-12)


@pytest.mark.parametrize("engine", ["array", "scipy"])
def test_other_engines_work_in_parallel_too(model, simulated, fitted, engine):
    again = Fitter(model, engine=engine, n_jobs=2, n_starts=2).fit(simulated[1][:12], False)
    off = np.abs(again.parameters - fitted.parameters[:12]) / fitted.errors[:12]
    assert np.max(off) < 0.01


def test_an_observed_parallax_pulls_the_fit(absolute_model, simulated):
    truth, spectra = simulated
    observed = spectra[:20].replace(parallax=truth[:20, 4] * 1.1, parallax_err=np.full(20, 1e-4))
    result = fit_spectra(absolute_model, observed, progress=False)
    np.testing.assert_allclose(result["parallax"], truth[:20, 4] * 1.1, rtol=1e-4)
    assert np.all(result.error("parallax") <= 1e-4)


def test_a_model_without_luminosities_says_that_it_does_not_use_parallaxes(model, simulated):
    observed = simulated[1][:3].replace(parallax=np.ones(3), parallax_err=np.full(3, 1e-3))
    with pytest.warns(UserWarning, match=r"parallaxes.*are not used.*shapes.*not luminosities"):
        result = model.fit(observed, progress=False)
    without = model.fit(simulated[1][:3], progress=False)
    for name in ("parameters", "covariance", "chi2", "loss"):
        np.testing.assert_array_equal(getattr(result, name), getattr(without, name))
    assert np.isnan(tension_of_fits(model, observed, result)).all()


def test_shapes_of_an_absolute_model_are_fitted_as_if_it_had_no_luminosities(
    model, simulated, fitted, rng
):
    shapes = with_luminosities(model, rng).shapes_only()
    result = shapes.fit(simulated[1][:100], progress=False)
    np.testing.assert_allclose(result.parameters, fitted.parameters[:100], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(result.errors, fitted.errors[:100], rtol=1e-4)


def test_errors_of_parallaxes_below_rounding_are_fitted_all_the_same(absolute_model, simulated):
    truth, spectra = simulated
    error = np.array([1e-7, 1e-12, 1e-300, 1e200])
    observed = spectra[:4].replace(parallax=truth[:4, 4], parallax_err=error)
    result = absolute_model.fit(observed, progress=False)
    assert np.all(result.status == FitStatus.CONVERGED) and np.isfinite(result.errors).all()
    np.testing.assert_allclose(result["parallax"][:3], truth[:3, 4], rtol=1e-4)
    assert not np.any(np.abs(tension_of_fits(absolute_model, observed, result)) > 5.0)


def test_a_bad_star_is_reported_and_the_others_go_on(model, simulated):
    spectra = simulated[1][:6]
    flux, error = spectra.flux.copy(), spectra.flux_err.copy()
    error[1] = np.inf  # nothing at all
    error[2, 4:] = np.inf  # fewer values than parameters
    flux[3] = -1.0  # no light
    result = model.fit(Spectra(spectra.source_id, spectra.space, flux, error), progress=False)
    not_fitted, fitted = [1, 2, 3], [0, 4, 5]
    assert np.all(result.status[not_fitted] == FitStatus.NOT_FITTED)
    assert np.isnan(result.parameters[not_fitted]).all()
    assert np.isnan(result.chi2[not_fitted]).all()
    assert np.all(result.status[fitted] == FitStatus.CONVERGED)
    alone = model.fit(spectra[fitted], progress=False)
    np.testing.assert_allclose(result.parameters[fitted], alone.parameters, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6, 1e9])
def test_any_brightness_gives_the_same_stellar_type(model, simulated, factor):
    spectra = simulated[1][:5]
    scaled = Spectra(
        spectra.source_id, spectra.space, spectra.flux * factor, spectra.flux_err * factor
    )
    plain, other = (model.fit(s, progress=False) for s in (spectra, scaled))
    np.testing.assert_allclose(other.parameters[:, :4], plain.parameters[:, :4], atol=2e-3)


@pytest.mark.parametrize("engine", ["numba", "array", "scipy"])
def test_hopeless_stars_are_flagged_and_their_neighbours_are_not_touched(model, rng, engine):
    _, spectra = simulate(model, 12, rng, relative_error=0.01)
    options = {"engine": engine, "n_starts": 2, "progress": False}
    expected = model.fit(spectra, **options)
    flux_err, weights = spectra.flux_err.copy(), spectra.whitener.array.copy()
    weights[1] = 0.0
    flux_err[2] = np.inf  # all values masked
    flux_err[3, 1:] = np.inf  # one left
    flux = np.where(np.arange(12)[:, None] == 4, -1.0, spectra.flux)  # no light
    spectra = spectra.replace(flux=flux, flux_err=flux_err, whitener=weights)
    result = model.fit(spectra, **options)
    bad, good = np.arange(1, 5), [0, 5, 6, 7, 8, 9, 10, 11]
    assert np.all(result.status[bad] == FitStatus.NOT_FITTED)
    assert np.isnan(result.parameters[bad]).all()
    np.testing.assert_allclose(result.parameters[good], expected.parameters[good], rtol=1e-9)


@pytest.mark.parametrize("starts", ["profile", "grid"])
@pytest.mark.parametrize("engine", ["numba", "array", "scipy"])
@pytest.mark.parametrize("bad", [1, 4])
def test_a_star_whose_numbers_overflow_is_reported_alone(model, rng, engine, starts, bad):
    _, spectra = simulate(model, 5, rng, relative_error=0.01)
    options = {"engine": engine, "starts": starts, "n_starts": 2, "progress": False}
    expected = model.fit(spectra, **options)
    flux = spectra.flux.copy()
    flux[bad] = np.where(flux[bad] > 0, 1e300, 0.0)
    spectra = spectra.replace(flux=flux)
    result = model.fit(spectra, **options)
    assert result.status[bad] == FitStatus.NOT_CONVERGED
    assert np.isnan(result.parameters[bad]).all()
    others = np.arange(5) != bad
    np.testing.assert_array_equal(result.status[others], FitStatus.CONVERGED)
    # The matrix products of the array code are of other shapes without the bad star.
    off = np.abs(result.parameters - expected.parameters) / expected.errors
    assert np.max(off[others]) < (1e-6 if engine == "array" else 1e-9)


@pytest.mark.parametrize("engine", ["numba", "array", "scipy"])
def test_one_star_alone_and_a_batch_in_which_every_star_fails(model, rng, engine):
    _, spectra = simulate(model, 3, rng, relative_error=0.01)
    alone = model.fit(spectra[:1], engine=engine, n_starts=2, progress=False)
    assert alone.status[0] == FitStatus.CONVERGED and len(alone) == 1
    spectra = without_weight(spectra, slice(None))
    lost = model.fit(spectra, engine=engine, n_starts=2, progress=False)
    assert np.all(lost.status == FitStatus.NOT_FITTED)


def test_stars_without_dust_stay_at_small_positive_extinction(model, rng):
    truth, spectra = simulate(model, 30, rng, relative_error=0.005)
    flux = np.nan_to_num(model.predict(truth[:, :3], 0.0, truth[:, 4]))
    error = np.where(model.trained_channels, 0.005 * flux, np.inf)
    noisy = flux + np.where(np.isfinite(error), error, 0.0) * rng.standard_normal(flux.shape)
    spectra = Spectra(spectra.source_id, model.space, noisy, error)
    result = model.fit(spectra, progress=False)
    assert np.all(result.status == FitStatus.CONVERGED)
    assert np.all((result["extinction"] > 0) & (result["extinction"] < 5 * result.errors[:, 3]))


def test_stars_at_the_edge_of_the_prior_are_fitted(model, rng):
    drawn = model.prior.sample(20_000, rng)
    drawn = drawn[model.in_range(drawn).all(axis=1)]
    edge = drawn[np.argsort(model.prior.ln_p(drawn))[:30]]
    flux = np.nan_to_num(model.predict(edge, 0.3, 10.0))
    error = np.where(model.trained_channels, 0.002 * flux, np.inf)
    result = model.fit(Spectra(np.arange(30), model.space, flux, error), progress=False)
    assert np.mean(result.status == FitStatus.CONVERGED) > 0.9
    off = np.abs(result.parameters[:, :3] - edge) / result.errors[:, :3]
    assert np.median(off) < 1.0


def test_second_modes_are_looked_for_on_demand(model, rng):
    _, some = simulate(model, 40, rng, relative_error=0.1)
    assert np.isnan(model.fit(some, progress=False).second_mode).all()
    found = model.fit(some, multistart=16, progress=False).second_mode
    assert np.isfinite(found).any() and np.all(found[np.isfinite(found)] > 0)


def test_steps_are_limited(model, simulated):
    stopped = model.fit(simulated[1][:10], max_iterations=1, progress=False)
    assert np.any(stopped.status == FitStatus.NOT_CONVERGED)
    assert np.all(stopped.n_restarts[stopped.status == FitStatus.NOT_CONVERGED] > 0)


def test_diagnostics_and_correlations_are_kept(fitted):
    assert np.all(fitted.min_hessian_eigenvalue > 0)
    assert np.all(fitted.gradient_norm < 0.1)
    np.testing.assert_allclose(np.diagonal(fitted.correlation, axis1=1, axis2=2), 1.0, rtol=1e-12)
    assert np.all(np.abs(fitted.correlation) < 1.0 + 1e-12)


def test_channels_that_the_model_never_saw_are_ignored(model, simulated):
    spectra = simulated[1][:3]
    flux, error = spectra.flux.copy(), spectra.flux_err.copy()
    flux[:, 64:], error[:, 64:] = 1e3, 1.0
    odd = Spectra(spectra.source_id, spectra.space, flux, error)
    a, b = (model.fit(s, progress=False) for s in (spectra, odd))
    np.testing.assert_array_equal(a.parameters, b.parameters)
    np.testing.assert_array_equal(b.n_obs, 64)


def test_no_stars_give_an_empty_result(model, simulated):
    result = model.fit(simulated[1][:0], progress=False)
    assert isinstance(result, FitResult) and len(result) == 0
    assert result.parameters.shape == (0, 5)


def test_spectra_on_other_wavelengths_are_refused(model):
    spectra = Spectra([1], [500.0, 600.0], np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match=r"2 values from 500 to 600 nm.*66 from|66 values"):
        model.fit(spectra)


@pytest.mark.parametrize("option", ["n_jobs", "n_starts", "max_iterations", "multistart"])
def test_impossible_options_are_refused_by_name(model, simulated, option):
    with pytest.raises(InputError, match=f"{option} must be at least 1"):
        model.fit(simulated[1][:1], **{option: 0})


def test_unknown_ways_to_start_are_refused_with_those_there_are(model):
    with pytest.raises(InputError, match="one of profile, grid, got 'guess'"):
        Fitter(model, starts="guess")


def test_the_paper_s_grid_finds_the_same_optima(model, simulated, fitted):
    grid = model.fit(simulated[1][:40], starts="grid", n_jobs=2, progress=False)
    np.testing.assert_allclose(grid.loss, fitted.loss[:40], atol=1e-4)


def test_results_answer_by_parameter_name(fitted):
    np.testing.assert_array_equal(fitted["logg"], fitted.parameters[:, 2])
    with pytest.raises(KeyError, match="no parameter 'c_m'"):
        fitted["c_m"]
    assert "1000 stars" in repr(fitted)
