import numpy as np
import pytest
from epoch_stars import GIANT, theta_of
from scipy import stats

from xpfit import InputError
from xpfit.epochs import EpochSpectra, compare_epochs, variability
from xpfit.epochs.comparison import whiten_epochs
from xpfit.epochs.directions import columns_of, derivatives, project
from xpfit.epochs.simulation import EpochSettings, EpochSimulator, TeffSwing


@pytest.fixture(scope="module")
def simulator(model):
    return EpochSimulator(model, EpochSettings(n_epoch=6))


@pytest.fixture(scope="module")
def star(simulator):
    return simulator.simulate(GIANT, 13.0, np.random.default_rng(1))


def random_epochs(rng, used, n_obs=5):
    """Epochs with covariances of all shapes, of a constant star."""
    root = rng.standard_normal((len(used), n_obs, n_obs))
    covariance = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(n_obs)
    noise = np.linalg.cholesky(covariance) @ rng.standard_normal((len(used), n_obs, 1))
    return np.arange(n_obs) + noise[:, :, 0], covariance


def masked(star, used):
    """The star with weight where `used` says."""
    error = np.where(used, star.spectra.flux_err, np.inf)
    spectra = star.spectra.replace(flux_err=error, whitener=1.0 / error)
    return EpochSpectra(
        star.source_id,
        star.time,
        star.transit_id,
        spectra,
        star.covariance.copy(),
        star.calibration,
    )


def test_mean_and_chi2_are_those_of_generalised_least_squares(star, rng):
    flux, covariance = random_epochs(rng, np.ones((4, 5), dtype=bool))
    weight = np.linalg.inv(covariance)
    mean = np.linalg.solve(weight.sum(axis=0), np.einsum("eij,ej->i", weight, flux))
    expected = np.einsum("ei,eij,ej->", flux - mean, weight, flux - mean)
    whitened = whiten_epochs(flux, covariance, np.ones(flux.shape, dtype=bool))
    residual = (whitened.matrices @ (flux - mean)[:, :, None])[:, :, 0]
    assert np.sum(residual**2) == pytest.approx(expected, rel=1e-9)
    identity = whitened.matrices @ covariance @ np.swapaxes(whitened.matrices, 1, 2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(5), (4, 5, 5)), atol=1e-9)


def test_chi2_of_constant_stars_has_its_distribution_with_values_that_are_missing(rng):
    used = np.ones((5, 5), dtype=bool)
    used[1, 2:], used[2, :2], used[3, 4] = False, False, False
    used[4] = False
    p_values = []
    for _ in range(400):
        flux, covariance = random_epochs(rng, used)
        p_values.append(compare_epochs(_Epochs(flux, covariance, used)).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_degrees_of_freedom_count_what_epochs_have_in_common(rng):
    used = np.ones((3, 5), dtype=bool)
    flux, covariance = random_epochs(rng, used)
    assert compare_epochs(_Epochs(flux, covariance, used)).dof == 10
    used[1, 2:], used[2] = False, False
    assert compare_epochs(_Epochs(flux, covariance, used)).dof == 2
    used[0, :2] = False
    apart = compare_epochs(_Epochs(flux, covariance, used))
    assert apart.dof == 0
    assert np.isnan(apart.p_value)


class _Epochs:
    """Numbers of epochs without spectra."""

    source_id = 1

    def __init__(self, flux, covariance, used):
        self.flux, self.covariance, self.used = np.where(used, flux, 0.0), covariance, used


def test_missing_values_do_not_count(star, model):
    used = star.used.copy()
    used[2, :25] = False
    before = compare_epochs(masked(star, used))
    spoiled = masked(star, used)
    spoiled.covariance[2, :25] = 1e3
    spoiled.covariance[2, :, :25] = 1e3
    after = compare_epochs(spoiled)
    assert after.chi2 == pytest.approx(before.chi2)
    assert after.dof == before.dof < compare_epochs(star).dof


def test_directions_without_noise_are_left_out(star):
    comparison = compare_epochs(star)
    n = comparison.whitened.n_values[0]
    assert n < star.used[0].sum()
    assert comparison.dof == 5 * n


def test_residuals_have_the_variance_that_epochs_expect(star):
    comparison = compare_epochs(star)
    assert comparison.epoch_dof.sum() == pytest.approx(comparison.dof)
    assert comparison.epoch_chi2.sum() == pytest.approx(comparison.chi2)


def test_mean_has_the_errors_of_all_epochs_together(simulator, star):
    comparison = compare_epochs(star)
    error = np.sqrt(np.diag(comparison.covariance))[:61]
    single = np.sqrt(np.diag(star.covariance[0]))[:61]
    np.testing.assert_allclose(error, single / np.sqrt(6), rtol=2e-3)


def test_derivatives_are_those_of_finite_differences(model):
    shapes = model.shapes_only()
    theta, names = theta_of(model, GIANT), ("teff", "amplitude", "extinction")
    found = derivatives(shapes, theta[None], names)[0][:, model.trained_channels]
    layout, flux = shapes.forward.layout, shapes.forward.flux
    for along, name in zip(found, names, strict=True):
        near = [theta.copy(), theta.copy()]
        for sign, changed in zip((-1.0, 1.0), near, strict=True):
            if name == "teff":
                changed[0] += sign * 1e-4
            elif name == "amplitude":
                changed[layout.parallax] += sign * 0.5e-4
            else:
                changed[layout.extinction] = np.log(0.05 + sign * 1e-4)
        difference = (flux(near[1][None]) - flux(near[0][None]))[0] / 2e-4
        np.testing.assert_allclose(
            along, difference[model.trained_channels], rtol=1e-4, atol=1e-6 * np.abs(along).max()
        )


def test_projection_is_what_changes_along_the_directions_lower_chi2_by(star, model):
    """The slow twin: generalised least squares with a change of every epoch."""
    comparison = compare_epochs(star)
    along = derivatives(model.shapes_only(), theta_of(model, GIANT)[None], ("teff", "amplitude"))[0]
    matrices, basis = comparison.whitened.matrices, comparison.whitened.basis
    n_epoch, n_value = comparison.residual.shape
    design = np.zeros((n_epoch, n_value, basis.shape[1] + 2 * n_epoch))
    design[:, :, : basis.shape[1]] = matrices @ basis
    for i in range(n_epoch):
        first = basis.shape[1] + 2 * i
        design[i, :, first : first + 2] = matrices[i] @ along.T
    design = design.reshape(n_epoch * n_value, -1)
    design /= np.maximum(np.linalg.norm(design, axis=0), 1e-30)
    values = comparison.whitened.values.ravel()
    rest = values - design @ np.linalg.lstsq(design, values, rcond=1e-9)[0]
    projection = project(comparison, along)
    assert projection.dof == 10
    assert projection.chi2 == pytest.approx(comparison.chi2 - rest @ rest, rel=1e-4)


def test_statistics_of_constant_stars_have_their_distributions(model):
    simulator, rng = EpochSimulator(model, EpochSettings(n_epoch=5)), np.random.default_rng(2)
    shapes, theta = model.shapes_only(), theta_of(model, GIANT)
    p_values, changes = [], []
    for _ in range(300):
        comparison = compare_epochs(simulator.simulate(GIANT, 13.0, rng))
        found = variability(comparison, shapes, theta)
        p_values.append([comparison.p_value, found.brightness.p_value, found.p_teff, found.p_value])
        changes.append(found.both.change / np.sqrt(np.diagonal(found.both.covariance, 0, 1, 2)))
    for p in np.transpose(p_values):
        assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.std(changes, axis=(0, 1)) == pytest.approx(1.0, abs=0.06)
    # The two are independent.
    assert abs(stats.spearmanr(np.array(p_values)[:, 1:3]).statistic) < 0.2


def test_a_swing_of_100_k_is_found_at_g_13(model):
    simulator, rng = EpochSimulator(model), np.random.default_rng(3)
    shapes, theta = model.shapes_only(), theta_of(model, GIANT)
    found = []
    for _ in range(40):
        swing = TeffSwing(0.1, phase=rng.random(), teff=5.0)
        comparison = compare_epochs(simulator.simulate(GIANT, 13.0, rng, swing))
        found.append(variability(comparison, shapes, theta).p_value < 0.01)
    assert np.mean(found) > 0.95


def test_epochs_that_do_not_determine_a_change_have_none(star, model):
    used = star.used.copy()
    used[3] = False
    comparison = compare_epochs(masked(star, used))
    along = derivatives(model.shapes_only(), theta_of(model, GIANT)[None], ("teff",))[0]
    projection = project(comparison, along)
    assert projection.dof == 4
    assert np.isnan(projection.change[3, 0])
    assert np.isfinite(np.delete(projection.change, 3)).all()


def test_unknown_parameters_are_named(model):
    with pytest.raises(InputError, match=r"mass.*choose among teff, feh, logg, extinction, ampl"):
        columns_of(model, ("mass",))


def test_shapes_are_checked(star):
    with pytest.raises(InputError, match="source 1: time has shape"):
        EpochSpectra(
            1, star.time[:2], star.transit_id, star.spectra, star.covariance, star.calibration
        )


def test_without_a_fit_brightness_alone_is_tested(star, model):
    comparison = compare_epochs(star)
    alone = variability(comparison)
    assert alone.p_value == alone.brightness.p_value
    assert np.isnan(alone.p_teff)
    assert alone.dof_teff == 0
