from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
from helpers import legend_of, picture_size
from internal import coefficient_twin

from xpfit import InputError
from xpfit.cli import main
from xpfit.plots.extinction import extinction_figure
from xpfit.plots.model import model_figures, model_residual_figure, training_figure
from xpfit.plots.style import save
from xpfit.plots.tracks import TRACKS, track_figure
from xpfit.validate import curves as module

FIGURES = {
    "prior", "main_sequence", "giant_branch", "metallicity", "extinction_curve", "training",
    "residuals", "cleaning",
}  # fmt: skip


@pytest.fixture
def drawn_model(absolute_model, rng):
    """A model with numbers of a training to draw."""
    n = 66
    training = {
        **absolute_model.training,
        "recipe": {"phases": [{"name": "start"}, {"name": "joint"}], "clean_binary_sigma": 3.5},
        "n_stars": 500,
        "n_cleaned": 40,
    }
    history = {"loss": [9.0, 5.0, 3.0], "median_chi2": [2.0, 1.5, 1.2], "phase": [0, 0, 1],
               "n_stars": [500, 500, 460]}  # fmt: skip
    diagnostics = {f"history/{name}": np.array(values) for name, values in history.items()}
    diagnostics["residual_quantiles"] = np.outer([-0.01, 0.0, 0.01], np.ones(n))
    for name in absolute_model.label_names:
        diagnostics[f"residual_by_label/{name}"] = 0.01 * rng.standard_normal((8, n))
        diagnostics[f"label_bins/{name}"] = np.linspace(4.0, 6.0, 8)
    diagnostics |= {
        "solar_type/pull_logg": 2.0 * rng.standard_normal(300),
        "solar_type/pull_parallax": 2.0 * rng.standard_normal(300),
        "solar_type/absolute_magnitude": 4.5 + 0.2 * rng.standard_normal(300),
        "solar_type/width": np.array([2]),
    }
    return replace(absolute_model, training=training, diagnostics=diagnostics)


def test_all_pictures_are_drawn(drawn_model, tmp_path):
    figures = model_figures(drawn_model)
    assert set(figures) == FIGURES
    for name, figure in figures.items():
        save(figure, tmp_path / f"{name}.png")
        width, height = figure.get_size_inches()
        assert picture_size(tmp_path / f"{name}.png") == pytest.approx((width, height), abs=0.1)
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes), name
    colours = {name: figures[name].axes[-1].get_ylabel() for name in TRACKS}
    assert colours == {
        "main_sequence": r"$T_{\rm eff}$ [K]",
        "giant_branch": r"$\log g$ [dex]",
        "metallicity": "[Fe/H] [dex]",
    }
    assert legend_of(figures["training"].axes[0]) == ["start", "joint"]
    assert figures["training"].axes[0].lines[0].get_ydata().tolist() == [9.0, 5.0]
    assert figures["cleaning"].axes[0].get_xlabel() == r"$\Delta\varpi / \sigma$"
    n_kept, n_outside = (int(t.split("(")[1][:-1]) for t in legend_of(figures["cleaning"].axes[1]))
    assert n_kept + n_outside == 300
    for ax, label in zip(figures["prior"].axes, drawn_model.label_names[1:], strict=True):
        assert ax.get_xlabel() == r"$T_{\rm eff}$ [K]" and label in ("feh", "logg", "alpha_m")
        assert 3000.0 < min(ax.get_xlim()) < max(ax.get_xlim()) < 20_000.0


def test_tracks_show_the_model_s_own_spectra(model):
    figure = track_figure(model, "main_sequence")
    line = figure.axes[0].get_lines()[0]
    teff = max(3.5, model.label_ranges[0, 0])
    flux = model.predict([[teff, 0.0, 4.6]], extrapolate=True)[0, :61]
    np.testing.assert_allclose(line.get_ydata(), flux)
    with pytest.raises(InputError, match="no track 'blue_loop'; there are main_sequence"):
        track_figure(model, "blue_loop")


def test_curve_is_drawn_relative_to_ccm89(model):
    lines = {line.get_label(): line for line in extinction_figure(model).axes[0].get_lines()}
    learned = lines["xpfit, learned"].get_ydata()
    published = lines["CCM89, R(V) = 3.1"].get_ydata()
    assert learned[15] == published[15] == 1.0
    np.testing.assert_allclose(learned[6:61], published[6:61], rtol=0.1)


def test_published_xp_curve_is_drawn_where_its_package_is_installed(model, monkeypatch, tmp_path):
    path = tmp_path / "XP_extinction_curve.csv"
    at = np.append(np.arange(290.0, 2400.0, 10.0), 1e5)
    excess = 2.73 * (550.0 / at - 1.0)
    rows = "\n".join(
        f"{i},{x:.1f},{k:.6f}" for i, (x, k) in enumerate(zip(at, excess, strict=True))
    )
    path.write_text(f",wave,ext\n{rows}\n")

    class File:
        name = path.name

        def locate(self):
            return path

    monkeypatch.setattr(module.metadata, "files", lambda name: [File()])
    wavelength, curve = module.xp_extinction_curve()
    np.testing.assert_allclose(wavelength, at)
    np.testing.assert_allclose(curve, 550.0 / at, atol=0.01)
    labels = [line.get_label() for line in extinction_figure(model).axes[0].get_lines()]
    assert "Zhang & Yuan, XP spectra" in labels

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "files", absent)
    assert module.xp_extinction_curve() is None


def test_varying_curve_has_its_band(varying_model):
    figure = extinction_figure(varying_model)
    assert len(figure.axes[0].collections) == 1


def test_models_of_coefficients_have_the_pictures_that_make_sense(model):
    assert set(model_figures(replace(coefficient_twin(model), diagnostics={}))) == {"prior"}


def test_missing_numbers_are_named(model):
    bare = replace(model, diagnostics={})
    for draw in (training_figure, model_residual_figure):
        with pytest.raises(InputError, match="train it again"):
            draw(bare)


def test_command_writes_all_pictures(drawn_model, tmp_path, capsys):
    drawn_model.save(tmp_path / "m.h5")
    out = tmp_path / "deep" / "pictures"
    arguments = ["plot", "model", str(tmp_path / "m.h5"), "--output-dir", str(out)]
    assert main(arguments) == 0
    assert {path.stem for path in out.iterdir()} == FIGURES
    assert "training.png" in capsys.readouterr().out
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--format", "svg", "--quiet"]) == 0
    assert (out / "prior.svg").is_file()
