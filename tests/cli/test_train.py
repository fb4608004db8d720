"""`xpfit train`, from a recipe file to a validated catalogue."""

import json

import numpy as np
import pytest
from astropy.table import Table
from helpers import run_command as run

import xpfit
from xpfit import read_catalogue
from xpfit.data.split import is_held_out
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


@pytest.fixture(scope="module")
def tables(sample_path, tmp_path_factory):
    """Luminosities of most stars of the sample, and parallaxes of a few, some of them held out."""
    directory = tmp_path_factory.mktemp("tables")
    sample = xpfit.read_spectra(sample_path)
    ids = sample.source_id
    labels = np.column_stack([sample.labels[name] for name in ("teff", "feh", "logg")])
    known = np.isfinite(labels).all(axis=1)
    ln_l = 4.0 * np.log(labels[:, 0] / 5.77) - np.log(10.0) * (labels[:, 2] - 4.44)
    table = Table({"source_id": ids, "ln_luminosity": ln_l, "ln_luminosity_err": 0.2 + 0.0 * ln_l})
    table[known].write(directory / "luminosities.fits")
    few = Table({"source_id": ids[:60], "parallax": np.full(60, 1.0)})
    few["parallax_error"], few["zero_point"] = 0.02, -0.03
    few["held_out"] = (np.arange(60) % 5 == 0).astype(int)
    few.write(directory / "parallaxes.csv")
    return directory


def test_luminosities_make_the_model_absolute_and_held_out_stars_stay_out(
    sample_path, tmp_path, capsys, fast_recipe, tables
):
    options = ("--luminosities", tables / "luminosities.fits")
    options += ("--parallaxes", tables / "parallaxes.csv", *fast_recipe)
    assert run("train", sample_path, "--output", tmp_path / "m.h5", *options) == 0
    said = capsys.readouterr().out
    assert "of 2000 stars have a luminosity" in said
    assert "60 of 2000 stars have a parallax" in said and "12 stars are held out" in said
    model = xpfit.load_model(tmp_path / "m.h5")
    held_out = xpfit.read_spectra(sample_path, slice(0, 60)).source_id[::5]
    assert model.absolute and not np.isin(held_out, model.source_ids).any()
    assert model.training["luminosities"] == "luminosities.fits"


def test_tables_of_other_stars_are_errors(sample_path, tmp_path, capsys, fast_recipe, tables):
    for option, name in (
        ("--luminosities", "luminosities.fits"),
        ("--parallaxes", "parallaxes.csv"),
    ):
        table = Table.read(tables / name)
        table["source_id"] += 1
        table.write(tmp_path / name)
        options = ("--output", tmp_path / "m.h5", option, tmp_path / name, *fast_recipe)
        assert run("train", sample_path, *options) == 1
        assert f"{name}: none of the 2000 stars" in capsys.readouterr().err


def test_held_out_stars_are_those_that_validate_compares(
    sample_path, stars, tmp_path, capsys, fast_recipe
):
    model_path, out = tmp_path / "m.h5", tmp_path / "f.fits"
    options = ("--validation", 0.2, *fast_recipe)
    assert run("train", sample_path, "--output", model_path, *options) == 0
    said = capsys.readouterr().out
    model = xpfit.load_model(model_path)
    assert model.training["held_out"] == 0.2
    assert not is_held_out(model.source_ids, 0.2).any() and len(model.source_ids) > 1000
    n_out = is_held_out(xpfit.read_spectra(sample_path).source_id, 0.2).sum()
    assert f"{n_out} of 2000 stars are held out for validation" in said

    fit = ("fit", stars, "--model", model_path, "--output", out, "--n-starts", 1, "--quiet")
    assert run(*fit) == 0
    table = read_catalogue(out)
    n_held_out = is_held_out(np.asarray(table["gdr3_source_id"]), 0.2).sum()
    assert 0 < n_held_out < len(table)
    arguments = ("validate", out, "--min-snr", 0, "--include-flagged")
    assert run(*arguments) == 0
    assert "stars held out of the training (20% of all)" in capsys.readouterr().out
    assert run(*arguments, "--include-training") == 0
    assert "held out" not in capsys.readouterr().out


def test_a_fraction_of_validation_above_one_is_refused(sample_path, tmp_path, capsys):
    assert run("train", sample_path, "--output", tmp_path / "m.h5", "--validation", 20) == 1
    assert "--validation 20: give a fraction" in capsys.readouterr().err
