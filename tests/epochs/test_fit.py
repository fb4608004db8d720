import numpy as np
import pytest
from epoch_stars import GIANT, theta_of
from helpers import assert_close_derivative, numerical_gradient
from scipy import stats

from xpfit import InputError, fit_spectra
from xpfit.epochs import compare_epochs, fit_epochs, fit_means, mean_spectra
from xpfit.epochs.fit import HeldObjective
from xpfit.epochs.simulation import Eclipses, EpochSettings, EpochSimulator, TeffSwing


@pytest.fixture(scope="module")
def simulator(model):
    return EpochSimulator(model, EpochSettings(n_epoch=12))


@pytest.fixture(scope="module")
def pulsating(simulator):
    return simulator.simulate(GIANT, 11.0, np.random.default_rng(1), TeffSwing(0.4))


def test_loss_of_held_fits_has_exact_derivatives(pulsating, model):
    comparison, theta = compare_epochs(pulsating), theta_of(model, GIANT, 11.0)
    columns = [0, model.forward.layout.parallax]
    whitened = comparison.whitened
    objective = HeldObjective(
        model.shapes_only().forward, theta, columns, whitened.matrices, whitened.values
    )
    start = np.repeat(theta[None, columns] + [0.02, 0.01], len(comparison), axis=0)

    def loss(x):
        return objective.evaluate(np.repeat(x[None], len(comparison), axis=0)).loss

    def gradient(x):
        return objective.evaluate(np.repeat(x[None], len(comparison), axis=0)).gradient

    found = objective.evaluate(start)
    assert_close_derivative(found.gradient, numerical_gradient(loss, start[0]), 1e-5)
    assert_close_derivative(found.hessian, numerical_gradient(gradient, start[0]), 1e-5)


def test_epochs_of_a_pulsating_star_are_found_within_their_errors(pulsating, model):
    d_teff, _ = TeffSwing(0.4)(pulsating.time)
    fits = fit_epochs(model.shapes_only(), compare_epochs(pulsating), theta_of(model, GIANT, 11.0))
    assert fits.converged.all()
    error = fits.error("teff")
    pull = (fits["teff"] - GIANT[0] - d_teff) / error
    assert np.sqrt(np.mean((pull - pull.mean()) ** 2)) == pytest.approx(1.0, abs=0.4)
    assert fits.scatter("teff") == pytest.approx(np.std(d_teff), rel=0.1)
    assert fits.scatter("amplitude") < 1e-3


def test_errors_of_epochs_are_their_scatter(model):
    simulator, rng = EpochSimulator(model, EpochSettings(n_epoch=4)), np.random.default_rng(4)
    theta, pulls, chi2 = theta_of(model, GIANT), [], []
    for _ in range(100):
        comparison = compare_epochs(simulator.simulate(GIANT, 13.0, rng))
        fits = fit_epochs(model.shapes_only(), comparison, theta)
        pulls.append([(fits[n] - x) / fits.error(n) for n, x in (("teff", 5.0), ("amplitude", 1))])
        chi2.append(fits.chi2.sum() / (comparison.dof - 6))
    assert np.std(pulls, axis=(0, 2)) == pytest.approx(1.0, abs=0.1)
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)
    first = np.ravel(np.transpose(pulls, (1, 0, 2))[0][:, 0])
    assert stats.kstest(first, "norm").pvalue > 0.01


def test_eclipses_change_the_amplitude_alone(simulator, model):
    dips = Eclipses(0.2, duration=0.3)
    star = simulator.simulate(GIANT, 12.0, np.random.default_rng(6), dips)
    comparison, theta = compare_epochs(star), theta_of(model, GIANT, 12.0)
    d_ln_flux = dips(star.time)[1]
    theta[model.forward.layout.parallax] += 0.5 * np.log(np.mean(np.exp(d_ln_flux)))
    fits = fit_epochs(model.shapes_only(), comparison, theta)
    eclipsed = d_ln_flux < 0
    assert 0 < eclipsed.sum() < len(star)
    ratio = fits["amplitude"][eclipsed].mean() / fits["amplitude"][~eclipsed].mean()
    assert ratio == pytest.approx(0.8, abs=0.005)
    assert fits.scatter("teff") < 0.02


def test_what_the_model_misses_in_all_epochs_does_not_matter(pulsating, model):
    comparison, theta = compare_epochs(pulsating), theta_of(model, GIANT, 11.0)
    shapes = model.shapes_only()
    right = fit_epochs(shapes, comparison, theta)
    wrong = theta.copy()
    wrong[2] += 0.2  # log g
    near = fit_epochs(shapes, comparison, wrong)
    np.testing.assert_allclose(near["teff"], right["teff"], atol=0.02)
    assert near.scatter("teff") == pytest.approx(right.scatter("teff"), rel=0.1)


def test_means_are_fitted_with_the_errors_of_all_epochs(simulator, model):
    rng = np.random.default_rng(5)
    stars = [simulator.simulate(GIANT, 11.0, rng) for _ in range(20)]
    spectra = mean_spectra(stars, [compare_epochs(star, model.trained_channels) for star in stars])
    result = fit_means(model, spectra)
    pull = (result["teff"] - GIANT[0]) / result.error("teff")
    assert np.sqrt(np.mean(pull**2)) == pytest.approx(1.0, abs=0.5)
    assert not result.absolute


def test_epochs_are_fitted_with_all_labels_free_as_any_spectra(pulsating, model):
    result = fit_spectra(model, pulsating.spectra, progress=False)
    d_teff, _ = TeffSwing(0.4)(pulsating.time)
    assert np.corrcoef(result["teff"], d_teff)[0, 1] > 0.5


def test_other_parameters_can_be_free(pulsating, model):
    comparison, theta = compare_epochs(pulsating), theta_of(model, GIANT, 11.0)
    fits = fit_epochs(model.shapes_only(), comparison, theta, ("teff", "feh", "extinction"))
    assert fits.values.shape == (12, 3)
    with pytest.raises(InputError, match="no parameter is free"):
        fit_epochs(model.shapes_only(), comparison, theta, ())
