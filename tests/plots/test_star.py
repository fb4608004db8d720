from dataclasses import replace

import numpy as np
import pytest
from helpers import picture_size

import xpfit
from xpfit import FitResult, InputError
from xpfit.cli import main
from xpfit.plots import star_figure
from xpfit.validate import nearest_stars


@pytest.fixture(scope="module")
def fitted(sample_path):
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(sample_path, slice(0, 3), space=model.space)
    return model, spectra, model.fit(spectra, progress=False)


def test_a_star_is_shown_with_its_numbers(fitted):
    model, spectra, result = fitted
    figure = star_figure(model, spectra, result, 1)
    spectrum, residuals, kiel, metallicity, text = figure.axes
    assert str(spectra.source_id[1]) in spectrum.get_title()
    assert len(residuals.lines[1].get_xdata()) == np.isfinite(spectra.flux_err[1]).sum()
    written = text.texts[0].get_text()
    assert f"{1000 * result['teff'][1]:.0f} +-" in written and "confidence" in written
    assert kiel.get_ylabel() == r"$\log g$ [dex]" and metallicity.get_ylabel() == "[Fe/H] [dex]"
    for axes in (kiel, metallicity):
        assert axes.get_xlabel() == r"$T_{\rm eff}$ [K]"
        x = 1000 * result["teff"][1]
        assert any(np.allclose(line.get_xdata(), x) for line in axes.lines if len(line.get_xdata()))


def test_its_nearest_training_stars_are_shown(fitted, sample):
    model, spectra, result = fitted
    labels = result.parameters[1, :4]
    near = nearest_stars(model, labels, sample)
    known = np.column_stack([sample.labels[name] for name in model.label_names])
    distance = np.linalg.norm((known - labels) / model.forward.label_scale, axis=1)
    assert len(near) == 10 and np.nanmax(distance[near]) <= np.sort(distance)[9]
    assert np.isfinite(known[near]).all()
    figure = star_figure(model, spectra, result, 1, sample)
    texts = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert "10 nearest training stars" in texts
    unlabelled = replace(sample, labels={}, label_err={})
    with pytest.raises(InputError, match="no labels teff"):
        nearest_stars(model, labels, unlabelled)


def test_a_star_without_a_fit_is_named(fitted):
    model, spectra, _ = fitted
    with pytest.raises(InputError, match=f"{spectra.source_id[0]} has no fit"):
        star_figure(model, spectra, FitResult.empty(model, spectra), 0)


def test_stars_from_the_command_line(fitted, sample_path, tmp_path, capsys):
    ids = [str(i) for i in fitted[1].source_id[[2, 0]]]
    command = ["plot", "star", str(sample_path), "--output-dir", str(tmp_path)]
    command += ["--training", str(sample_path)]
    assert main([*command, "--source-id", ids[0], "--source-id", ids[1]]) == 0
    for source_id in ids:
        assert picture_size(tmp_path / f"star-{source_id}.png") == (11.0, 6.6)
    assert main([*command, "--source-id", "17"]) == 1
    assert "source 17 is in none of the files" in capsys.readouterr().err
    assert main(command) == 1 and "--source-id" in capsys.readouterr().err
    assert main(["plot", "star", "--output-dir", str(tmp_path), "--source-id", "1"]) == 1
    assert "name the file" in capsys.readouterr().err
