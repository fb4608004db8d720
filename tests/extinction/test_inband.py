from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from internal import coefficient_twin
from scipy.constants import c, h, k

import xpfit
from xpfit import InputError
from xpfit.extinction import (
    ModelExtinction,
    Passband,
    in_band_extinction,
    named_passband,
    published_curve,
)
from xpfit.model import ccm89_curve
from xpfit.model.absolute import extinction_in_g
from xpfit.read import read_library

GAIA = ("G", "BP", "RP")
BANDS = [named_passband(name) for name in ("V", "B", *GAIA)]
TYPES = np.array([[5.77, 0.0, 4.44], [4.6, -0.3, 2.3], [3.6, -0.1, 4.7]])
"""A solar-type dwarf, a giant and a cool dwarf."""


def direct(passband, ln_flux, extinction, r_v=3.1):
    """The integral in steps of 0.01 nm, with CCM89 written out anew (their eqs. 2 and 3)."""
    at = np.arange(passband.wavelength[0], passband.wavelength[-1], 0.01)
    x = 1000.0 / at
    y = x - 1.82
    a = 1 + 0.17699 * y - 0.50447 * y**2 - 0.02427 * y**3 + 0.72085 * y**4
    a += 0.01979 * y**5 - 0.77530 * y**6 + 0.32999 * y**7
    b = 1.41338 * y + 2.28305 * y**2 + 1.07233 * y**3 - 5.38434 * y**4
    b += -0.62251 * y**5 + 5.30260 * y**6 - 2.09002 * y**7
    relative = np.where(x < 1.1, (0.574 - 0.527 / r_v) * x**1.61, a + b / r_v)
    transmission = 10.0 ** (-0.4 * extinction * r_v * relative)
    response = np.interp(at, passband.wavelength, passband.response)
    signal = np.exp(ln_flux(at)) * response * (at if passband.counts == "photons" else 1.0)
    return -2.5 * np.log10(np.sum(signal * transmission) / np.sum(signal))


def planck(wavelength, teff):
    """Flux of a black body, of any scale."""
    metres = 1e-9 * wavelength
    return metres**-5 / np.expm1(h * c / (k * metres * teff))


@pytest.mark.parametrize("extinction", [0.01, 1.0, 6.0])
@pytest.mark.parametrize("teff", [3000.0, 5772.0, 20_000.0])
def test_black_bodies_agree_with_a_direct_integral(teff, extinction):
    wavelength = np.arange(300.0, 1201.0, 2.0)
    flux = planck(wavelength, teff)[None]
    for passband in BANDS:
        value = in_band_extinction(passband, wavelength, flux, published_curve("CCM89"), extinction)
        expected = direct(passband, lambda at: np.log(planck(at, teff)), extinction)
        assert value[0] == pytest.approx(expected, abs=1e-4)


def library_types(path):
    """Spectra of a dwarf, a giant and the hottest star of the sample, 320-1100 nm."""
    table = read_library(path)
    teff, logg = (np.ma.filled(table[name].astype(float), np.nan) for name in ("teff", "logg"))
    bright = np.asarray(table["gaiaedr3_phot_g_mean_mag"]) < 13.0
    dwarf = np.flatnonzero(bright & (np.abs(teff - 5800) < 100) & (logg > 4.2))[0]
    giant = np.flatnonzero(bright & (np.abs(teff - 4300) < 100) & (logg < 2.0))[0]
    hot = np.nanargmax(np.where(bright, teff, np.nan))
    assert teff[hot] > 8000
    wavelength = np.arange(336.0, 1021.0, 2.0)
    flux = np.array([np.asarray(table["flux"][row], dtype=float) for row in (dwarf, giant, hot)])
    flux = np.maximum(flux, 1e-3 * flux.max(axis=1, keepdims=True))
    ends = np.concatenate([[320.0], wavelength, [1100.0]])
    return ends, np.hstack([flux[:, :1], flux, flux[:, -1:]])


def test_library_stars_agree_with_a_direct_integral(sample_path):
    wavelength, flux = library_types(sample_path)
    for passband in (named_passband(name) for name in GAIA):
        value = in_band_extinction(passband, wavelength, flux, published_curve("CCM89"), 1.0)
        for star, spectrum in zip(value, flux, strict=True):
            expected = direct(
                passband,
                lambda at, f=spectrum: np.interp(np.log(at), np.log(wavelength), np.log(f)),
                1.0,
            )
            assert star == pytest.approx(expected, abs=1e-4)


def continued(model, labels):
    """A model's spectrum as the module's text says, written out star by star."""
    used = model.trained_grid
    order = np.argsort(model.wavelength[used])
    wavelength = model.wavelength[used][order]
    flux = np.exp(model.forward.ln_absolute_flux(labels[None])[0][used][order])

    def ln_flux(at):
        factor = np.log(flux / planck(wavelength, 1e3 * labels[0]))
        return np.log(planck(at, 1e3 * labels[0])) + np.interp(
            np.log(at), np.log(wavelength), factor
        )

    return ln_flux


@pytest.mark.parametrize("own_curve", [True, False])
def test_types_of_a_model_agree_with_a_direct_integral(model, own_curve):
    """Under CCM89 as a published curve, and as the curve that the model has learned."""
    curve = published_curve("CCM89")
    if own_curve:
        forward = replace(model.forward, parameters=model.forward.parameters.copy())
        forward.ln_curve[:] = np.log(ccm89_curve(model.wavelength))
        model, curve = replace(model, forward=forward), None
    extinction = ModelExtinction(model, BANDS, curve)
    parameters = np.column_stack([TYPES, np.full(3, 0.8), np.ones(3)])
    value = extinction.extinction(parameters)
    for star, labels in zip(value, TYPES, strict=True):
        ln_flux = continued(model, labels)
        expected = [direct(passband, ln_flux, 0.8) for passband in BANDS]
        np.testing.assert_allclose(star, expected, atol=1e-4)


@pytest.mark.parametrize("curve", [None, published_curve("CCM89", 2.8)])
def test_derivatives_are_exact(varying_model, curve):
    extinction = ModelExtinction(varying_model, BANDS, curve)
    parameters = np.column_stack([TYPES, [0.0, 0.7, 3.0], np.ones(3), [0.0, 1.2, -0.8]])
    parameters[0, 3] = 0.05
    _, gradient = extinction.with_gradient(parameters)
    for star in range(3):
        numerical = numerical_gradient(
            lambda x: extinction.extinction(x[None])[0], parameters[star], step=1e-4
        )
        assert_close_derivative(gradient[star], numerical)
    assert np.any(gradient[:, :, 5]) == (curve is None)  # xi


def test_errors_are_those_of_parameters_that_scatter(varying_model, rng):
    extinction = ModelExtinction(varying_model, BANDS)
    mean = np.array([5.5, -0.2, 4.0, 0.5, 1.0, 0.3])
    root = np.tril(rng.normal(size=(6, 6))) * 0.3
    scale = np.array([0.05, 0.05, 0.1, 0.02, 0.05, 0.2])
    covariance = scale[:, None] * (root @ root.T + 0.5 * np.eye(6)) * scale
    value, error = extinction.with_error(mean[None], covariance[None])
    drawn = extinction.extinction(rng.multivariate_normal(mean, covariance, 4000))
    np.testing.assert_allclose(drawn.mean(axis=0), value[0], atol=0.05 * error[0].max())
    np.testing.assert_allclose(drawn.std(axis=0), error[0], rtol=0.05)


def test_extinction_is_zero_without_dust_and_unknown_without_parameters(model):
    extinction = ModelExtinction(model, BANDS)
    parameters = np.tile([5.5, 0.0, 4.0, 0.0, np.nan], (3, 1))
    parameters[1, 0], parameters[2, 3] = np.nan, np.nan
    value, gradient = extinction.with_gradient(parameters)
    np.testing.assert_array_equal(value[0], 0.0)
    assert np.isnan(value[1:]).all() and np.isnan(gradient[1:]).all()
    assert np.isfinite(gradient[0]).all()


def test_how_much_of_a_passband_is_continued_is_known_and_limited(model):
    extinction = ModelExtinction(model, [named_passband("BP"), named_passband("V")])
    assert 0.04 < extinction.shares[0, 1] < 0.06 and extinction.shares[1].max() == 0.0
    with pytest.raises(InputError, match=r"passband BP: .* % of it lie outside 392 to "):
        ModelExtinction(model, [named_passband("BP")], max_outside=0.04)
    ultraviolet = Passband("NUV", np.array([200.0, 280.0]), np.ones(2))
    with pytest.raises(InputError, match=r"passband NUV: 100.0 % .* 300 to 5000 nm"):
        ModelExtinction(model, [ultraviolet])
    with pytest.raises(InputError, match=r"passband BP: .* the spectra end"):
        in_band_extinction(
            named_passband("BP"), np.array([400.0, 500.0]), np.ones((1, 2)), lambda x: x, 1.0
        )


@pytest.mark.parametrize(
    ("flux", "problem"), [(np.ones((1, 3)), "shape"), (np.array([[1.0, 0.0]]), "positive")]
)
def test_spectra_that_cannot_be_integrated_are_refused(flux, problem):
    with pytest.raises(InputError, match=problem):
        in_band_extinction(named_passband("V"), np.array([400.0, 800.0]), flux, lambda x: x, 1.0)


def test_models_without_wavelengths_are_refused(model):
    with pytest.raises(InputError, match="sampled space"):
        ModelExtinction(coefficient_twin(model), BANDS)


def test_more_dust_means_less_extinction_per_dust():
    """What is left of a star's light behind dust is redder, where dust takes less (V to G)."""
    model = xpfit.load_model()
    extinction = ModelExtinction(model, [named_passband("G")])
    dust = np.array([0.01, 1.0, 3.0])
    parameters = np.column_stack([np.tile([5.0, 0.0, 4.5, 0.0], (3, 1)), dust, np.ones(3)])
    ratio = extinction.extinction(parameters)[:, 0] / dust
    assert ratio[0] > 1.1 * ratio[1] > 1.2 * ratio[2]


def test_the_extinction_in_g_of_absolute_magnitudes_is_the_same():
    """`xpfit.model.absolute` works on the samples alone, with an effective passband."""
    model = xpfit.load_model()
    parameters = np.column_stack(
        [[[5.8, 0.0, 4.4, 0.0], [4.5, -0.3, 2.0, 0.1], [3.8, 0.0, 4.7, 0.0]], np.ones((3, 2))]
    )
    value = ModelExtinction(model, [named_passband("G")]).extinction(parameters)[:, 0]
    np.testing.assert_allclose(value, extinction_in_g(model, parameters), atol=0.01)
