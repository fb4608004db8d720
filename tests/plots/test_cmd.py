"""Colour-absolute-magnitude diagrams and the tension of parallaxes, from catalogues."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from helpers import picture_size

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.plots.cmd import MAX_POINTS, cmd_figure
from xpfit.plots.tension import tension_figure
from xpfit.simulate.survey import SurveySettings, simulate_survey
from xpfit.validate.cmd import BP_RP_PER_AG, ColourMagnitude, colour_magnitude
from xpfit.validate.tension import tensions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalogue():
    """Stars of which half the dwarfs have companions as bright as themselves."""
    model = xpfit.load_model(ROOT / "data" / "simulated_model.h5")
    settings = SurveySettings(
        binary_fraction=0.5, twin_fraction=1.0, wrong_label_fraction=0.0, g_limits=(9.0, 13.0)
    )
    survey = simulate_survey(model, 1200, np.random.default_rng(2), settings)
    result = model.fit(survey.spectra, progress=False)
    return survey, xpfit.result_table(model, survey.spectra, result)


def row(**changes):
    """A reliable star at 100 pc behind E = 0, or what `changes` says."""
    values = {
        "phot_g_mean_mag": 10.0, "phot_bp_mean_mag": 10.4, "phot_rp_mean_mag": 9.6, "feh": 0.0,
        "parallax": 10.0, "gaia_parallax": 10.0, "absolute_magnitude_g": 5.0,
    } | changes  # fmt: skip
    table = Table({name: [value] for name, value in values.items()})
    table["quality_flags"], table["fit_flags"] = np.uint8([0]), np.int16([0])
    return table


def test_extinction_is_what_lies_between_the_magnitudes():
    dusty = row(absolute_magnitude_g=4.0, gaia_parallax=20.0)
    stars = colour_magnitude([row(), dusty, row(gaia_parallax=-1.0)])
    np.testing.assert_allclose(stars.colour, [0.8, 0.8 - BP_RP_PER_AG, 0.8], rtol=1e-6)
    np.testing.assert_allclose(stars.magnitude, [5.0, 4.0, 5.0])
    np.testing.assert_allclose(
        stars.magnitude_measured[:2], [5.0, 4.0 + 5 * np.log10(2)], rtol=1e-6
    )
    assert np.isnan(stars.magnitude_measured[2]) and stars.has_measured


def test_both_panels_have_the_same_axes_and_their_own_parallaxes(catalogue):
    stars = colour_magnitude([catalogue[1]])
    left, right, bar = cmd_figure(stars).axes
    assert "measured" in left.get_title() and "spectrum and astrometry" in right.get_title()
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] > left.get_ylim()[1]
    for ax, magnitude in ((left, stars.magnitude_measured), (right, stars.magnitude)):
        drawn = np.sort(ax.collections[0].get_offsets()[:, 1])
        np.testing.assert_allclose(drawn, np.sort(magnitude[np.isfinite(magnitude)]))
        assert "without dust" in ax.get_xlabel()
    assert bar.get_ylabel() == "[Fe/H] [dex]"


def test_without_measured_parallaxes_there_is_one_panel_that_says_so():
    stars = colour_magnitude([row(gaia_parallax=np.nan), row(feh=-1.0, gaia_parallax=np.nan)])
    axes, _ = cmd_figure(stars).axes
    assert "none was measured" in axes.get_title()


def test_of_many_stars_the_density_is_drawn(rng):
    n = MAX_POINTS + 1
    magnitude = rng.normal(4.0, 1.0, n)
    stars = ColourMagnitude(rng.normal(0.8, 0.1, n), magnitude, magnitude, np.zeros(n))
    left, right, bar = cmd_figure(stars).axes
    assert bar.get_ylabel() == "stars in a cell"
    np.testing.assert_array_equal(
        left.collections[0].get_array().filled(0), right.collections[0].get_array().filled(0)
    )


@pytest.mark.parametrize("name", ["phot_bp_mean_mag", "absolute_magnitude_g"])
def test_what_is_needed_is_named(name):
    with pytest.raises(InputError, match="BP, RP and an absolute magnitude"):
        colour_magnitude([row(**{name: np.nan})])
    without = row()
    without.remove_column(name)
    with pytest.raises(InputError, match=f"lacks {name}"):
        colour_magnitude([without])


def test_twins_are_beyond_the_limit_and_brighter(catalogue):
    _, table = catalogue
    stars = tensions([table])
    assert len(stars.tension) > 40
    assert stars.binary.sum() > 5
    difference = np.median(stars.excess[stars.binary]) - np.median(stars.excess[~stars.binary])
    assert -0.95 < difference < -0.25
    assert np.median(stars.logg_pull[stars.binary]) < -3.0


def test_tension_figure_marks_twice_the_light(catalogue):
    left, right, _ = tension_figure(tensions([catalogue[1]])).axes
    assert "spectrum" in left.get_xlabel() and "reference" in left.get_ylabel()
    assert any(np.allclose(line.get_xdata(), -0.75) for line in right.lines)
    assert right.get_legend().get_texts()[1].get_text().startswith("beyond 3.5 sigma")


def test_catalogues_without_solar_type_stars_are_named(catalogue):
    table = catalogue[1][:0]
    with pytest.raises(InputError, match="no solar-type stars"):
        tensions([table])


def test_figures_from_the_command_line(catalogue, tmp_path, capsys):
    path = tmp_path / "stars.parquet"
    xpfit.write_catalogue(catalogue[1], path)
    for what, size in (("cmd", (9.8, 5.4)), ("tension", (9.0, 4.0))):
        assert main(["plot", what, str(path), "--output-dir", str(tmp_path)]) == 0
        assert picture_size(tmp_path / f"{what}.png") == size
    assert main(["plot", "cmd", "--output-dir", str(tmp_path / "other")]) == 1
    assert "name the file" in capsys.readouterr().err
