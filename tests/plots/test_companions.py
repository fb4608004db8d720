from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import picture_size

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.companion import LabelPrediction
from xpfit.plots.attention import attention_figure
from xpfit.plots.label_errors import label_error_figure
from xpfit.plots.latent import alpha_figure, dimensions_figure, latent_figure
from xpfit.plots.reconstruction import reconstruction_figure
from xpfit.validate.latent import COUNTS, SHARES
from xpfit.validate.reconstruction import ReconstructionErrors


@pytest.fixture(scope="module")
def stars(svae, sample_path):
    return xpfit.read_spectra(sample_path, space=svae.space)


def test_attention_is_drawn_with_lines_and_the_forward_model(uncertain, stars):
    clump = stars[np.flatnonzero(np.abs(stars.labels["logg"] - 2.4) < 0.2)]
    figure = attention_figure(uncertain, clump, xpfit.load_model())
    panels = [ax for ax in figure.axes if ax.get_ylabel().startswith("d ln f")]
    assert len(panels) == 4 and all(len(ax.lines) > 9 for ax in panels)
    assert r"H$\alpha$" in {text.get_text() for text in panels[0].texts}
    with pytest.raises(InputError, match="no stars"):
        attention_figure(uncertain, stars[np.arange(0)])


def test_errors_are_drawn_by_label_and_magnitude(rng):
    errors = {
        name: np.tile(rng.uniform(0.01, 0.1, (200, 1)), (1, 2))
        for name in ("model_err", "excess_err")
    }
    prediction = LabelPrediction(("teff", "c_fe"), rng.uniform(4.0, 6.0, (200, 2)), errors)
    figure = label_error_figure(prediction, rng.uniform(9.0, 15.0, 200))
    drawn = [ax for ax in figure.axes if ax.lines]
    assert len(drawn) == 4 and all(len(ax.lines) == 3 for ax in drawn)
    total, *parts = (line.get_ydata() for line in drawn[1].lines)
    assert np.all(total > np.max(parts, axis=0)) and total.max() > 30.0, "in K"
    figure = label_error_figure(prediction, np.full(200, np.nan))
    assert {"unknown"} == {text.get_text() for ax in figure.axes for text in ax.texts}
    few = LabelPrediction(("teff",), np.full((9, 1), 5.0), {"model_err": np.ones((9, 1))})
    with pytest.raises(InputError, match="too few"):
        label_error_figure(few, np.full(9, 12.0))


def test_the_shipped_auto_encoder_knows_of_tracks_and_draws_them(svae, stars):
    figure = latent_figure(svae, stars)
    titles = {ax.get_title() for ax in figure.axes}
    assert {"main sequence", "giant branch", "metallicity of giants"} <= titles
    figure = dimensions_figure(svae, stars)
    assert len(figure.axes) == 6 * len(titles - {""}), "each track through all latent variables"
    assert figure.axes[0].get_title().endswith("sigma")
    with pytest.raises(InputError, match="no labels teff"):
        latent_figure(svae, replace(stars, labels={}, label_err={}))
    with pytest.raises(InputError, match="too few for tracks"):
        latent_figure(svae, stars[np.arange(20)])


def test_reconstructions_are_drawn_over_wavelength_and_by_label(rng):
    wavelength = np.linspace(392.0, 992.0, 61)
    labels = {name: rng.uniform(4.0, 6.0, 80) for name in ("teff", "logg", "feh")}
    errors = {
        name: 0.01 * rng.standard_normal((80, 61)) for name in ("auto-encoder", "forward model")
    }
    whole = {name: rng.uniform(0.01, 0.02, 80) for name in errors}
    result = ReconstructionErrors(wavelength, errors, labels, whole)
    top, *below = reconstruction_figure(result).axes
    assert below[0].get_ylabel() == "rms error of a spectrum [%]"
    assert np.all(below[0].lines[0].get_ydata() > 1.0)
    assert len(top.lines) == 2 and top.get_xlabel() == "wavelength [nm]"
    assert len(below) == 3 and all(len(ax.lines) == 2 for ax in below)


def test_classifiers_have_a_panel_each():
    rows = [(name, 0.93, 0.73, 0.97, 0.8, 0.95, 8, 2, 3, 57) for name in ("[Fe/H]", "labels")]
    names = ("inputs", "accuracy", *SHARES, *COUNTS)
    first, second = alpha_figure(Table(rows=rows, names=names)).axes
    assert first.get_title().startswith("[Fe/H]") and len(second.texts) == 4
    assert "recalls 0.73, 0.97\nprecisions 0.80, 0.95\n(paper: 0.68, 0.40, 0.79)" in (
        first.get_title()
    )


def test_commands_draw_them_and_refuse_other_companions(
    sample_path, companion_path, tmp_path, capsys
):
    svae = str(companion_path.with_name("companion_svae.h5"))
    command = [
        "plot",
        "attention",
        str(sample_path),
        "--output-dir",
        str(tmp_path),
        "--quiet",
        "--overwrite",
    ]
    assert main([*command, "--companion", str(companion_path)]) == 0
    assert picture_size(tmp_path / "attention.png") == (9.0, 9.6)
    assert main([*command, "--companion", svae]) == 1
    assert "needs kind uncertain or gaianet" in capsys.readouterr().err
    assert main(command) == 1
    assert "--companion" in capsys.readouterr().err
    command = [
        "plot",
        "latent",
        str(sample_path),
        "--output-dir",
        str(tmp_path),
        "--quiet",
        "--overwrite",
    ]
    assert main([*command, "--companion", svae]) == 0
    assert (tmp_path / "reconstruction.png").exists() and (tmp_path / "latent_tracks.png").exists()


def test_validate_prints_statistics_and_draws_errors(sample_path, companion_path, tmp_path, capsys):
    command = ["companion", "validate", str(sample_path), "--min-snr", "50", "--max-teff", "6000"]
    figure = tmp_path / "errors.png"
    more = ["--companion", str(companion_path), "--figure", str(figure)]
    assert main([*command, *more]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split()[:3] == ["label", "n", "median"] and len(rows) == 4
    assert rows[0].split()[-2:] == ["69.1", "51.8"]
    assert picture_size(figure) == (8.0, 9.2)
    assert main([*command, *more]) == 1 and "--overwrite" in capsys.readouterr().err
    svae = str(companion_path.with_name("companion_svae.h5"))
    assert main([*command, "--companion", svae]) == 1
    assert "kind 'svae' has no labels" in capsys.readouterr().err
