from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import assert_close_derivative, numerical_gradient, simulate, without_weight

from xpfit import InputError, read_catalogue, read_spectra
from xpfit.cli import main
from xpfit.companion import ScatterAutoencoder, ScatterSettings, load_companion

QUICK = ScatterSettings(
    hidden=(40, 20, 10), n_latent=4, n_epochs=120, cycle=40, batch_size=128, learning_rate=4e-3
)


def spectra_of(model, n, seed):
    return simulate(model, n, np.random.default_rng(seed), relative_error=0.02)[1]


@pytest.fixture(scope="module")
def stars(model):
    return spectra_of(model, 2500, 1)


@pytest.fixture(scope="module")
def trained(stars):
    return ScatterAutoencoder(settings=QUICK).fit(
        stars, rng=np.random.default_rng(3), progress=False
    )


def test_gradient_of_the_evidence_bound_is_exact(trained, stars, rng):
    small = ScatterAutoencoder(settings=ScatterSettings(hidden=(5, 4), n_latent=2))
    small.features_ = trained.features_
    parameters = np.concatenate([network.initialise(rng) for network in small.networks])
    inputs, variance = small._inputs(stars[np.arange(6)])

    def loss(p):
        return small._loss(p, inputs, variance, np.random.default_rng(7))

    numerical = numerical_gradient(lambda p: loss(p)[0], parameters)
    assert_close_derivative(loss(parameters)[1], numerical, 1e-5)


def test_new_spectra_pass_through_with_the_scatter_that_is_claimed(model, trained):
    spectra = spectra_of(model, 600, 2)
    out = trained.predict(spectra)
    assert 0.6 < np.median(out.chi2) < 1.6
    true = trained.features_.relative_flux(trained.features_.inputs(spectra))
    error = np.abs(out.flux / true - 1.0)
    assert np.median(error) < 0.03  # two per cent of it are noise
    assert out.latent.shape == (600, 4) and np.all(out.latent_err > 0)


def test_odd_spectra_do_not_pass_through(model, trained):
    spectra = spectra_of(model, 300, 4)
    usual = trained.predict(spectra).chi2
    flux = spectra.flux.copy()
    flux[:, 20:30] *= 1.3
    assert (
        np.mean(trained.predict(spectra.replace(flux=flux)).chi2 > np.quantile(usual, 0.98)) > 0.9
    )


def test_what_is_unknown_has_no_say_and_blind_stars_are_unknown(trained, stars):
    channel = int(np.flatnonzero(trained.features_.channels)[12])
    flux = stars.flux[:3].copy()
    flux[0, channel] = 1e9
    some = stars[np.arange(3)].replace(flux=flux)
    some = without_weight(without_weight(some, 0, channel), 1)
    out = trained.predict(some)
    assert np.isnan(out.chi2[1]) and np.isnan(out.latent[1]).all()
    assert np.isfinite(out.chi2[[0, 2]]).all() and out.chi2[0] < 10.0


def test_commands_train_and_predict(sample_path, tmp_path, capsys):
    few, companion, output = (tmp_path / name for name in ("few.fits", "c.h5", "out.fits"))
    Table.read(sample_path)[:300].write(few)
    command = ["companion", "train", str(few), "--kind", "svae", "--output", str(companion)]
    assert main([*command, "--n-epochs", "3", "--quiet"]) == 0
    command = ["companion", "predict", str(few), "--companion", str(companion)]
    assert main([*command, "--output", str(output), "--quiet"]) == 0
    table = read_catalogue(output)
    assert table["latent"].shape == (300, 6)
    assert np.isfinite(table["reconstruction_chi2"]).all()
    fit = ["fit", str(few), "--start-from", str(companion), "--output", str(tmp_path / "f.fits")]
    assert main(fit) == 1
    assert "does not predict starts" in capsys.readouterr().err


def test_the_shipped_auto_encoder_reconstructs_stars_that_it_never_saw(companion_path, sample_path):
    network = load_companion(companion_path.with_name("companion_svae.h5"))
    stars = read_spectra(sample_path, space=network.space)
    out, features = network.predict(stars), network.features_
    true = features.relative_flux(features.inputs(stars))
    error = np.abs(np.median(np.abs(out.flux / true - 1.0), axis=0))
    at = network.space.wavelength[features.channels]
    assert np.median(error[(at >= 550) & (at <= 900)]) < 0.008
    assert 0.6 < np.median(out.chi2) < 1.1


def test_labels_are_not_used(stars, rng):
    short, few = replace(QUICK, n_epochs=4, cycle=4), stars[np.arange(400)]
    labelled = replace(
        few,
        labels={"teff": rng.uniform(4, 6, 400)},
        label_err={"teff": np.full(400, 0.1)},
    )
    without, with_labels = (
        ScatterAutoencoder(settings=short).fit(s, rng=np.random.default_rng(5), progress=False)
        for s in (few, labelled)
    )
    np.testing.assert_array_equal(without.parameters_, with_labels.parameters_)
    with pytest.raises(InputError, match="n_latent"):
        ScatterSettings(n_latent=0)
