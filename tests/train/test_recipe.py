import json
from dataclasses import fields, replace

import pytest

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.train import RECIPES, Phase, Recipe, load_recipe, recipe_text
from xpfit.train.recipe import (
    PHASE_CONSISTENCY,
    PHASE_CONSTRAINTS,
    RECIPE_CONSTRAINTS,
    RECIPE_FOLDER,
    tomllib,
)

SHORT = """
batch_size = 64
turnover = inf

[label_error_floor]
teff = 0.1

[[phases]]
name = "one"
n_epochs = 2
learning_rate = 1e-3
final_learning_rate = 1e-3

[[phases]]
name = "two"
n_epochs = 1
n_cycles = 2
learning_rate = 1e-3
final_learning_rate = 1e-4
star_step = "gauss-newton"
star_iterations = 1
clean = true
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_being_written_and_read(name, write):
    assert load_recipe(write(recipe_text(load_recipe(name)))) == load_recipe(name)


def test_default_by_name_is_what_train_uses():
    assert load_recipe("default") == Recipe()


def test_default_recipe_is_that_of_the_shipped_model():
    stored = xpfit.load_model().training["recipe"]
    phases = tuple(Phase(**phase) for phase in stored.pop("phases"))
    recipe = load_recipe("default")
    # Its stars are more minibatches than the recipe asks for at least.
    n_batches = xpfit.load_model().training["n_stars"] / recipe.batch_size
    assert all(phase.min_batches < n_batches for phase in recipe.phases)
    same = tuple(replace(phase, min_batches=0) for phase in recipe.phases)
    assert Recipe(phases, **stored) == replace(recipe, phases=same)


def test_defaults_are_not_shared():
    Recipe().label_error_floor["teff"] = 1.0
    assert Recipe().label_error_floor["teff"] == 0.01


def test_every_setting_of_a_recipe_is_in_the_shipped_files():
    settings = {f.name for f in fields(Recipe)}
    for name in RECIPES:
        text = (RECIPE_FOLDER / f"{name}.toml").read_text()
        assert set(tomllib.loads(text)) == settings, name


def test_zgr23_differs_from_the_default_where_it_did_as_code():
    changed = {
        f.name: getattr(load_recipe("zgr23"), f.name)
        for f in fields(Recipe)
        if getattr(load_recipe("zgr23"), f.name) != getattr(Recipe(), f.name)
    }
    sgd = {"optimiser": "sgd", "momentum": 0.5}
    steps = {"schedule": "steps", "milestones": (32, 64, 96), "drop": 0.1}
    halvings = {"schedule": "steps", "milestones": tuple(range(512, 4096, 512)), "drop": 0.5}
    stars = {"star_step": "sgd", "star_learning_rate": 1e-4}
    best = {"stars": "high_quality"}
    assert changed.pop("phases") == (
        Phase("1 model", 128, min_batches=300, learning_rate=1e-3, **best, **sgd, **steps),
        Phase("2 model and stars", 128, min_batches=50, learning_rate=1e-5, **best, **sgd, **steps,
              **stars),
        Phase("3 stars", 128, stars="all", **steps, **stars),
        Phase("4 self-cleaning", 0, clean=True),
        Phase("5 model and stars", 128, min_batches=50, learning_rate=1e-7, **sgd, **steps,
              **(stars | {"star_learning_rate": 1e-5})),
        Phase("6 stars", 4096, stars="all", star_step="adam", star_learning_rate=1e-2, **halvings),
    )  # fmt: skip
    infinite = float("inf")
    assert changed == {
        "turnover": 1320.0, "gradient_clip": 1000.0, "label_error_floor": {},
        "clean_label_floor": {}, "clean_flux_sigma": 4.0, "clean_chi2": infinite,
        "hidden_layers": (32, 32, 32), "jacobian_terms": True, "flux_error_floor": 0.0,
        "covariance_rank": 0,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Phase, Recipe])
def test_constraints_are_of_settings_that_exist(kind):
    tables = {Phase: PHASE_CONSTRAINTS | PHASE_CONSISTENCY, Recipe: RECIPE_CONSTRAINTS}
    assert set(tables[kind]) <= {f.name for f in fields(kind)}


def test_file_says_what_it_changes_and_the_rest_is_default(write):
    recipe = load_recipe(write(SHORT))
    assert recipe.batch_size == 64 and recipe.turnover == float("inf")
    assert recipe.label_error_floor == {"teff": 0.1}
    assert recipe.clean_sigma == Recipe().clean_sigma
    assert recipe.phases[0] == Phase("one", 2, learning_rate=1e-3, final_learning_rate=1e-3)
    assert recipe.phases[1].clean and recipe.n_epochs == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch_size = 64", "batchsize = 64", r"line 2: unknown key 'batchsize'"),
        ("batch_size = 64", "batch_size = 0", r"line 2: batch_size must be at least 1, got 0"),
        ("batch_size = 64", "batch_size = 6.5", r"line 2: batch_size must be of type int"),
        ("batch_size = 64", "batch_size = true", r"line 2: batch_size must be of type int"),
        ("turnover = inf", "turnover = nan", r"line 3: turnover must be positive"),
        ("teff = 0.1", 'teff = "a"', r"line 5: label_error_floor is a table of numbers"),
        ("teff = 0.1", "teff = -0.1", r"line 5: label_error_floor must be 0 or more for teff"),
        ("clean = true", "clean = 1", r"line 22: clean must be of type bool"),
        ("n_cycles = 2", "n_cycles = 0", r"line 17: n_cycles must be at least 1"),
        ("star_iterations = 1", "star_steps = 0.5", r"line 21: unknown key 'star_steps'"),
        ("star_iterations = 1", "momentum = 0.5", r"line 21: momentum must be 0 unless"),
        ('"gauss-newton"', '"newton"', r"line 20: star_step must be one of none, gauss-newton"),
        ('"gauss-newton"', '"adam"', r"line 21: star_iterations must be positive for"),
        ("final_learning_rate = 1e-4", "milestones = 3", r"line 19: milestones is a list of whole"),
        ("final_learning_rate = 1e-4", "milestones = [3]", r"line 19: milestones must be empty"),
        ("learning_rate = 1e-3\nfinal_learning_rate = 1e-4", "", r"n_epochs must be 0 where"),
        (
            "learning_rate = 1e-3\nfinal_learning_rate = 1e-4",
            "min_batches = 9",
            r"min_batches must",
        ),
        ("batch_size = 64", "hidden_layers = [3.5]", r"line 2: hidden_layers is a list of whole"),
        ("batch_size = 64", "hidden_layers = []", r"line 2: hidden_layers must be one or more"),
        ("n_epochs = 2\n", "", r"line 8: .*n_epochs"),
        ("[[phases]]", "[phases]", r"not a TOML file|phases are tables"),
        ("batch_size = 64", "batch_size == 64", r"not a TOML file .*line 2"),
    ],
)
def test_mistakes_are_refused_with_key_and_line(write, old, new, message):
    assert old in SHORT
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(write(SHORT.replace(old, new)))
    assert "mine.toml" in str(caught.value)


def test_no_phases_are_no_recipe(write):
    with pytest.raises(InputError, match="phases must be at least one phase"):
        load_recipe(write("phases = []"))


def test_zgr23_is_table_1():
    recipe = load_recipe("zgr23")
    assert recipe.batch_size == 512 and recipe.clean_sigma == recipe.clean_flux_sigma == 4.0
    assert recipe.label_error_floor == {}
    assert recipe.high_quality == {
        "teff": 0.2, "feh": 0.2, "logg": 0.2, "extinction": 0.1, "parallax": 0.1
    }  # fmt: skip
    rates = [(p.learning_rate, p.star_learning_rate) for p in recipe.phases]
    assert rates == [(1e-3, 0), (1e-5, 1e-4), (0, 1e-4), (0, 0), (1e-7, 1e-5), (0, 1e-2)]
    stars = [p.stars for p in recipe.phases]
    assert stars == ["high_quality", "high_quality", "all", "kept", "kept", "all"]
    for phase in recipe.phases[:5]:
        if phase.updates_model:
            assert (phase.optimiser, phase.momentum) == ("sgd", 0.5)
    assert [p.clean for p in recipe.phases] == [False, False, False, True, False, False]
    one, two, _, _, _, six = recipe.phases
    model, stars = two.rates()
    assert [model(e) for e in (0, 31, 32, 64, 127)] == pytest.approx([1e-5, 1e-5, 1e-6, 1e-7, 1e-8])
    assert [stars(e) for e in (0, 96)] == pytest.approx([1e-4, 1e-7])
    assert one.n_epochs == two.n_epochs == 128 and six.n_epochs == 4096
    assert six.star_step == "adam"
    _, stars = six.rates()
    assert [stars(e) for e in (0, 511, 512, 4095)] == pytest.approx([1e-2, 1e-2, 5e-3, 1e-2 / 128])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match="that come with xpfit: default, zgr23"):
        load_recipe("zgr")


def test_command_shows_and_checks_recipes(write, capsys):
    assert main(["recipe", "show", "default"]) == 0
    assert capsys.readouterr().out == recipe_text(Recipe())
    assert main(["recipe", "show", str(write("nonsense = 1"))]) == 1
    assert "unknown key 'nonsense'" in capsys.readouterr().err


def test_train_takes_a_recipe_file(sample_path, write, tmp_path):
    out = tmp_path / "m.h5"
    text = SHORT.replace("turnover = inf", "turnover = 300.0")
    log = tmp_path / "log.jsonl"
    assert main(["train", str(sample_path), "--recipe", str(write(text)), "--output", str(out),
                 "--quiet", "--log", str(log)]) == 0  # fmt: skip
    used = xpfit.load_model(out).training["recipe"]
    assert used["batch_size"] == 64 and len(used["phases"]) == 2
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["phase"], line["cycle"], line["epoch"]) for line in lines] == [
        ("one", 0, 0), ("one", 0, 1), ("two", 0, 0), ("two", 1, 0)
    ]  # fmt: skip
    assert lines[0]["learning_rate"] == 1e-3 and lines[0]["n_stars"] > 1000
    assert all(line["loss"] > 0 for line in lines)
