from dataclasses import replace

import numpy as np
import pytest
from helpers import numerical_gradient, random_full_whiteners, simulate

from xpfit import InputError
from xpfit.companion import Features, UncertainNetwork, UncertainSettings
from xpfit.companion.colours import (
    COLOURS,
    colour_slopes,
    colours,
    gaia_colour_err,
    pseudo_magnitude,
    rp_extinction,
)
from xpfit.constants import BANDS
from xpfit.prepare.magnitudes import band_flux


@pytest.fixture(scope="module")
def magnitudes():
    """J, H, Ks, W1, W2 of 200 stars: a dust-free one has H-W2 = 0.08."""
    rng = np.random.default_rng(5)
    j = rng.uniform(9.0, 12.0, 200)
    h = j - rng.uniform(0.2, 0.7, 200)
    w2 = h - 0.08 - np.where(np.arange(200) < 100, 0.1, -0.05)
    return {"J": j, "H": h, "Ks": h - 0.1, "W1": w2 + rng.uniform(-0.1, 0.1, 200), "W2": w2}


@pytest.fixture(scope="module")
def stars(model, magnitudes):
    """Simulated spectra with these bands, BP, RP and parallaxes."""
    rng = np.random.default_rng(6)
    spectra = simulate(model, 200, rng, relative_error=0.02)[1]
    flux, error = spectra.flux.copy(), spectra.flux_err.copy()
    for band in BANDS:
        channel = spectra.space.band_channel(band.wavelength)
        flux[:, channel], error[:, channel] = band_flux(magnitudes[band.name], 0.03, band)
    gaia = {
        "phot_bp_mean_mag": rng.uniform(12.0, 14.0, 200),
        "phot_rp_mean_mag": rng.uniform(10.0, 12.0, 200),
        "phot_bp_mean_flux_over_error": np.full(200, 100.0),
        "phot_rp_mean_flux_over_error": np.full(200, 200.0),
    }
    parallax = rng.uniform(0.5, 2.0, 200)
    return replace(
        spectra, flux=flux, flux_err=error, whitener=None, gaia=gaia,
        parallax=parallax, parallax_err=np.full(200, 0.1),
    )  # fmt: skip


def test_colours_are_differences_of_the_magnitudes(stars, magnitudes):
    found = dict(zip(COLOURS, colours(stars).T, strict=True))
    for name in COLOURS[1:]:
        first, second = name.split("-")
        np.testing.assert_allclose(found[name], magnitudes[first] - magnitudes[second])
    gaia = stars.gaia["phot_bp_mean_mag"] - stars.gaia["phot_rp_mean_mag"]
    np.testing.assert_array_equal(found["BP-RP"], gaia)
    np.testing.assert_allclose(gaia_colour_err(stars), 1.0857 * np.hypot(0.01, 0.005), rtol=1e-4)


def test_colours_of_bands_without_a_measurement_are_unknown(stars):
    error = stars.flux_err.copy()
    error[0, -1] = np.inf  # W2
    some = replace(stars, flux_err=error, whitener=None, gaia={})
    unknown = np.isnan(colours(some))
    assert unknown[0].tolist() == [True, False, True, True]
    assert unknown[1].tolist() == [True, False, False, False]


def test_slopes_of_colours_are_exact(stars):
    star = stars[[3]]
    slope = numerical_gradient(
        lambda flux: colours(replace(star, flux=flux[None]))[0, 1:], star.flux[0], 1e-4
    )
    np.testing.assert_allclose(colour_slopes(star)[0, 1:], slope, rtol=1e-6, atol=1e-12)


def test_extinction_is_that_of_the_excess_in_h_w2(stars):
    """RJCE: A(Ks) = 0.918 (H-W2 - 0.08), A(RP) = 0.589 / 0.078 A(Ks); none where H-W2 is less."""
    found = rp_extinction(stars)
    np.testing.assert_allclose(found[:100], 0.918 * 0.1 * 0.589 / 0.078)
    np.testing.assert_array_equal(found[100:], 0.0)


def test_pseudo_magnitudes_are_corrected_for_extinction(stars):
    value, error = pseudo_magnitude(stars, corrected=True)
    rp = stars.gaia["phot_rp_mean_mag"] - rp_extinction(stars)
    np.testing.assert_allclose(value, stars.parallax * 10.0 ** (0.2 * (rp - 15.0)))
    # Their appendix A: the fractional error is that of the parallax.
    np.testing.assert_allclose(error, value * stars.parallax_err / stars.parallax)
    plain, _ = pseudo_magnitude(stars, corrected=False)
    assert np.all(plain[:100] > value[:100]) and np.allclose(plain[100:], value[100:])


def test_colours_take_the_place_of_bands(stars):
    features = Features.learn(stars, with_colours=True)
    assert features.colours == COLOURS and features.with_parallax
    assert not features.channels[features.space.is_band_channel].any()
    inputs = features.inputs(stars)
    assert inputs.shape == (200, features.channels.sum() + 5)
    np.testing.assert_allclose(inputs.std(axis=0), 1.0)
    found = colours(stars)
    expected = (found - found.mean(axis=0)) / found.std(axis=0)
    np.testing.assert_allclose(inputs[:, -5:-1], expected, atol=1e-9)
    assert np.isnan(features.input_wavelength[-5:]).all()


def test_input_variance_of_colours_is_that_of_finite_differences(stars, rng):
    features, star = Features.learn(stars, with_colours=True), stars[[7]]
    covariance, whitener = random_full_whiteners(star.flux_err, rng)
    star = replace(star, whitener=whitener)
    jacobian = rng.standard_normal((1, 2, features.n_input))

    def outputs(flux):
        return (features.inputs(replace(star, flux=flux[None])) @ jacobian[0].T)[0]

    slope = numerical_gradient(outputs, star.flux[0], 1e-5)
    expected = np.einsum("ki,ij,kj->k", slope, covariance[0], slope)
    for place, error in ((-5, gaia_colour_err(star)[0]), (-1, None)):
        error = pseudo_magnitude(star, corrected=True)[1][0] if error is None else error
        expected += (jacobian[0, :, place] * error / features.scale[place]) ** 2
    assert rp_extinction(star) > 0, "whose error counts, too"
    np.testing.assert_allclose(features.input_variance(star, jacobian)[0], expected, rtol=1e-5)


def test_errors_of_colours_are_those_of_both_bands(stars):
    features = Features.learn(stars, with_colours=True)
    error = features.input_err(stars) * features.scale
    np.testing.assert_allclose(error[:, -4:-1], 0.03 * np.sqrt(2.0), rtol=1e-6)
    value, of_parallax = pseudo_magnitude(stars, corrected=True)
    of_dust = 0.2 * np.log(10.0) * value * 0.589 / 0.078 * 0.918 * 0.03 * np.sqrt(2.0)
    expected = np.hypot(of_parallax, np.where(rp_extinction(stars) > 0, of_dust, 0.0))
    np.testing.assert_allclose(error[:, -1], expected, rtol=1e-6)
    unknown = replace(stars, gaia={})
    assert np.isinf(features.input_err(unknown)[:, -5]).all()
    assert np.all(features.inputs(unknown)[:, -5] == 0.0), "as in the mean star"


def test_stars_without_photometry_have_no_colours_to_learn_from(stars):
    error = np.where(stars.space.is_band_channel, np.inf, stars.flux_err)
    blind = replace(stars, flux_err=error, whitener=None, gaia={})
    with pytest.raises(InputError, match="none of the colours BP-RP"):
        Features.learn(blind, with_colours=True)


def test_a_network_on_colours_survives_its_file(stars, tmp_path):
    from xpfit.companion import load_companion, save_companion

    rng = np.random.default_rng(1)
    labels = {"teff": rng.uniform(4.0, 6.0, 200)}
    labelled = replace(stars, labels=labels, label_err={"teff": np.zeros(200)})
    settings = UncertainSettings(hidden=(4,), n_epochs=2, colours=True)
    network = UncertainNetwork(("teff",), settings).fit(labelled, rng=rng, progress=False)
    save_companion(network, tmp_path / "c.h5")
    again = load_companion(tmp_path / "c.h5")
    assert again.features_.colours == COLOURS and again.fingerprint == network.fingerprint
    few = labelled[np.arange(5)]
    np.testing.assert_array_equal(again.predict(few).values, network.predict(few).values)
