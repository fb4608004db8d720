import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient, simulate
from scipy.special import expit

import xpfit
from xpfit import InputError, ModelFileError
from xpfit.cli import main
from xpfit.nn import classifier_network
from xpfit.quality import (
    Confidence,
    ConfidenceSettings,
    LabelledFits,
    calibration,
    calibration_report,
    confidence_features,
    confidence_for,
    labelled_fits,
    train_confidence,
    unknown_costs,
)
from xpfit.quality.confidence import standardise
from xpfit.quality.features import FITTED, OPTIONAL
from xpfit.quality.training import ClassifierTask, Unknown, optional_groups

# ZGR23's appendix B, in their order, and then the residuals.
FEATURES = [
    "ln_rchi2_opt", "ln_dplx2", "ln_prior", "teff_est", "logg_est", "feh_est", "teff_est_err",
    "logg_est_err", "feh_est_err", "asinh_plx_snr", "asinh_g_snr", "asinh_bp_snr", "asinh_rp_snr",
    "ln_phot_bp_rp_excess_factor", "phot_g_mean_mag", "ln_ruwe", "fidelity_v2", "norm_dg",
    "ln_bp_chi_squared", "ln_rp_chi_squared",
]  # fmt: skip
QUICK = ConfidenceSettings(
    hidden=(16, 16), batch_size=256, learning_rate=3e-3, patience=10, stop_after=30, max_epochs=120
)


@pytest.fixture(scope="module")
def fitted(absolute_model):
    truth, spectra = simulate(absolute_model, 4, np.random.default_rng(2), relative_error=0.01)
    error = np.array([0.1, 0.2, np.inf, 0.1])
    gaia = {
        "phot_g_mean_flux_over_error": np.array([1000.0, 0.0, -2.0, np.nan]),
        "phot_bp_mean_flux_over_error": np.array([100.0, 1.0, 2.0, 3.0]),
        "phot_rp_mean_flux_over_error": np.array([200.0, 1.0, 2.0, 3.0]),
        "phot_bp_rp_excess_factor": np.array([1.2, 0.0, 1e-9, np.nan]),
        "phot_g_mean_mag": np.array([12.0, 13.0, 14.0, np.nan]),
        "ruwe": np.array([1.0, 1.4, np.e, np.nan]),
        "fidelity_v2": np.array([0.9, 1.0, 0.1, np.nan]),
        "norm_dg": np.array([-8.0, -3.0, np.nan, -1.0]),
        "bp_chi_squared": np.array([500.0, np.e, 1.0, 2.0]),
    }
    spectra = replace(spectra, parallax=truth[:, 4] + 0.05, parallax_err=error, gaia=gaia)
    return spectra, absolute_model.fit(spectra, progress=False)


def test_features_are_those_of_appendix_b(absolute_model, fitted):
    features = confidence_features(absolute_model, *fitted)
    assert list(features)[: len(FEATURES)] == FEATURES
    assert list(features)[len(FEATURES) :] == [f"asinh_residual_{k}" for k in range(61)]


def test_features_are_as_worked_out_by_hand(absolute_model, fitted):
    spectra, result = fitted
    result = replace(
        result,
        chi2=np.array([122.0, 61.0, 0.0, 61.0 * np.e]) * result.dof[0] / 61.0,
        parameters=result.parameters.copy(),
    )
    result.parameters[:, 4] = spectra.parallax + [0.1, -0.4, 3.0, 0.0]
    features = confidence_features(absolute_model, spectra, result)
    nan = np.nan
    by_hand = {
        "ln_rchi2_opt": [np.log(2), 0.0, np.log(1e-7), 1.0],
        "ln_dplx2": [0.0, np.log(2), nan, np.log(1e-7)],
        "asinh_g_snr": [np.arcsinh(1000.0), 0.0, np.arcsinh(-2.0), nan],
        "asinh_rp_snr": np.arcsinh([200.0, 1.0, 2.0, 3.0]),
        "ln_phot_bp_rp_excess_factor": [np.log(1.2), np.log(1e-7), np.log(1e-7), nan],
        "ln_ruwe": [0.0, np.log(1.4), 1.0, nan],
        "phot_g_mean_mag": [12.0, 13.0, 14.0, nan],
        "fidelity_v2": [0.9, 1.0, 0.1, nan],
        "norm_dg": [-8.0, -3.0, nan, -1.0],
        "ln_bp_chi_squared": [np.log(500.0), 1.0, 0.0, np.log(2.0)],
        "ln_rp_chi_squared": [nan] * 4,
        "asinh_plx_snr": np.where(
            np.isfinite(spectra.parallax_err), np.arcsinh(spectra.parallax / spectra.parallax_err),
            nan,
        ),
        "teff_est": result["teff"],
        "feh_est_err": result.error("feh"),
        "ln_prior": result.ln_prior,
    }  # fmt: skip
    for name, expected in by_hand.items():
        np.testing.assert_allclose(features[name], expected, rtol=1e-12, err_msg=name, atol=1e-12)


def test_residuals_are_model_minus_observed_over_error(absolute_model, fitted):
    spectra, result = fitted
    error = spectra.flux_err.copy()
    error[1, 5] = np.inf
    features = confidence_features(absolute_model, replace(spectra, flux_err=error), result)
    predicted = absolute_model.predict(
        result.parameters[:, :3], result["extinction"], result["parallax"], extrapolate=True
    )
    expected = np.arcsinh((predicted - spectra.flux)[:, 5] / error[:, 5])
    expected[1] = np.nan
    np.testing.assert_allclose(features["asinh_residual_5"], expected, atol=1e-9)


def test_parallax_features_of_a_model_without_luminosities_are_unknown(model, fitted):
    features = confidence_features(model, *fitted)
    assert np.isnan(features["ln_dplx2"]).all() and np.isnan(features["asinh_plx_snr"]).all()


def test_unknown_and_ignored_features_are_the_mean():
    columns = np.array([[1.0, np.nan, 5.0, 1e9]])
    mean, scale = np.array([0.0, 3.0, 0.0, 0.0]), np.array([2.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(standardise(columns, mean, scale), [[0.5, 0.0, 0.0, 10.0]])


def test_loss_gradient_is_exact(rng):
    network = classifier_network(4, (5, 3), dropout=0.0)
    parameters = network.initialise(rng) + 0.1 * rng.standard_normal(network.n_parameters)
    inputs, target = rng.standard_normal((9, 4)), (rng.random(9) < 0.5).astype(float)
    task, rows = ClassifierTask(network, inputs, target, 0.3), np.arange(9)
    value, gradient = task.loss(parameters, rows, rng)
    numerical = numerical_gradient(lambda p: task.loss(p, rows, rng)[0], parameters)
    assert_close_derivative(gradient, numerical)
    p = expit(network.forward(parameters, inputs)[0][:, 0])
    entropy = -np.mean(np.log(np.where(target > 0, p, 1 - p)))
    weights = parameters[: 4 * 5], parameters[25 : 25 + 15]
    assert value == pytest.approx(entropy + 0.3 * sum(w @ w for w in weights))
    assert task.loss(parameters, rows, None) == (pytest.approx(entropy), None)


def test_optional_features_are_all_that_a_fit_does_not_give():
    grouped = [name for group in (*FITTED.values(), *OPTIONAL.values()) for name in group]
    assert sorted(grouped) == sorted(FEATURES)
    groups = optional_groups(FEATURES)
    assert [FEATURES.index(n) for n in ("ln_dplx2", "asinh_plx_snr")] == groups[0].tolist()
    assert [len(group) for group in groups] == [2] + [1] * (len(OPTIONAL) - 1)


def test_features_are_hidden_by_groups_from_a_share_of_the_stars(rng):
    inputs = 1.0 + rng.random((5000, 4))
    hidden = Unknown([np.array([0, 2]), np.array([3])], 0.25).applied(inputs, rng) == 0
    np.testing.assert_array_equal(hidden[:, 0], hidden[:, 2])
    assert not hidden[:, 1].any() and (hidden[:, 0] != hidden[:, 3]).any()
    np.testing.assert_allclose(hidden[:, [0, 3]].mean(axis=0), 0.25, atol=0.03)
    assert (inputs > 0).all()


def test_nothing_is_hidden_in_validation(rng):
    network = classifier_network(3, (4,), dropout=0.0)
    parameters = network.initialise(rng)
    inputs, target, rows = rng.standard_normal((50, 3)), (rng.random(50) < 0.5) * 1.0, np.arange(50)
    plain = ClassifierTask(network, inputs, target, 0.0)
    hiding = ClassifierTask(network, inputs, target, 0.0, Unknown([np.array([1])], 0.5))
    assert hiding.loss(parameters, rows, None) == plain.loss(parameters, rows, None)
    assert hiding.loss(parameters, rows, rng)[0] != plain.loss(parameters, rows, rng)[0]


def made_up(rng, n=6000):
    """Stars whose estimates are good with a known probability, which two features tell."""
    x, y = rng.standard_normal((2, n))
    probability = expit(2.0 * x - y + 1.0)
    good = rng.random((n, 3)) < probability[:, None]
    features = {"x": x, "y": np.where(rng.random(n) < 0.1, np.nan, y), "never": np.full(n, np.nan)}
    agreement = np.where(good, 1.0, 16.0)
    agreement[:50] = 6.0  # neither good nor bad
    residual = np.where(good, 0.1, 1.0) * rng.standard_normal((n, 3))
    is_star = np.full(n, True)
    return LabelledFits(np.arange(1, n + 1), features, residual, agreement, is_star), probability


@pytest.fixture(scope="module")
def trained(model):
    stars, probability = made_up(np.random.default_rng(5))
    confidence, held_out = train_confidence(
        model, stars, np.random.default_rng(1), QUICK, progress=False
    )
    return confidence, held_out, probability


def test_confidence_is_the_probability_of_a_good_estimate(trained):
    confidence, held_out, probability = trained
    predicted = confidence.of_features(held_out.features)
    true = probability[held_out.source_id - 1]
    known = np.isfinite(held_out.features["y"])
    assert np.sqrt(np.mean((predicted[known] - true[known, None]) ** 2)) < 0.06
    report = calibration_report(confidence, held_out)
    for entry in report.values():
        assert entry["brier"] < 0.75 * entry["brier_of_the_mean"]
        n = np.array(entry["n"])
        off = np.array(entry["share_good"]) - entry["mean_confidence"]
        assert np.all(np.abs(off[n > 30]) < 4 * np.sqrt(0.25 / n[n > 30]))
        assert entry["scatter_confident"] < entry["scatter_others"]


def test_scatter_of_temperatures_is_in_kelvin(trained):
    confidence, held_out, _ = trained
    report = calibration_report(confidence, held_out)
    assert [report[name]["unit"] for name in ("teff", "feh", "logg")] == ["K", "dex", "dex"]
    rows = confidence.of_features(held_out.features)[:, 0] > 0.5
    residual = held_out.residual[rows, 0]
    expected = 1000.0 * 1.4826 * np.median(np.abs(residual - np.median(residual)))
    assert report["teff"]["scatter_confident"] == pytest.approx(expected, rel=1e-4)
    assert report["teff"]["n_confident"] == rows.sum()


def test_held_out_stars_are_a_fifth_and_all_rows_of_their_sources(model, trained):
    assert 0.17 < len(trained[1]) / 6000 < 0.23
    stars, _ = made_up(np.random.default_rng(6), 2000)
    twice = replace(stars, source_id=np.repeat(np.arange(1, 1001), 2))
    short = replace(QUICK, max_epochs=2)
    _, held_out = train_confidence(model, twice, np.random.default_rng(1), short, progress=False)
    assert np.all(np.unique(held_out.source_id, return_counts=True)[1] == 2)


def test_other_kinds_are_told_from_stars_and_are_no_good_estimates(model):
    rng = np.random.default_rng(8)
    stars, _ = made_up(rng, 4000)
    odd, _ = made_up(rng, 1000)
    features = {**odd.features, "x": odd.features["x"] + 6.0}
    wrong = np.full((1000, 3), np.inf)
    odd = replace(odd, features=features, agreement=wrong, is_star=np.full(1000, False))
    both = LabelledFits.concatenate([stars, odd])
    confidence, held_out = train_confidence(
        model, both, np.random.default_rng(1), QUICK, progress=False
    )
    assert held_out.is_star.all()
    assert np.mean(confidence.likeness(stars.features) > 0.5) > 0.98
    assert np.mean(confidence.likeness(odd.features) < 0.5) > 0.98
    alone, _ = train_confidence(model, stars, np.random.default_rng(1), QUICK, progress=False)
    assert alone.training["teff"]["n_bad"] < 1.1 * confidence.training["teff"]["n_bad"]


def test_two_stars_in_one_spectrum_are_another_kind_only_if_a_label_is_wrong():
    stars, _ = made_up(np.random.default_rng(9), 100)
    agreement = np.ones((100, 3))
    agreement[0, 1] = 16.0
    sums = replace(stars, agreement=agreement, is_star=np.full(100, False))
    np.testing.assert_array_equal(sums.used[:, 3], np.arange(100) == 0)
    np.testing.assert_array_equal(sums.bad[0], [False, True, False, True])


def test_kinds_are_unknown_to_classifiers_that_saw_stars_only(trained):
    confidence, held_out, _ = trained
    assert len(confidence.parameters) == 3
    assert np.isnan(confidence.likeness(held_out.features)).all()


def test_features_that_training_lacked_are_ignored(trained):
    confidence, held_out, _ = trained
    before = confidence.of_features(held_out.features)
    features = {**held_out.features, "never": np.full(len(held_out), 1e6)}
    np.testing.assert_array_equal(confidence.of_features(features), before)


def test_a_feature_that_only_some_stars_have_is_no_sign_of_what_they_are_like(model):
    """Bright stars alone, most of whose estimates are good, have parallaxes, which say nothing."""
    rng, n = np.random.default_rng(4), 3000
    bright = rng.random(n) < 0.3
    good = rng.random((n, 3)) < np.where(bright, 0.95, 0.6)[:, None]
    g = np.where(bright, 10.0, 13.0) + rng.standard_normal(n)
    unknown = np.full(n, np.nan)
    alone = LabelledFits(
        np.arange(1, n + 1), {"phot_g_mean_mag": g, "asinh_plx_snr": unknown}, np.zeros((n, 3)),
        np.where(good, 1.0, 16.0), np.full(n, True),
    )  # fmt: skip
    known = {"phot_g_mean_mag": g, "asinh_plx_snr": rng.standard_normal(n)}
    both = replace(alone, features=known)[np.flatnonzero(bright)]
    confidence, held_out = train_confidence(
        model, LabelledFits.concatenate([alone, both]), np.random.default_rng(1), QUICK,
        progress=False,
    )  # fmt: skip
    some = held_out[np.flatnonzero(np.isfinite(held_out.features["asinh_plx_snr"]))]
    hidden = {**some.features, "asinh_plx_snr": np.full(len(some), np.nan)}
    change = confidence.of_features(hidden) - confidence.of_features(some.features)
    assert np.all(np.abs(change.mean(axis=0)) < 0.03)
    assert np.percentile(np.abs(change), 90) < 0.1


def test_what_an_unknown_feature_costs_is_the_change_of_the_brier_score(trained):
    confidence, held_out, _ = trained
    fake = replace(confidence, feature_names=("ln_ruwe", "phot_g_mean_mag", "ln_prior"))
    features = dict(zip(fake.feature_names, held_out.features.values(), strict=True))
    stars = replace(held_out, features=features)
    costs = unknown_costs(fake, stars)
    assert list(costs) == ["phot_g_mean_mag", "ruwe"]  # nothing was learned from ln_prior
    known = np.isfinite(features["phot_g_mean_mag"])
    used = stars.used[:, 1] & known
    hidden = {**features, "phot_g_mean_mag": np.full(len(stars), np.nan)}
    for f, brier in zip((features, hidden), costs["phot_g_mean_mag"]["feh"], strict=True):
        error = fake.of_features(f)[:, 1] - stars.good[:, 1]
        assert brier == pytest.approx(np.mean(error[used] ** 2))
    assert costs["phot_g_mean_mag"]["n"] == (stars.used[:, :3].any(axis=1) & known).sum()
    without, within = (costs["ruwe"]["teff"][k] for k in (1, 0))
    assert without > within + 0.02


def test_classifiers_come_back_from_their_file(trained, tmp_path):
    confidence, held_out, _ = trained
    confidence.save(tmp_path / "c.h5")
    read = Confidence.load(tmp_path / "c.h5")
    np.testing.assert_array_equal(
        read.of_features(held_out.features), confidence.of_features(held_out.features)
    )
    assert read.training == confidence.training and read.model_id == confidence.model_id
    with pytest.raises(FileNotFoundError, match="train-confidence"):
        Confidence.load(tmp_path / "absent.h5")
    (tmp_path / "c.h5").write_bytes(b"rubbish")
    with pytest.raises(ModelFileError, match=r"c\.h5"):
        Confidence.load(tmp_path / "c.h5")


def test_classifiers_of_another_model_are_refused(trained, absolute_model, tmp_path):
    trained[0].save(tmp_path / "c.h5")
    with pytest.raises(InputError, match="were trained for model"):
        confidence_for(absolute_model, tmp_path / "c.h5")
    assert confidence_for(absolute_model) is None


def test_stars_without_parameters_have_no_confidence(fitted, absolute_model):
    spectra, result = fitted
    network = classifier_network(1, (2,), 0.0)
    confidence = Confidence(
        absolute_model.fingerprint, ("teff_est",), np.array([5.0]), np.array([1.0]), (2,),
        np.zeros((3, network.n_parameters)),
    )  # fmt: skip
    parameters = result.parameters.copy()
    parameters[2] = np.nan
    found, unlike = confidence.of_fit(
        absolute_model, spectra, replace(result, parameters=parameters)
    )
    assert not unlike.any()
    np.testing.assert_array_equal(found[[0, 1, 3]], 0.5)
    assert np.isnan(found[2]).all()


def test_agreement_is_eq_27(absolute_model, fitted):
    spectra, result = fitted
    offset, err = np.array([0.0, 0.15, -0.4, 0.1]), 0.05
    names = absolute_model.label_names
    labels = {name: result[name] - offset for name in names}
    labels["feh"][3] = np.nan
    labelled = spectra.replace(labels=labels, label_err={name: np.full(4, err) for name in names})
    stars = labelled_fits(absolute_model, labelled, result)
    rows = np.searchsorted(spectra.source_id, stars.source_id)
    for k, name in enumerate(("teff", "feh", "logg")):
        expected = offset**2 / (result.error(name) ** 2 + err**2 + 0.1**2)
        expected = np.where(np.isfinite(labelled.labels[name]), expected, np.nan)
        np.testing.assert_allclose(stars.agreement[:, k], expected[rows])
    with pytest.raises(InputError, match="no reference labels"):
        labelled_fits(absolute_model, spectra, result)


def test_too_few_bad_estimates_are_an_error(model):
    stars, _ = made_up(np.random.default_rng(7), 600)
    always = replace(stars, agreement=np.where(stars.agreement > 9, 1.0, stars.agreement))
    with pytest.raises(InputError, match="0 bad estimates of teff"):
        train_confidence(model, always, np.random.default_rng(1), QUICK, progress=False)


def test_calibration_counts_by_hand():
    found = calibration(np.array([0.05, 0.15, 0.15, 0.95, 1.0]), np.array([0, 0, 1, 1, 1]) == 1)
    assert found["n"] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found["share_good"][1] == 0.5 and found["mean_confidence"][9] == pytest.approx(0.975)
    errors = np.array([0.05, 0.15, 0.85, 0.05, 0.0])
    assert found["brier"] == pytest.approx(np.mean(errors**2))


@pytest.mark.parametrize(
    "settings", [{"patience": 0}, {"held_out": 0.0}, {"held_out": 0.6, "validation": 0.5}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        ConfidenceSettings(**settings)


@pytest.fixture(scope="module")
def sample_fits(sample_path):
    """Stars that neither the shipped model nor its classifiers have seen, fitted."""
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(sample_path, space=model.space)
    return model, labelled_fits(model, spectra, model.fit(spectra, n_jobs=2, progress=False))


def test_shipped_classifiers_tell_good_estimates_from_bad_on_held_out_stars(sample_fits):
    model, stars = sample_fits
    report = calibration_report(confidence_for(model), stars)
    for label, entry in report.items():
        assert entry["scatter_confident"] <= 0.7 * entry["scatter_others"], label
        assert entry["brier"] < entry["brier_of_the_mean"], label
        expected, n = entry["mean_confidence"][8], entry["n"][8]
        spread = np.sqrt(expected * (1.0 - expected) / n)
        assert abs(entry["share_good"][8] - expected) < 4.0 * spread, label


def test_shipped_classifiers_are_as_good_as_their_card_says(sample_fits):
    model, stars = sample_fits
    report = calibration_report(confidence_for(model), stars)
    for label, limit in (("teff", 0.0145), ("feh", 0.0158), ("logg", 0.0190)):
        assert report[label]["brier"] < limit, label


def test_shipped_classifiers_say_much_the_same_without_the_parallax(sample_fits, sample_path):
    """Of stars of the sample with measured parallaxes, fitted with them."""
    model, _ = sample_fits
    table = xpfit.read.read_table(sample_path.parent / "library_parallaxes.csv")
    spectra = xpfit.read_spectra(sample_path, space=model.space)
    spectra = xpfit.attach_astrometry(
        spectra[np.flatnonzero(np.isin(spectra.source_id, table["source_id"]))], table
    )
    stars = labelled_fits(model, spectra, model.fit(spectra, progress=False))
    hidden = {name: np.full(len(stars), np.nan) for name in OPTIONAL["parallax"]}
    assert len(stars) > 60 and np.isfinite(stars.features["asinh_plx_snr"]).all()
    confidence = confidence_for(model)
    before, after = (confidence.of_features({**stars.features, **new}) for new in ({}, hidden))
    assert np.percentile(np.abs(after - before), 95) < 0.1
    assert np.mean((after > 0.5) == (before > 0.5)) > 0.96


def test_shipped_classifiers_carry_their_report(sample_fits):
    training = confidence_for(sample_fits[0]).training
    assert training["settings"]["hidden"] == [64, 64, 64] and training["settings"]["l2"] == 1e-3
    for label in ("teff", "feh", "logg"):
        entry = training["held_out"][label]
        assert entry["scatter_confident"] <= 0.7 * entry["scatter_others"]
        assert 0.75 <= entry["share_good"][8] <= 0.95


def test_training_from_the_command_line(sample_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("xpfit.quality.training.ConfidenceSettings", lambda: QUICK)
    out, report = tmp_path / "c.h5", tmp_path / "report"
    ids = tmp_path / "ids.txt"
    excluded = xpfit.read_spectra(sample_path, slice(0, 100)).source_id
    ids.write_text("\n".join(map(str, excluded)))
    table = xpfit.read.read_table(sample_path.parent / "library_parallaxes.csv")
    own = np.isin(table["source_id"], xpfit.read_spectra(sample_path).source_id[100:])
    parallaxes = tmp_path / "parallaxes.csv"
    table[own].write(parallaxes)
    command = ["train-confidence", str(sample_path), "--output", str(out), "--report", str(report),
               "--exclude", str(ids),
               "--parallaxes", str(parallaxes)]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{own.sum()} of 1900 stars have a parallax" in said and "stars are held out" in said
    assert "held-out stars" in said and "Brier" in said
    assert set(json.loads((report / "confidence.json").read_text())) == {"teff", "feh", "logg"}
    assert (report / "reliability.png").stat().st_size > 5000
    assert confidence_for(xpfit.load_model(), out).training["held_out"]["feh"]["n"]
    assert main(command) == 1 and "--overwrite" in capsys.readouterr().err
