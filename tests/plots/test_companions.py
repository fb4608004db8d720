from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from helpers import picture_size

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.plots.attention import attention_figure
from xpfit.plots.latent import alpha_figure, latent_figure
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


def test_the_shipped_auto_encoder_knows_of_tracks_and_draws_them(svae, stars):
    figure = latent_figure(svae, stars)
    titles = {ax.get_title() for ax in figure.axes}
    assert {"main sequence", "giant branch", "metallicity of giants"} <= titles
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
    top, *below = reconstruction_figure(ReconstructionErrors(wavelength, errors, labels)).axes
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
