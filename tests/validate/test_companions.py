from dataclasses import replace

import numpy as np
import pytest

import xpfit
from xpfit import InputError
from xpfit.companion import LabelPrediction
from xpfit.validate.attention import model_derivative_spectrum, observed_derivative_spectra
from xpfit.validate.companions import label_statistics
from xpfit.validate.latent import COUNTS, PUBLISHED, alpha_classifiers, latent_tracks
from xpfit.validate.reconstruction import reconstruction_errors


@pytest.fixture(scope="module")
def stars(svae, sample_path):
    return xpfit.read_spectra(sample_path, space=svae.space)


def test_the_forward_model_s_slope_is_that_of_its_relative_flux(uncertain, stars):
    model = xpfit.load_model()
    star = stars[np.flatnonzero(np.abs(stars.labels["logg"] - 2.4) < 0.1)[:1]]
    slope = model_derivative_spectrum(uncertain, model, star, "feh")
    labels = np.array([[star.labels[name][0] for name in model.label_names]])
    moved = labels.copy()
    moved[0, model.label_names.index("feh")] += 0.01
    used, relative = uncertain.features_.channels, []
    for at in (labels, moved):
        flux = np.nan_to_num(model.predict(at, 0.7, 1.0, extrapolate=True)[0])
        relative.append((flux / (flux @ uncertain.features_.reference))[used])
    change = (relative[1] / relative[0] - 1.0) / 0.01
    assert np.corrcoef(change, slope[used])[0, 1] > 0.99


def test_observed_derivative_spectra_are_slopes_of_the_stars(uncertain, stars):
    """Giants whose ln flux is linear in one label, and does not depend on others."""
    n, rng = 200, np.random.default_rng(2)
    features = uncertain.features_
    clump = stars[np.full(n, int(np.flatnonzero(features.is_usable(stars))[0]))]
    feh = rng.uniform(-0.4, 0.4, n)
    labels = {"teff": 4.75 + 0.04 * rng.uniform(-1, 1, n), "feh": feh, "logg": np.full(n, 2.5)}
    bump = 0.2 * np.exp(-0.5 * ((clump.space.wavelength - 500.0) / 20.0) ** 2)
    given = {
        "flux": clump.flux * np.exp(feh[:, None] * bump),
        "labels": labels,
        "label_err": {name: np.zeros(n) for name in labels},
        "extinction": np.where(np.arange(n) < 150, 0.1, 0.2),
        "extinction_err": np.full(n, 0.1),
    }
    found = observed_derivative_spectra(uncertain, replace(clump, **given))
    assert list(found) == ["teff", "feh"], "of log g all stars have the same, alpha is unknown"
    np.testing.assert_allclose(found["feh"], bump[features.channels], atol=2e-3)
    given["extinction"] = np.full(n, 1.0)
    assert observed_derivative_spectra(uncertain, replace(clump, **given)) == {}


def test_label_statistics_are_those_of_the_stars_with_labels():
    values = np.array([[5.0, 0.1], [5.1, 0.2], [5.3, 0.0], [np.nan, np.nan]])
    prediction = LabelPrediction(
        ("teff", "mg_fe"), values, {"model_err": np.full((4, 2), 0.03),
                                    "excess_err": np.full((4, 2), 0.04)},
    )  # fmt: skip
    labels = {"teff": np.array([5.1, 5.1, 5.1, 5.1]), "mg_fe": np.array([0.1, np.nan, 0.3, 0.0])}
    spectra = xpfit.Spectra(
        np.arange(4), [500.0, 600.0], np.ones((4, 2)), np.ones((4, 2)),
        labels=labels, label_err={"teff": np.full(4, 0.12), "mg_fe": np.full(4, np.nan)},
    )  # fmt: skip
    teff, mg = label_statistics(prediction, spectra)
    assert (teff["n"], mg["n"]) == (3, 2)
    assert teff["median"] == pytest.approx(5100.0) and teff["error"] == pytest.approx(50.0)
    assert teff["residual"] == pytest.approx(0.0)
    assert teff["rms"] == pytest.approx(1000.0 * np.sqrt((0.01 + 0.04) / 3.0))
    assert teff["pull_width"] == pytest.approx(1.4826 * 0.1 / 0.13, rel=1e-3)
    assert teff["paper_rms"] == pytest.approx(51.77) and np.isnan(mg["paper_rms"])
    assert mg["residual"] == pytest.approx(-0.15)
    with pytest.raises(InputError, match="no labels teff, mg_fe"):
        label_statistics(prediction, spectra.replace(labels={}, label_err={}))


def test_reconstruction_errors_are_those_of_each_model(svae, stars):
    some, training = stars[np.arange(150)], stars[np.arange(500, 1500)]
    errors = reconstruction_errors(svae, some, training, xpfit.load_model())
    assert list(errors.errors) == ["auto-encoder", "principal components", "forward model"]
    features = svae.features_
    true = features.relative_flux(features.inputs(some))
    np.testing.assert_allclose(
        errors.errors["auto-encoder"], svae.predict(some).flux / true - 1.0, equal_nan=True
    )
    inputs = features.inputs(training)
    centred = inputs - inputs.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:6]
    back = (features.inputs(some) - inputs.mean(axis=0)) @ axes.T @ axes + inputs.mean(axis=0)
    expected = features.relative_flux(back) / true - 1.0
    np.testing.assert_allclose(errors.errors["principal components"], expected, rtol=1e-6)
    assert np.median(errors.scatter("forward model")[40:80]) < 0.03
    star = 7  # eq. 9: the mean square over equally spaced wavelengths
    of_star = errors.errors["auto-encoder"][star]
    of_star = of_star[np.isfinite(of_star) & (errors.wavelength < 1000.0)]
    assert errors.spectrum["auto-encoder"][star] == pytest.approx(
        np.sqrt(np.mean(of_star**2)), rel=0.05
    )
    assert errors.share_better("auto-encoder", "principal components", (550.0, 900.0)) > 0.8


def test_tracks_follow_their_label_through_latent_space(rng):
    """Latent numbers that are labels but for noise give tracks that are straight in them."""
    n = 100_000
    labels = {
        "teff": rng.uniform(3.6, 7.5, n), "logg": rng.uniform(0.5, 5.0, n),
        "feh": rng.uniform(-1.6, 0.4, n), "alpha_m": rng.uniform(-0.02, 0.3, n),
    }  # fmt: skip
    latent = np.column_stack([*labels.values(), rng.standard_normal((n, 2))])
    tracks = {track.name: track for track in latent_tracks(latent, labels)}
    assert len(tracks) == 5
    for track in tracks.values():
        column = list(labels).index(track.along)
        np.testing.assert_allclose(track.latent[:, column], track.labels[track.along])
        assert np.all(np.diff(track.latent[:, column]) > 0)
        assert column in track.directions(latent.std(axis=0))
        assert np.argmax(track.changes(latent.std(axis=0))[:4]) in (0, column)


def test_the_numbers_of_table_1_are_recalls():
    """They are of the same stars, so that the share of truly high ones is one number."""
    accuracy, high, low = np.array(list(PUBLISHED.values())).T
    of_recalls = (low - accuracy) / (low - high)
    rounding = 0.005 * (1.0 + 1.0) / (low - high)
    least, most = np.max(of_recalls - rounding), np.min(of_recalls + rounding)
    assert least < most, "one share explains all four"
    said_high = of_recalls  # the same equation, with the share that is said to be high
    of_precisions = said_high * high + (1.0 - said_high) * (1.0 - low)
    assert np.ptp(of_precisions) > 0.15


def test_latent_numbers_tell_the_sequences_of_giants_apart(svae, stars):
    table = alpha_classifiers(svae, stars, np.random.default_rng(1))
    assert list(table["inputs"]) == ["[Fe/H]", "labels", "labels and colours", "latent variables"]
    for row in table:
        counts = np.array([row[name] for name in COUNTS])
        assert row["accuracy"] == pytest.approx((counts[0] + counts[3]) / counts.sum())
        assert row["high_recall"] == pytest.approx(counts[0] / counts[[0, 2]].sum())
        assert row["low_recall"] == pytest.approx(counts[3] / counts[[1, 3]].sum())
        assert row["high_precision"] == pytest.approx(counts[0] / counts[:2].sum())
        assert row["low_precision"] == pytest.approx(counts[3] / counts[2:].sum())
    assert table["accuracy"][3] > 0.7
    few = replace(stars, labels={**stars.labels, "alpha_m": np.zeros(len(stars))})
    with pytest.raises(InputError, match="too few to classify"):
        alpha_classifiers(svae, few, np.random.default_rng(1))
