"""The commands, as a user runs them."""

import importlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import xpfit
from xpfit import read_catalogue
from xpfit.cli import COMMANDS, main
from xpfit.train import Phase, Recipe, recipe_text


@pytest.fixture
def stars(sample_path, tmp_path):
    """Twelve real stars in a file of their own."""
    path = tmp_path / "stars.fits"
    with fits.open(sample_path) as hdus:
        fits.BinTableHDU(hdus[1].data[:12]).writeto(path)
    return path


@pytest.fixture
def fast_recipe(tmp_path):
    """Options of `train` for a recipe of seconds."""
    phases = (
        Phase("start", 10, learning_rate=3e-3, final_learning_rate=3e-3, free_curve=False),
        Phase("joint", 5, n_cycles=2, learning_rate=3e-3, final_learning_rate=1e-3,
              star_step="gauss-newton", star_iterations=2, clean=True),
    )  # fmt: skip
    path = tmp_path / "fast.toml"
    path.write_text(recipe_text(Recipe(phases)))
    return ("--recipe", path)


def run(*arguments):
    return main([str(a) for a in arguments])


def test_fit_writes_a_catalogue_and_says_what_it_did(stars, tmp_path, capsys):
    out = tmp_path / "fitted.fits"
    assert run("fit", stars, "--output", out, "--jobs", 1) == 0
    table = read_catalogue(out)
    assert len(table) == 12
    assert table.meta["INPUT"] == "stars.fits" and table.meta["MODEL"] == "default"
    said = capsys.readouterr()
    assert "12 stars, 12 fitted" in said.out and "fitted.fits" in said.out
    assert "12/12" in said.err  # the progress bar


def test_engines_agree_and_second_modes_are_told_of(stars, tmp_path):
    tables = []
    for name, *options in (
        ("numba", "--multistart", 16),
        ("array", "--starts", "grid", "--single"),
        ("scipy", "--n-starts", 4),
    ):
        out = tmp_path / f"{name}.fits"
        assert run("fit", stars, "--output", out, "--quiet", "--engine", name, *options) == 0
        tables.append(read_catalogue(out))
    for table in tables[1:]:
        same = np.abs(table["chi2_opt"] - tables[0]["chi2_opt"]) < 0.01
        assert same.mean() > 0.7
        np.testing.assert_allclose(table["teff"][same], tables[0]["teff"][same], atol=0.5)
        assert np.isnan(table["second_mode"]).all()
    depth = tables[0]["second_mode"]
    assert np.isfinite(depth).any() and np.all(depth[np.isfinite(depth)] > 0)
    flagged = (tables[0]["fit_flags"] & 256) > 0
    np.testing.assert_array_equal(flagged, np.nan_to_num(depth, nan=99.0) < 2.0)
    assert np.all(tables[0]["min_hessian_eigenvalue"] > 0)


def test_a_gpu_that_is_not_there_is_an_error_before_anything_is_read(stars, tmp_path, capsys):
    if importlib.util.find_spec("cupy"):
        pytest.skip("CuPy is installed")
    assert run("fit", stars, "--output", tmp_path / "f.fits", "--device", "gpu") != 0
    assert 'pip install "xpfit[gpu]"' in capsys.readouterr().err


def test_quiet_fit_says_nothing(stars, tmp_path, capsys):
    assert run("fit", stars, "--output", tmp_path / "f.ecsv", "--quiet") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_several_files_become_one_catalogue_with_repeated_sources_flagged(stars, tmp_path):
    out = tmp_path / "f.fits"
    assert run("fit", stars, stars, "--output", out, "--quiet", "--n-starts", 1) == 0
    table = read_catalogue(out)
    assert len(table) == 24 and np.all(table["fit_flags"] & 128)
    np.testing.assert_array_equal(table["teff"][:12], table["teff"][12:])
    assert table.meta["INPUT"] == "stars.fits,stars.fits"


def test_model_covariance_can_be_left_out(stars, tmp_path):
    for name, options in (("with", ()), ("without", ("--no-model-covariance",))):
        run("fit", stars, "--output", tmp_path / f"{name}.fits", "--quiet", *options)
    known, exact = (read_catalogue(tmp_path / f"{name}.fits") for name in ("with", "without"))
    assert np.all(known["chi2_opt"] < exact["chi2_opt"])
    assert np.median(known["teff_err"] / exact["teff_err"]) > 1.2


def test_fit_equals_the_scripted_fit(stars, tmp_path):
    run("fit", stars, "--output", tmp_path / "f.ecsv", "--quiet", "--n-starts", 2)
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(stars, space=model.space)
    result = model.fit(spectra, progress=False, n_starts=2)
    table = read_catalogue(tmp_path / "f.ecsv")
    np.testing.assert_allclose(table["teff"], 1000.0 * result["teff"], rtol=1e-9)


def test_fit_keeps_bad_stars_as_flagged_rows(stars, tmp_path):
    with fits.open(stars, mode="update") as hdus:
        data = hdus[1].data
        data["flux"][0] = np.nan  # all bad
        data["j"][0] = data["h"][0] = data["k"][0] = np.nan
        data["flux_error"][1, 100] = -1.0
        data["flux"][2, 28:40] = np.inf
        data["gaiaedr3_source_id"][4] = data["gaiaedr3_source_id"][3]
        data["gaiaedr3_source_id"][5] = 0
    out = tmp_path / "f.fits"
    assert run("fit", stars, "--output", out, "--quiet") == 0
    table = read_catalogue(out)
    assert len(table) == 12
    assert np.isnan(table["teff"][0]) and table["fit_flags"][0] & 4
    assert table["fit_flags"][2] & 32 and np.isfinite(table["teff"][2])
    assert (table["fit_flags"][3:5] & 128).all()
    assert table["gdr3_source_id"][5] == 0 and table["fit_flags"][5] & 64
    assert np.all(table["fit_flags"][6:] == 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.write_bytes(p.read_bytes()[:9000]), "truncated or damaged"),
        (lambda p: p.write_bytes(b"source_id,flux\n1,2\n"), "missing columns bp_coefficients"),
    ],
    ids=["missing", "empty", "truncated", "other kind"],
)
def test_unreadable_input_is_an_error_that_names_the_file(stars, tmp_path, capsys, change, message):
    change(stars)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    said = capsys.readouterr().err
    assert said.startswith("xpfit fit: error:") and "stars.fits" in said and message in said
    assert not (tmp_path / "f.fits").exists()


def test_input_without_rows_is_an_error(stars, tmp_path, capsys):
    with fits.open(stars) as hdus:
        fits.BinTableHDU(hdus[1].data[:0]).writeto(stars, overwrite=True)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    assert "no rows" in capsys.readouterr().err


def test_missing_columns_are_named(stars, tmp_path, capsys):
    table = Table.read(stars)
    table.remove_column("medflux")
    table.write(stars, overwrite=True)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 1
    assert "missing column medflux" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("stars.fits", "exists already; use --overwrite"),
        ("absent/f.fits", "no such directory"),
        ("f.csv", "use one of .fits, .vot"),
        (".", "is a directory"),
    ],
)
def test_bad_output_is_refused_before_any_work(stars, tmp_path, capsys, output, message):
    before = stars.read_bytes()
    assert run("fit", stars, "--output", tmp_path / output) == 1
    said = capsys.readouterr().err
    assert message in said and "%" not in said  # no progress bar was shown
    assert stars.read_bytes() == before


def test_output_that_exists_is_replaced_when_asked(stars, tmp_path):
    out = tmp_path / "f.fits"
    out.write_text("old")
    assert run("fit", stars, "--output", out, "--overwrite", "--quiet") == 0
    assert len(read_catalogue(out)) == 12


def test_interrupt_ends_quietly(stars, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(xpfit.Fitter, "fit", interrupted)
    assert run("fit", stars, "--output", tmp_path / "f.fits") == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stars.fits"]


def test_damaged_model_is_an_error(stars, tmp_path, capsys):
    (tmp_path / "m.h5").write_bytes(b"not a model")
    status = run("fit", stars, "--model", tmp_path / "m.h5", "--output", tmp_path / "f.fits")
    assert status == 1 and "m.h5: not an xpfit model file" in capsys.readouterr().err


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


def test_validate_prints_json_and_nothing_else_on_standard_output(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    assert run("validate", tmp_path / "f.fits", "--json", "--min-snr", 0) == 0
    said = capsys.readouterr()
    numbers = json.loads(said.out)
    assert list(numbers) == ["giants", "dwarfs", "all"]
    assert "12 stars in the catalogue" in said.err


def test_validate_with_a_reference_table_gives_the_same_numbers(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    capsys.readouterr()
    run("validate", tmp_path / "f.fits", "--json")
    own = json.loads(capsys.readouterr().out)
    run("validate", tmp_path / "f.fits", "--json", "--reference", stars)
    other = json.loads(capsys.readouterr().out)
    for group in own:
        for name in ("teff", "feh", "logg", "alpha_m"):
            assert other[group][name] == pytest.approx(own[group][name], rel=1e-5)


def test_validate_refuses_a_table_that_is_no_catalogue(stars, capsys):
    assert run("validate", stars) == 1
    assert "the catalogue lacks" in capsys.readouterr().err


def test_validate_keeps_existing_files_unless_asked(stars, tmp_path, capsys):
    run("fit", stars, "--output", tmp_path / "f.fits", "--quiet")
    arguments = ("validate", tmp_path / "f.fits", "--output", tmp_path / "v", "--quiet")
    assert [run(*arguments), run(*arguments), run(*arguments, "--overwrite")] == [0, 1, 0]


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("name", "module", "text"), COMMANDS)
def test_help_of_every_command(name, module, text, capsys):
    assert text in help_of(capsys)
    shown = help_of(capsys, name)
    assert shown.startswith(f"usage: xpfit {name}")
    module = importlib.import_module(f"xpfit.cli.{module}")
    assert " ".join(module.__doc__.split()) in shown


def test_help_shows_defaults_once(capsys):
    shown = help_of(capsys, "fit")
    assert "starts tried per star (default: 16)" in shown
    assert "(default: the one that comes with xpfit)" in shown and "default: None" not in shown


@pytest.mark.parametrize("verb", ["train", "predict", "card"])
def test_help_of_every_verb_of_companion(verb, capsys):
    assert help_of(capsys, "companion", verb).startswith(f"usage: xpfit companion {verb}")


def test_there_are_sixteen_commands_with_a_module_each():
    folder = Path(xpfit.__file__).parent / "cli"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "options"}
    assert {module for _, module, _ in COMMANDS} == modules and len(COMMANDS) == 16


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert xpfit.__version__ in capsys.readouterr().out
