"""Luminosities learned after the shapes, from stars whose luminosities are known."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import InputError
from xpfit.model.bolometric import bolometric_flux, ln_luminosity
from xpfit.model.gauge import fix_gauge
from xpfit.train import Recipe, train_model
from xpfit.train.initial import star_constraints
from xpfit.train.luminosity import (
    DWARF_ZERO_POINT_ERROR,
    IS_GIANT,
    SCATTER,
    ZERO_POINT_PRIOR,
    learn_luminosities,
    robust_least_squares,
    scatter_by_type,
)
from xpfit.train.outcome import TrainingResult
from xpfit.train.stars import StarData

N_STAR = 2000
BIAS = 0.2
"""Error of the luminosities from isochrones."""


def true_model(model):
    """The model with luminosities that depend on type as those of stars do, within its layers."""
    hidden = model.forward.hidden_values(model.prior.means)
    wanted = -2.3 * model.prior.means[:, 2] + 6.0 * np.log(model.prior.means[:, 0])
    slope = np.linalg.lstsq(hidden, wanted - wanted.mean(), rcond=0.02)[0]
    forward = model.forward.with_grey_term(slope, np.array([6.0]), model.trained_grid)
    return replace(model, forward=forward, absolute=True)


@pytest.fixture(scope="module")
def truth(model):
    return true_model(model)


@pytest.fixture(scope="module")
def stars(truth):
    """Stars with luminosities that are off by `BIAS`, and parallaxes of every fourth one."""
    rng = np.random.default_rng(3)
    theta, spectra = simulate(truth, N_STAR, rng, relative_error=0.01)
    names, used = truth.label_names, truth.trained_channels
    flux = bolometric_flux(
        truth.wavelength[used], truth.predict(theta[:, :3])[:, used], theta[:, 0]
    )
    labels = dict(zip(names, theta[:, :3].T, strict=True)) | {
        "ln_luminosity": ln_luminosity(flux) + BIAS
    }
    error = {name: np.full(N_STAR, 0.02) for name in labels}
    parallax_err = np.where(np.arange(N_STAR) % 4 == 0, 0.02 * theta[:, 4], np.inf)
    noise = np.where(np.isfinite(parallax_err), parallax_err, 0.0) * rng.standard_normal(N_STAR)
    return theta, spectra.replace(
        labels=labels,
        label_err=error,
        extinction=theta[:, 3],
        extinction_err=np.full(N_STAR, 0.02),
        parallax=theta[:, 4] + noise,
        parallax_err=parallax_err,
    )


def shapes_of(truth, theta, spectra) -> TrainingResult:
    """The result of a training that has found all but the luminosities."""
    forward = replace(truth.forward, parameters=truth.forward.parameters.copy())
    fix_gauge(forward, truth.trained_grid)
    fitted = np.column_stack([theta[:, :3], np.log(theta[:, 3:])])
    grey = truth.forward.ln_absolute_flux(theta[:, :3]) - forward.ln_absolute_flux(theta[:, :3])
    fitted[:, 4] += 0.5 * grey[:, 30]
    constraints = star_constraints(spectra, truth.label_names, Recipe(), absolute=False)
    data = StarData(spectra.flux, spectra.flux_err, spectra.whitener, constraints)
    flags = np.zeros(len(spectra), dtype=np.int16)
    return TrainingResult(forward, Recipe(), truth.label_names, spectra, data, fitted, flags, [])


def error_of(result, truth, theta):
    """Error of ln flux at 1 kpc of the stars' types, at one wavelength."""
    found = result.forward.ln_absolute_flux(theta[:, :3])
    return (found - truth.forward.ln_absolute_flux(theta[:, :3]))[:, 30]


def test_parallaxes_of_some_stars_correct_the_luminosities_of_all(truth, stars):
    theta, spectra = stars
    result, error = learn_luminosities(shapes_of(truth, theta, spectra))
    off = error_of(result, truth, theta)
    assert abs(np.median(off)) < 0.03 and np.std(off) < 0.1
    assert result.data.constraints.absolute
    # The stars' amplitudes have become parallaxes.
    np.testing.assert_allclose(np.median(result.theta[:, 4] - np.log(theta[:, 4])), 0.0, atol=0.03)
    assert np.all(error(theta[:, :3]) < SCATTER)


def test_without_parallaxes_their_bias_stays_and_its_possible_size_is_the_error(truth, stars):
    theta, spectra = stars
    alone = spectra.replace(parallax_err=np.full(N_STAR, np.inf))
    result, error = learn_luminosities(shapes_of(truth, theta, alone))
    assert np.median(error_of(result, truth, theta)) == pytest.approx(BIAS, abs=0.03)
    known = np.where(IS_GIANT, ZERO_POINT_PRIOR, DWARF_ZERO_POINT_ERROR)
    # Stars between types have parts of several.
    assert np.all(error.error > 0.9 * np.hypot(known, SCATTER))
    assert error.error[IS_GIANT].min() > error.error[~IS_GIANT].max()


def test_shapes_remain_those_of_the_training(truth, stars):
    shapes = shapes_of(truth, *stars)
    result, _ = learn_luminosities(shapes)
    fix_gauge(result.forward, truth.trained_grid)
    known = truth.trained_grid
    before, after = (
        r.forward.ln_absolute_flux(stars[0][:, :3])[:, known] for r in (shapes, result)
    )
    np.testing.assert_allclose(after, before, atol=1e-10)


def test_stars_with_neither_do_not_matter(truth, stars):
    theta, spectra = stars
    labels = dict(spectra.labels)
    labels["ln_luminosity"] = np.where(np.arange(N_STAR) < 1200, labels["ln_luminosity"], np.nan)
    known = np.arange(N_STAR) < 1200
    some = spectra.replace(
        labels=labels, parallax_err=np.where(known, spectra.parallax_err, np.inf)
    )
    result, _ = learn_luminosities(shapes_of(truth, theta, some))
    assert abs(np.median(error_of(result, truth, theta))) < 0.04


def test_luminosities_need_their_labels_and_flux_at_wavelengths(truth, stars):
    shapes = shapes_of(truth, *stars)
    with pytest.raises(InputError, match="logg"):
        learn_luminosities(replace(shapes, label_names=("teff", "feh", "alpha_m")))
    with pytest.raises(InputError, match="parallaxes or luminosities"):
        neither = stars[1].replace(labels={k: stars[1].labels[k] for k in truth.label_names},
                                   label_err={k: stars[1].label_err[k] for k in truth.label_names},
                                   parallax_err=np.full(N_STAR, np.inf))  # fmt: skip
        train_model(neither, rng=np.random.default_rng(1), absolute=True)


def test_least_squares_recover_coefficients_despite_outliers(rng):
    design = np.column_stack([rng.standard_normal((3000, 2)), np.ones(3000)])
    truth = np.array([0.5, -0.3, 1.0])
    target = design @ truth + 0.1 * rng.standard_normal(3000)
    target[::20] += 3.0
    found, covariance = robust_least_squares(design, target, np.full(3000, 0.1), np.full(3, np.inf))
    np.testing.assert_allclose(found, truth, atol=0.02)
    # Without outliers, errors are right: the pulls of many draws have unit width.
    pulls = []
    for _ in range(200):
        noisy = design[:100] @ truth + 0.1 * rng.standard_normal(100)
        found, covariance = robust_least_squares(
            design[:100], noisy, np.full(100, 0.1), np.full(3, np.inf)
        )
        pulls.append((found - truth) / np.sqrt(np.diag(covariance)))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


def test_scatter_is_that_of_each_type(rng):
    weights = np.repeat(np.eye(2), 3000, axis=0)
    error = np.full(6000, 0.05)
    true = np.repeat([0.1, 0.3], 3000)
    residual = np.hypot(true, error) * rng.standard_normal(6000)
    np.testing.assert_allclose(scatter_by_type(weights, residual, error), [0.1, 0.3], rtol=0.1)
    np.testing.assert_allclose(scatter_by_type(weights[:0], residual[:0], error[:0]), SCATTER)
