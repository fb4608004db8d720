import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, simulate, without_weight
from situations import SITUATIONS, near, objective_of, situation

from xpfit import InputError, Spectra
from xpfit.fit.binary import COMPANION_LABELS, BinaryObjective, fit_binaries


@pytest.fixture(params=SITUATIONS)
def case(request, rng):
    """A joint objective, and points near the truth with companions that are cooler."""
    model, spectra, theta = situation(request.param, 3, rng)
    theta = near(model, theta, rng)
    own = [model.label_names.index(name) for name in COMPANION_LABELS]
    joint = np.concatenate([theta, theta[:, own] + [-0.3, 0.1]], axis=1)
    return model, BinaryObjective(objective_of(model, spectra), model.label_names), joint


def test_gradient_and_hessian_are_exact(case):
    _, objective, theta = case
    there = objective.evaluate(theta)
    for i in range(len(theta)):
        star = objective[slice(i, i + 1)]
        gradient = numerical_gradient(lambda t, s=star: s.evaluate(t[None]).loss[0], theta[i], 1e-6)
        assert_close_derivative(there.gradient[i], gradient, 1e-6)
        hessian = numerical_gradient(
            lambda t, s=star: s.evaluate(t[None]).gradient[0], theta[i], 1e-6
        )
        assert_close_derivative(there.hessian[i], hessian, 1e-6)


def test_chi2_is_that_of_the_sum_of_both_stars_at_one_distance_behind_one_dust(case):
    model, objective, theta = case
    n = model.forward.n_stellar
    companion = theta[:, :n].copy()
    for i, name in enumerate(COMPANION_LABELS):
        companion[:, model.label_names.index(name)] = theta[:, n + i]
    flux = model.forward.flux(theta[:, :n]) + model.forward.flux(companion)
    single = objective.single
    whitener = single.data.whitener.rows
    if whitener.shape[1] == 1:
        whitener = np.array([np.diag(row) for row in whitener[:, 0]])
    residual = np.einsum("sij,sj->si", whitener, flux - single.data.flux)
    np.testing.assert_allclose(
        objective.evaluate(theta).chi2, np.sum(residual**2, axis=1), rtol=1e-10
    )


def test_gauss_newton_is_positive(case):
    _, objective, theta = case
    assert np.all(np.linalg.eigvalsh(objective.evaluate(theta).gauss_newton)[:, 0] > -1e-6)


def dwarfs_with_companions(model, rng, n, mass_ratio):
    """Bright main-sequence stars with a companion of a mass ratio each, and their truth."""
    truth, spectra = simulate(model, 40 * n, rng, relative_error=0.01)
    k = model.forward.n_label
    rows = np.flatnonzero((truth[:, 2] > 4.2) & (truth[:, 0] > 5.0))[:n]
    truth, spectra = truth[rows], spectra[rows]
    companion = truth[:, :k].copy()
    companion[:, 0] *= mass_ratio**0.6
    companion[:, 2] -= 0.6 * np.log10(mass_ratio)
    flux = sum(
        np.nan_to_num(model.predict(labels, truth[:, k], truth[:, k + 1]))
        for labels in (truth[:, :k], companion)
    )
    known = model.trained_channels
    error = np.where(known, 0.005 * flux, np.inf)
    noisy = flux + np.where(known, error, 0.0) * rng.standard_normal(flux.shape)
    observed = Spectra(spectra.source_id, model.space, noisy, error)
    return truth, companion, observed


def test_what_companions_are_comes_back(absolute_model, rng):
    truth, companion, spectra = dwarfs_with_companions(absolute_model, rng, 30, 0.7)
    parallax = truth[:, 4]
    spectra = spectra.replace(parallax=parallax, parallax_err=0.005 * parallax)
    binary = fit_binaries(absolute_model, spectra)
    assert binary.converged.all()
    assert np.median(binary.delta_bic) > 10.0 and np.mean(binary.delta_bic > 0) > 0.7
    found = binary.delta_bic > 10.0
    assert np.all(binary.flux_ratio <= 1.0)
    table = binary.table()[found]
    # In this model's gauge the cooler star may be the brighter.
    cooler = np.minimum(table["teff"], table["companion_teff"])
    assert np.median(np.abs(cooler - 1000.0 * companion[found, 0])) < 150.0
    hotter = np.maximum(table["teff"], table["companion_teff"])
    assert np.median(np.abs(hotter - 1000.0 * truth[found, 0])) < 150.0


def test_single_stars_are_not_taken_for_binaries(model, rng):
    _, spectra = simulate(model, 200, rng, relative_error=0.01)
    single = model.fit(spectra, progress=False)
    binary = fit_binaries(model, spectra, single)
    assert np.mean(binary.delta_bic > 0) <= 0.02
    # Two more parameters take up two units of chi2 on average.
    assert np.median(binary.delta_chi2) < 4.0
    assert np.all(binary.delta_chi2 >= 0.0), "one star is a pair with a dark companion"
    dark = binary.flux_ratio == 0.0
    assert 0.2 < dark.mean() < 1.0 and np.all(binary.delta_chi2[dark] == 0.0)
    np.testing.assert_allclose(binary.parameters[dark, :5], single.parameters[dark], rtol=1e-10)
    assert np.isnan(binary.parameters[dark, 5:]).all()
    bright = ~dark & binary.converged
    assert np.all(chi2_of_pairs(model, spectra, binary)[bright] <= single.chi2[bright])


def chi2_of_pairs(model, spectra, binary):
    """chi2 of the sum of both stars' spectra, worked out from the table's parameters."""
    n = model.forward.n_stellar
    layout = model.forward.layout
    first = layout.to_theta(binary.parameters[:, :n])
    second = first.copy()
    second[:, [model.label_names.index(name) for name in COMPANION_LABELS]] = binary.parameters[
        :, n:
    ]
    pair = model.forward.flux(first) + model.forward.flux(np.nan_to_num(second))
    data = objective_of(model, spectra).data
    residual = data.whitener(pair - data.flux)
    return np.sum(residual**2, axis=1)


def test_pairs_are_fitted_in_coefficient_space_too(rng):
    model, spectra, theta = situation("coefficients", 4, rng)
    binary = fit_binaries(model, spectra)
    assert binary.converged.all()
    assert np.all((binary.flux_ratio >= 0.0) & (binary.flux_ratio <= 1.0))
    # A star that is single is one with a dark companion.
    assert np.any(binary.flux_ratio > 0.0)
    off = np.abs(binary.parameters[:, 0] - theta[:, 0]) / theta[:, 0]
    assert np.median(off) < 0.1


def test_sources_without_a_fit_are_unknown_and_the_rest_go_on(model, rng):
    _, spectra = simulate(model, 4, rng, relative_error=0.01)
    spectra = without_weight(spectra, 1)
    binary = fit_binaries(model, spectra)
    assert np.isnan(binary.delta_bic[1]) and not binary.converged[1]
    assert np.isfinite(binary.delta_bic[[0, 2, 3]]).all()


def test_bands_that_the_model_does_not_know_have_no_say(model, rng):
    """Nonsense in W1, which no training star had: single fits ignore it, and so must these."""
    _, spectra = simulate(model, 5, rng, relative_error=0.01)
    usual = fit_binaries(model, spectra)
    unknown = int(np.flatnonzero(~model.trained_channels)[0])
    flux, error = spectra.flux.copy(), spectra.flux_err.copy()
    flux[:, unknown], error[:, unknown] = 1e4, 1.0
    other = fit_binaries(model, Spectra(spectra.source_id, model.space, flux, error))
    np.testing.assert_allclose(other.delta_chi2, usual.delta_chi2, atol=1e-6)
    assert str(usual.table()["companion_teff"].unit) == "K"


def test_parallaxes_are_neither_used_nor_given_by_shapes_alone(model, absolute_model, rng):
    _, spectra = simulate(model, 3, rng, relative_error=0.01)
    alone = fit_binaries(model, spectra)
    observed = spectra.replace(parallax=np.full(3, 1.0), parallax_err=np.full(3, 0.01))
    with pytest.warns(UserWarning, match="parallaxes of these stars are not used"):
        binary = fit_binaries(model, observed)
    np.testing.assert_array_equal(binary.delta_chi2, alone.delta_chi2)
    table = binary.table()
    assert np.isnan(table["parallax"]).all() and np.isfinite(table["logg"]).all()
    assert np.isfinite(fit_binaries(absolute_model, observed).table()["parallax"]).all()


def test_fits_of_other_stars_are_refused(model, rng):
    _, spectra = simulate(model, 4, rng, relative_error=0.01)
    result = model.fit(spectra[[0, 1]], progress=False)
    with pytest.raises(InputError, match="other stars"):
        fit_binaries(model, spectra, result)
