from dataclasses import replace

import numpy as np
import pytest
from helpers import simulate

from xpfit.data import UNRELIABLE, FitFlag
from xpfit.fit import Fitter
from xpfit.fit.misfit import EMISSION_LINES, line_shapes, variance_factor
from xpfit.quality import fit_flags, is_reliable, quality_flags

N = 80


@pytest.fixture(scope="module")
def stars(absolute_model):
    """Simulated stars with photometry and parallaxes of 2 %, and their reliable fits."""
    truth, spectra = simulate(absolute_model, 200, np.random.default_rng(5), relative_error=0.01)
    inside = np.argsort(absolute_model.prior.ln_p(truth[:, :3]))[-N:]
    spectra, truth = spectra[inside], truth[inside]
    parallax = truth[:, 4]
    noise = np.random.default_rng(6).normal(size=N)
    error = 0.02 * parallax
    return spectra.replace(parallax=parallax + error * noise, parallax_err=error)


@pytest.fixture(scope="module")
def flags_of(absolute_model):
    """Function: fit flags of spectra, and whether they are reliable."""
    fitter = Fitter(absolute_model)

    def flags(spectra):
        result = fitter.fit(spectra, progress=False)
        flags = fit_flags(absolute_model, spectra, result)
        quality = quality_flags(absolute_model, spectra, result, np.ones((len(spectra), 3)))
        return flags, is_reliable(quality, flags)

    return flags


def share(flags, flag):
    return np.mean((flags & int(flag)) != 0)


def test_hardly_any_clean_star_is_flagged(stars, flags_of):
    flags, _ = flags_of(stars)
    new = UNRELIABLE & ~FitFlag.OUT_OF_RANGE & ~FitFlag.NOT_CONVERGED
    assert share(flags, new) <= 0.025


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_parallax_that_is_wrong_by_a_factor_of_three_is_not_reliable(stars, flags_of, factor):
    wrong = stars.replace(
        parallax=factor * stars.parallax, parallax_err=factor * stars.parallax_err
    )
    flags, reliable = flags_of(wrong)
    assert reliable.mean() < 0.05
    assert share(flags, FitFlag.PARALLAX_TENSION) > 0.8


def test_another_star_s_photometry_is_not_reliable(stars, flags_of, absolute_model):
    bands = absolute_model.space.is_band_channel
    other = np.roll(np.arange(len(stars)), 1)
    wrong = stars.replace(flux=np.where(bands, stars.flux[other], stars.flux))
    flags, reliable = flags_of(wrong)
    assert reliable.mean() < 0.05
    assert share(flags, FitFlag.BAND_TENSION) > 0.8


def test_one_band_that_is_off_is_noticed_with_its_sign(stars, absolute_model):
    channel = absolute_model.space.band_channel(2159.0)
    for sign in (1.0, -1.0):
        flux = stars.flux.copy()
        flux[:, channel] += sign * 12.0 * stars.flux_err[:, channel]
        pull = Fitter(absolute_model).fit(stars.replace(flux=flux), progress=False).band_pull
        assert np.mean(sign * pull > 5.0) > 0.95


def test_an_emission_line_is_noticed_and_an_absorption_line_is_not(stars, flags_of, absolute_model):
    shape = line_shapes(absolute_model.space)[0] * np.median(stars.flux[:, :61], axis=1)[:, None]
    flags, reliable = flags_of(stars.replace(flux=stars.flux + 0.1 * shape))
    assert share(flags, FitFlag.EMISSION_LINES) == 1.0 and not reliable.any()
    flags, _ = flags_of(stars.replace(flux=stars.flux - 0.1 * shape))
    assert share(flags, FitFlag.EMISSION_LINES) == 0.0


def test_lines_are_where_they_belong_and_as_wide_as_gaia_s_resolution(model):
    shapes = line_shapes(model.space)
    wavelength = model.space.wavelength
    for (line, _), shape in zip(EMISSION_LINES, shapes, strict=True):
        assert not shape[np.abs(wavelength - line) > 30].any()
        if wavelength[0] < line - 15:
            assert np.sum(shape * wavelength) / shape.sum() == pytest.approx(line, abs=2.0)
        else:
            assert not shape.any()


def test_spectra_without_photometry_have_no_band_that_is_off(stars, absolute_model):
    bands = absolute_model.space.is_band_channel
    without = stars.keep_channels(~bands)
    result = Fitter(absolute_model).fit(without, progress=False)
    assert np.isnan(result.band_pull).all() and np.isfinite(result.emission).all()


@pytest.mark.parametrize("scale", [1e6, 1e-10])
def test_a_spectrum_in_a_wrong_unit_is_flagged(stars, flags_of, absolute_model, scale):
    unknown = np.full(len(stars), np.inf)
    wrong = replace(
        stars, flux=scale * stars.flux, flux_err=scale * stars.flux_err, whitener=None,
        parallax_err=unknown,
    )  # fmt: skip
    flags, reliable = flags_of(wrong)
    assert share(flags, FitFlag.IMPOSSIBLE_SCALE) > 0.95 and not reliable.any()


def test_noise_says_less_than_the_prior_and_is_not_reliable(stars, flags_of):
    noise = np.random.default_rng(0).normal(size=stars.flux.shape)
    faint = np.where(np.isfinite(stars.flux_err), stars.flux_err, 0.0) * (noise + 0.5)
    flags, reliable = flags_of(stars.replace(flux=faint, parallax_err=np.full(N, np.inf)))
    assert share(flags, FitFlag.UNINFORMATIVE) > 0.95 and not reliable.any()


def test_variances_grow_by_the_excess_of_chi2_over_twice_its_mean():
    chi2, dof = np.array([10.0, 100.0, 101.0, 300.0, np.nan]), np.full(5, 50)
    np.testing.assert_allclose(variance_factor(chi2, dof), [1, 1, 2, 201, 1])


def test_errors_of_spectra_that_the_model_does_not_know_cover_the_truth(stars, absolute_model):
    """A broad feature that no stellar type has moves the parameters."""
    wavelength = absolute_model.space.wavelength
    dip = 1.0 - 0.15 * np.exp(-0.5 * ((wavelength - 700.0) / 60.0) ** 2)
    fitter = Fitter(absolute_model)
    good = fitter.fit(stars, progress=False)
    wrong = fitter.fit(stars.replace(flux=stars.flux * dip), progress=False)
    moved = np.abs(wrong["teff"] - good["teff"])
    unscaled = wrong.error("teff") / np.sqrt(variance_factor(wrong.chi2, wrong.dof))
    assert np.median(moved / unscaled) > 5.0
    assert np.median(moved / wrong.error("teff")) < 1.5


def test_parallax_misfit_is_the_fall_of_the_loss_without_the_parallax(stars, absolute_model):
    wrong = stars.replace(
        parallax=1.4 * stars.parallax, parallax_err=stars.parallax_err * np.repeat([1, 5], N // 2)
    )
    fitter = Fitter(absolute_model, multistart=True)
    found = Fitter(absolute_model).fit(wrong, progress=False)
    alone = fitter.fit(wrong.replace(parallax_err=np.full(N, np.inf)), progress=False)
    # The model's prior is flat in the parallax, which is worth 2 ln of it.
    flat = 2.0 * np.log(found["parallax"] / alone["parallax"])
    expected = found.loss - alone.loss + flat
    looked_at = found.parallax_misfit > 0
    close = np.abs(found.parallax_misfit - expected)[looked_at] < 0.02 * expected[looked_at] + 0.1
    assert looked_at.mean() > 0.5 and close.mean() > 0.9
    assert np.isnan(alone.parallax_misfit).all()
