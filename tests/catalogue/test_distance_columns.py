"""Distances and luminosities in catalogues, of every format."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd

import xpfit
from xpfit.catalogue.distance_columns import DISTANCE_COLUMNS
from xpfit.cli import main
from xpfit.simulate.survey import SurveySettings, simulate_survey

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def simulated():
    model = xpfit.load_model(ROOT / "data" / "simulated_model.h5")
    settings = SurveySettings(binary_fraction=0.0, wrong_label_fraction=0.0)
    survey = simulate_survey(model, 200, np.random.default_rng(11), settings)
    result = model.fit(survey.spectra, progress=False)
    return model, survey, result, xpfit.result_table(model, survey.spectra, result)


def test_distances_follow_the_truth(simulated):
    _, survey, result, table = simulated
    good = result.status == 0
    ratio = table["distance"] * survey.truth["parallax"]
    assert np.median(ratio[good]) == pytest.approx(1.0, abs=0.01)
    assert np.all(table["distance_lo"] < table["distance"])
    assert np.all(table["distance"] < table["distance_hi"])
    np.testing.assert_allclose(
        np.median((table["distance"] * table["parallax"])[good]), 1.0, atol=0.005
    )


def test_absolute_magnitudes_agree_with_the_truth_within_their_errors(simulated):
    model, survey, result, table = simulated
    linear = np.column_stack(
        [survey.truth["labels"], survey.truth["extinction"], survey.truth["parallax"]]
    )
    from xpfit.model.absolute import extinction_in_g

    g = survey.spectra.gaia["phot_g_mean_mag"]
    true = g + 5 * np.log10(linear[:, -1] / 100) - extinction_in_g(model, linear)
    pull = (table["absolute_magnitude_g"] - true) / table["absolute_magnitude_g_err"]
    pull = pull[result.status == 0]
    assert abs(np.median(pull)) < 0.25
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.25)


def test_luminosities_agree_with_those_of_the_true_types(simulated):
    model, survey, result, table = simulated
    from xpfit.model.absolute import model_ln_luminosity

    true = model_ln_luminosity(model, survey.truth["labels"])
    pull = ((table["ln_luminosity"] - true) / table["ln_luminosity_err"])[result.status == 0]
    assert abs(np.median(pull)) < 0.25
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.3)


def test_the_flag_of_parallaxes_rests_on_the_tension(simulated):
    """Which is not below the pull of ZGR23's eq. 26: that vanishes for precise parallaxes."""
    model, survey, _, _ = simulated
    moved = survey.spectra.replace(parallax=survey.spectra.parallax * np.repeat([1.0, 3.0], 100))
    table = xpfit.result_table(model, moved, model.fit(moved, progress=False))
    flagged = (table["quality_flags"] & 32) != 0
    np.testing.assert_array_equal(flagged, np.abs(table["parallax_tension"]) > 10)
    pull = np.abs(table["parallax"] - table["gaia_parallax"]) / table["gaia_parallax_error"]
    assert not flagged[:100].any() and flagged[100:].sum() >= np.sum(pull > 10)


def test_negative_and_missing_parallaxes_leave_distances(simulated):
    model, survey, _, _ = simulated
    parallax, error = survey.spectra.parallax[:40].copy(), survey.spectra.parallax_err[:40].copy()
    parallax[:10], error[:10] = -0.2, 0.3
    parallax[10:20], error[10:20] = np.nan, np.inf
    error[20:30] = 1e-4 * np.abs(parallax[20:30])
    stars = survey.spectra[:40].replace(parallax=parallax, parallax_err=error)
    table = xpfit.result_table(model, stars, model.fit(stars, progress=False))
    for name in DISTANCE_COLUMNS[:3]:
        assert np.isfinite(table[name]).all(), name
    np.testing.assert_array_equal(np.isnan(table["parallax_tension"]), np.isinf(error))
    np.testing.assert_allclose(table["distance"][20:30], 1 / parallax[20:30], rtol=1e-3)


def test_models_of_shapes_have_empty_columns(model, sample):
    table = xpfit.result_table(model, sample[:2], model.fit(sample[:2], progress=False))
    for name in DISTANCE_COLUMNS:
        assert np.isnan(table[name]).all(), name


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet", "h5"])
def test_units_ucds_and_texts_survive_every_format(simulated, tmp_path, ending):
    table = simulated[3][:5]
    path = tmp_path / f"catalogue.{ending}"
    xpfit.write_catalogue(table, path)
    back = xpfit.read_catalogue(path)
    assert back["distance"].unit == u.kpc and back["absolute_magnitude_g"].unit == u.mag
    for name in DISTANCE_COLUMNS:
        np.testing.assert_array_equal(back[name], table[name])
        assert back[name].description == table[name].description
        assert check_ucd(table[name].meta["ucd"], check_controlled_vocabulary=True), name
        assert back[name].meta["ucd"] == table[name].meta["ucd"]


def test_the_prior_is_an_option_of_fits_and_recorded(simulated, tmp_path, simulated_model):
    assert simulated[3].meta["DISTPRI"] == "none"
    stars, tables = tmp_path / "stars.h5", {}
    command = ["simulate", "--n", "30", "--g-limits", "15", "17.5", *simulated_model]
    assert main([*command, "--output", str(stars), "--quiet"]) == 0
    for prior in ("none", "uniform"):
        output = tmp_path / f"{prior}.fits"
        command = ["fit", str(stars), *simulated_model, "--output", str(output), "--quiet"]
        assert main([*command, "--distance-prior", prior]) == 0
        tables[prior] = xpfit.read_catalogue(output)
        assert tables[prior].meta["DISTPRI"] == prior
    assert np.all(tables["uniform"]["distance"] > tables["none"]["distance"])
    np.testing.assert_array_equal(tables["uniform"]["parallax"], tables["none"]["parallax"])
