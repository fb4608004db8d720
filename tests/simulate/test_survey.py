import h5py
import numpy as np
import pytest

from xpfit import InputError, load_model, read_spectra
from xpfit.cli import main
from xpfit.simulate import SurveySettings, iterate_survey, read_truth, simulate_survey, write_survey
from xpfit.simulate.noise import XPNoise, g_magnitude, gaia_parallax_err
from xpfit.simulate.survey import CHUNK


@pytest.fixture(scope="module")
def survey(model):
    settings = SurveySettings(binary_fraction=0.2, wrong_label_fraction=0.05)
    return simulate_survey(model, 3000, np.random.default_rng(1), settings)


def expected_flux(model, truth):
    """The flux that single stars have without noise."""
    dust = truth["extinction"][:, None] * model.forward.extinction_curve
    return np.exp(truth["ln_absolute_flux"] - dust) * truth["parallax"][:, None] ** 2


def test_noise_is_that_of_the_covariances(model, survey):
    single = survey.truth["mass_ratio"] == 0
    residual = survey.spectra.flux - np.nan_to_num(expected_flux(model, survey.truth))
    white = survey.spectra.whitener(residual)[single]
    chi2 = np.sum(white**2, axis=1)
    assert np.mean(chi2) == pytest.approx(64.0, abs=4 * np.sqrt(2 * 64 / single.sum()))
    assert np.var(chi2) == pytest.approx(128.0, rel=0.15)
    pull = residual[single][:, :64] / survey.spectra.flux_err[single][:, :64]
    np.testing.assert_allclose(np.std(pull, axis=0), 1.0, atol=0.08)


def test_errors_of_flux_are_correlated_between_wavelengths(survey):
    covariance = survey.spectra.whitener[[0]].covariance()[0, :61, :61]
    sigma = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sigma, sigma)
    assert np.abs(correlation[np.arange(60), np.arange(1, 61)]).max() > 0.5


@pytest.mark.parametrize("name", ["teff", "feh", "logg", "parallax", "extinction"])
def test_measured_quantities_scatter_by_their_errors(survey, name):
    spectra, truth = survey.spectra, survey.truth
    if name in spectra.labels:
        column = list(spectra.labels).index(name)
        pull = (spectra.labels[name] - truth["labels"][:, column]) / spectra.label_err[name]
        pull = pull[~truth["wrong_label"]]
    else:
        pull = (getattr(spectra, name) - truth[name]) / getattr(spectra, f"{name}_err")
    assert np.std(pull) == pytest.approx(1.0, abs=0.05)
    assert np.mean(pull) == pytest.approx(0.0, abs=0.08)


def test_shares_of_binaries_and_wrong_labels_are_those_asked_for(survey):
    truth = survey.truth
    dwarf = truth["labels"][:, 2] > 3.8
    assert not truth["mass_ratio"][~dwarf].any()
    assert np.mean(truth["mass_ratio"][dwarf] > 0) == pytest.approx(0.2, abs=0.04)
    assert np.mean(truth["wrong_label"]) == pytest.approx(0.05, abs=0.015)
    ratio = truth["mass_ratio"][truth["mass_ratio"] > 0]
    assert ratio.min() >= 0.3 and ratio.max() <= 1.0
    assert np.mean(ratio > 0.95) == pytest.approx(0.4, abs=0.08)
    wrong = truth["wrong_label"]
    shift = np.abs(survey.spectra.labels["teff"] - truth["labels"][:, 0])
    assert np.median(shift[wrong]) > 5 * np.median(shift[~wrong])


def test_twins_are_twice_as_bright(model, survey):
    twin = survey.truth["mass_ratio"] > 0.99
    ratio = survey.spectra.flux / expected_flux(model, survey.truth)
    assert twin.sum() > 5
    assert np.median(ratio[twin][:, 25:40]) == pytest.approx(2.0, abs=0.1)


def test_magnitudes_and_parallax_errors_are_gaia_s(survey):
    g = g_magnitude(survey.spectra.wavelength, survey.spectra.flux)
    assert g.min() > 7.8 and g.max() < 15.2
    faint, bright = g > 14, g < 10
    assert faint.sum() > 2 * bright.sum()
    np.testing.assert_allclose(survey.spectra.parallax_err[bright], gaia_parallax_err(10.0))
    # Gaia DR3: 0.01-0.02 mas at G < 15, 0.05 at 17, 0.4 at 20.
    np.testing.assert_allclose(
        gaia_parallax_err(np.array([10.0, 15.0, 17.0, 20.0])), [0.014, 0.029, 0.08, 0.55], rtol=0.2
    )


def test_library_errors_are_those_of_the_noise_model(sample):
    """At magnitudes where photons limit; per wavelength within a factor of 1.5."""
    at = sample.wavelength[:61]
    flux = np.maximum(sample.flux[:, :61], 0.0)
    noise = XPNoise(at)
    noise.settings = type(noise.settings)(0.0, 0.0, 0.0)
    g = g_magnitude(at, np.maximum(flux, 1e-3))
    chosen = np.flatnonzero(
        (g > 12) & (g < 13.5) & np.isfinite(sample.flux_err[:, :61]).all(axis=1)
    )
    predicted = np.sqrt(np.diagonal(noise.covariance(flux[chosen]), axis1=1, axis2=2))
    ratio = np.median(predicted / sample.flux_err[chosen, :61], axis=0)
    assert np.all((ratio[10:] > 0.6) & (ratio[10:] < 1.7))


def test_chunks_are_of_fixed_size_and_seeds_repeat(model):
    rng = np.random.default_rng(3)
    parts = list(iterate_survey(model, CHUNK + 5, rng))
    assert [len(part.spectra) for part in parts] == [CHUNK, 5]
    again = simulate_survey(model, CHUNK + 5, np.random.default_rng(3))
    np.testing.assert_array_equal(again.spectra.flux[CHUNK:], parts[1].spectra.flux)
    assert len(np.unique(again.spectra.source_id)) == CHUNK + 5


def test_types_are_drawn_from_those_given(model):
    types = np.array([[5.0, 0.0, 2.9], [5.7, -0.3, 4.2], [50.0, 0.0, 4.0]])
    truth = simulate_survey(model, 300, np.random.default_rng(1), types=types).truth
    nearest = np.min(np.abs(truth["labels"][:, None, 0] - types[None, :, 0]), axis=1)
    assert nearest.max() < 0.1
    with pytest.raises(InputError, match="none of the given types"):
        simulate_survey(model, 10, np.random.default_rng(1), types=types[2:])


@pytest.mark.parametrize(
    "wrong", [{"binary_fraction": 1.5}, {"g_limits": (15, 9)}, {"label_err": 0.0}]
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        SurveySettings(**wrong)


def test_command_writes_spectra_and_truth(sample_path, tmp_path, capsys):
    out = tmp_path / "survey.h5"
    arguments = ["simulate", "--n", "150", "--seed", "4", "--output", str(out), "--library",
                 str(sample_path), "--binaries", "0.2"]  # fmt: skip
    assert main(arguments) == 0
    assert "150 stars" in capsys.readouterr().out
    spectra, truth = read_spectra(out), read_truth(out)
    model = load_model()
    assert len(spectra) == 150 and spectra.space.matches(model.space)
    assert np.isfinite(spectra.parallax_err).all() and set(spectra.labels) == set(model.label_names)
    assert truth["labels"].shape == (150, len(model.label_names))
    np.testing.assert_array_equal(truth["extinction_curve"], model.forward.extinction_curve)
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments[:2], "0", *arguments[3:], "--overwrite"]) == 1
    assert "at least one star" in capsys.readouterr().err
    with pytest.raises(InputError, match="not a simulated survey"):
        read_truth(sample_path)


def test_a_truth_that_was_changed_is_refused(model, tmp_path, monkeypatch):
    path = tmp_path / "survey.h5"
    write_survey(iterate_survey(model, 5, np.random.default_rng(1)), model, path)
    before = read_truth(path)
    with h5py.File(path, "r+") as file:
        file["truth/labels"][2, 0] += 1e-9
    with pytest.raises(InputError, match="checksum of the truth does not match"):
        read_truth(path)
    monkeypatch.setenv("XPFIT_VERIFY", "0")
    assert read_truth(path).keys() == before.keys()
