"""What the cuts of the README let pass, with the shipped model and its classifiers."""

from pathlib import Path

import numpy as np
import pytest

import xpfit
from xpfit.catalogue.cuts import passes
from xpfit.data import Spectra
from xpfit.model.bolometric import planck
from xpfit.quality import confidence_for

N = 100
CUTS = ("reliable", "confident", "teff", "feh", "logg")


@pytest.fixture(scope="module")
def model():
    return xpfit.load_model()


@pytest.fixture(scope="module")
def stars(sample_path, model) -> Spectra:
    """Every twentieth star of the sample."""
    return xpfit.read_spectra(sample_path, space=model.space)[::20]


@pytest.fixture(scope="module")
def passing(model):
    """Function: share of spectra that pass any of the cuts, or have no quality flag."""

    def share(spectra: Spectra) -> float:
        table = xpfit.result_table(
            model, spectra, xpfit.fit_spectra(model, spectra, progress=False)
        )
        any_cut = np.asarray(table["quality_flags"]) == 0
        for cut in CUTS:
            any_cut |= passes(table, [cut])
        return float(any_cut.mean())

    return share


def with_flux(stars, flux, noise=1.0, seed=1):
    """Spectra as bright as some stars, with their errors."""
    xp = ~stars.space.is_band_channel
    norm = np.linalg.norm(stars.flux[:, xp], axis=1) / np.linalg.norm(flux[:, xp], axis=1)
    used = np.isfinite(stars.flux_err)
    error = np.where(used, stars.flux_err, 0.0)
    drawn = noise * error * np.random.default_rng(seed).standard_normal(error.shape)
    flux = np.where(used, flux * norm[:, None] + drawn, stars.flux)
    return stars.replace(flux=flux, labels={}, label_err={})


def test_stars_pass(passing, stars):
    assert passing(stars) > 0.8


def test_noise_does_not_pass(passing, stars):
    noise = np.random.default_rng(0).standard_normal(stars.flux.shape)
    error = np.where(np.isfinite(stars.flux_err), stars.flux_err, 0.0)
    assert passing(stars.replace(flux=noise * error)) == 0.0


def test_scrambled_spectra_do_not_pass(passing, stars):
    rng, xp = np.random.default_rng(0), np.flatnonzero(~stars.space.is_band_channel)
    flux = stars.flux.copy()
    for row in flux:
        row[xp] = row[rng.permutation(xp)]
    assert passing(stars.replace(flux=flux)) == 0.0


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_black_bodies_do_not_pass(passing, stars, noise):
    teff = np.exp(np.linspace(np.log(2.5), np.log(30.0), len(stars)))
    assert passing(with_flux(stars, planck(stars.wavelength, teff), noise)) <= 0.02


@pytest.mark.filterwarnings("ignore:the errors of these spectra")
def test_proxima_centauri_does_not_pass_at_any_brightness(passing, stars, model):
    """A dwarf of 2990 K (its XP spectrum, sampled by GaiaXPy), cooler than any in training."""
    path = Path(__file__).parents[1] / "data" / "proxima_sampled.ecsv"
    proxima = xpfit.read_spectra(path, model=model)
    without_bands = stars.keep_channels(~stars.space.is_band_channel)
    assert passing(with_flux(without_bands, np.tile(proxima.flux, (len(stars), 1)))) == 0.0
    table = xpfit.result_table(model, proxima, xpfit.fit_spectra(model, proxima, progress=False))
    assert table["teff_err"][0] > abs(table["teff"][0] - 2990.0)
    assert table["teff_confidence"][0] < 0.5


def test_the_classifiers_know_other_kinds(model):
    assert len(confidence_for(model).parameters) == 4
