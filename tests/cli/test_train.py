"""`xpfit train`, from a recipe file to a validated catalogue."""

import json

import numpy as np
import pytest
from helpers import run_command as run

import xpfit
from xpfit import read_catalogue
from xpfit.train import Phase, Recipe, recipe_text


@pytest.fixture(scope="module")
def fast_recipe(tmp_path_factory):
    """Options of `train` for a recipe file with a training of seconds."""
    phases = (
        Phase("start", 10, learning_rate=3e-3, final_learning_rate=3e-3, free_curve=False),
        Phase(
            "joint",
            5,
            n_cycles=2,
            learning_rate=3e-3,
            final_learning_rate=1e-3,
            star_step="gauss-newton",
            star_iterations=2,
            clean=True,
        ),
    )
    path = tmp_path_factory.mktemp("recipe") / "fast.toml"
    path.write_text(recipe_text(Recipe(phases=phases)))
    return ["--recipe", path]


def test_train_then_fit_then_validate(sample_path, tmp_path, capsys, fast_recipe):
    ids = tmp_path / "ids.txt"
    held_out = xpfit.read_spectra(sample_path, slice(0, 150)).source_id
    ids.write_text("\n".join(map(str, held_out)))
    model_path, out = tmp_path / "m.h5", tmp_path / "f.fits"
    labels = "teff,feh,logg,alpha_m"
    options = ("--exclude", ids, "--labels", labels, "--seed", 7, *fast_recipe)
    assert run("train", sample_path, "--output", model_path, *options) == 0
    said = capsys.readouterr().out
    assert "150 excluded by id" in said and "of CCM89" in said
    model = xpfit.load_model(model_path)
    assert model.training["seed"] == 7 and model.label_names == tuple(labels.split(","))
    assert not np.isin(held_out, model.source_ids).any()

    fit = ("fit", sample_path, "--model", model_path, "--output", out, "--n-starts", 1)
    assert run(*fit, "--quiet") == 0
    table = read_catalogue(out)
    assert len(table) == 2000 and "alpha_m_err" in table.colnames
    assert table.meta["MODEL"] == "m.h5"

    assert run("validate", out, "--output", tmp_path / "v", "--include-flagged") == 0
    said = capsys.readouterr().out
    assert "stars with reference S/N > 50" in said and "alpha_m" in said
    assert (tmp_path / "v" / "residuals.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "v" / "metrics.json").read_text())["all"]["alpha_m"]["n"] > 1000


def test_training_twice_with_one_seed_gives_the_same_numbers(sample_path, tmp_path, fast_recipe):
    models = []
    for name in ("a.h5", "b.h5"):
        options = ("--output", tmp_path / name, "--seed", 3, "--quiet", *fast_recipe)
        assert run("train", sample_path, *options) == 0
        models.append(xpfit.load_model(tmp_path / name))
    np.testing.assert_array_equal(models[0].forward.parameters, models[1].forward.parameters)


def test_unknown_label_is_an_error(sample_path, tmp_path, capsys):
    run_arguments = ("--output", tmp_path / "m.h5", "--labels", "teff,vsini")
    assert run("train", sample_path, *run_arguments) == 1
    assert "no label vsini" in capsys.readouterr().err
