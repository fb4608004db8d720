"""What every companion does, whatever its kind."""

import shutil
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from helpers import simulate, without_weight

from xpfit import InputError, ModelFileError, read_spectra
from xpfit.cli import main
from xpfit.companion import (
    KINDS,
    GaiaNetSettings,
    ScatterSettings,
    UncertainSettings,
    load_companion,
    save_companion,
)
from xpfit.nn import TrainingLoop
from xpfit.prepare import sampled_space

LABELS = ("teff", "feh", "logg")
SETTINGS = {
    "uncertain": UncertainSettings(hidden=(16, 16), n_epochs=6, batch_size=64),
    "svae": ScatterSettings(hidden=(20, 10), n_latent=3, n_epochs=6, cycle=6, batch_size=64),
    "gaianet": GaiaNetSettings(
        n_channel=2, kernel=4, width=8, n_dense=2, n_epochs=3, batch_size=64
    ),
}


EPOCHS_TO_CHECKPOINT = 25


@pytest.fixture(scope="module")
def stars(model):
    """Simulated stars with ids and labels."""
    truth, spectra = simulate(model, 300, np.random.default_rng(1), relative_error=0.02)
    return replace(
        spectra,
        source_id=10**12 + 7 * np.arange(300),
        labels=dict(zip(LABELS, truth[:, :3].T, strict=True)),
        label_err={name: np.full(300, 0.03) for name in LABELS},
    )


def untrained(kind, **settings):
    names = () if kind == "svae" else LABELS
    return KINDS[kind](names, replace(SETTINGS[kind], **settings))


def fit(kind, stars, seed=1, checkpoint=None, **settings):
    return untrained(kind, **settings).fit(
        stars, rng=np.random.default_rng(seed), progress=False, checkpoint=checkpoint
    )


@pytest.fixture(scope="module", params=KINDS)
def trained(request, stars):
    return fit(request.param, stars)


@pytest.fixture
def interrupted(monkeypatch):
    """Trains with a checkpoint, and interrupts it after that was written."""
    epoch = TrainingLoop._epoch

    def run(kind, stars, checkpoint):
        def stop(self, state, *arguments):
            if state.epoch == 22:
                raise KeyboardInterrupt
            epoch(self, state, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingLoop, "_epoch", stop)
            with pytest.raises(KeyboardInterrupt):
                fit(kind, stars, checkpoint=checkpoint, n_epochs=EPOCHS_TO_CHECKPOINT)
        assert checkpoint.exists()

    return run


def arrays(prediction):
    """All numbers of a prediction by name."""
    found = {f.name: getattr(prediction, f.name) for f in fields(prediction)}
    found.pop("label_names", None)
    errors = found.pop("errors", {})
    return {**found, **errors}


def assert_equal(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_a_prediction_depends_on_no_other_star(trained, stars):
    some = stars[np.arange(6)]
    together = arrays(trained.predict(some))
    company = stars[np.random.default_rng(2).permutation(300)]
    mixed = arrays(trained.predict(company))
    for i in range(6):
        alone = arrays(trained.predict(some[[i]]))
        (place,) = np.flatnonzero(company.source_id == some.source_id[i])
        for name, values in together.items():
            for other in (alone[name][0], mixed[name][place]):
                # Single precision, and sums whose order depends on the number of rows.
                np.testing.assert_allclose(other, values[i], rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_seed_gives_one_prediction(trained, stars):
    some = stars[np.arange(8)]
    assert_equal(trained.predict(some), trained.predict(some, seed=1))
    if trained.n_draws:
        one, other = (trained.predict(some, seed=seed).total_err for seed in (1, 2))
        assert np.all(one != other)
        with pytest.raises(InputError, match="n_draws must be at least 2"):
            trained.predict(some, n_draws=1)


def test_stars_of_equal_id_get_equal_draws(trained, stars):
    twins = replace(stars[[3, 3, 3]], source_id=np.zeros(3, dtype=int))
    for values in arrays(trained.predict(twins)).values():
        np.testing.assert_allclose(values, values[[0, 0, 0]], rtol=1e-4, atol=1e-5)


def test_a_model_without_labels_refuses_their_names(capsys, sample_path, tmp_path):
    with pytest.raises(InputError, match="predicts no labels, got teff, feh"):
        KINDS["svae"](("teff", "feh"))
    command = ["companion", "train", str(sample_path), "--kind", "svae", "--labels", "teff"]
    assert main([*command, "--output", str(tmp_path / "c.h5"), "--quiet"]) == 1
    assert "predicts no labels" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_network(kind, stars):
    one, same, other = (fit(kind, stars, seed, n_epochs=2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.parameters_, same.parameters_)
    assert not np.array_equal(one.parameters_, other.parameters_)
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_resumes_to_the_same_network(kind, stars, tmp_path, interrupted):
    few, checkpoint = stars[np.arange(120)], tmp_path / "checkpoint"
    whole = fit(kind, few, n_epochs=EPOCHS_TO_CHECKPOINT)
    interrupted(kind, few, checkpoint)
    resumed = fit(kind, few, checkpoint=checkpoint, n_epochs=EPOCHS_TO_CHECKPOINT)
    np.testing.assert_array_equal(resumed.parameters_, whole.parameters_)
    assert resumed.card_ == whole.card_
    again = fit(kind, few, checkpoint=checkpoint, n_epochs=EPOCHS_TO_CHECKPOINT)  # nothing to do
    np.testing.assert_array_equal(again.parameters_, whole.parameters_)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_another_training_is_refused(kind, stars, tmp_path, interrupted):
    few, checkpoint = stars[np.arange(120)], tmp_path / "checkpoint"
    interrupted(kind, few, checkpoint)
    others = [
        {"stars": stars[np.arange(120, 240)]},
        {"seed": 2},
        {"batch_size": 60},
    ]
    for other in others:
        with pytest.raises(InputError, match="remove it to start again"):
            fit(kind, **{"stars": few, "checkpoint": checkpoint,
                         "n_epochs": EPOCHS_TO_CHECKPOINT, **other})  # fmt: skip
    checkpoint.write_text("no")
    with pytest.raises(InputError, match="not a checkpoint"):
        fit(kind, few, checkpoint=checkpoint)


def test_what_was_saved_predicts_the_same(trained, stars, tmp_path):
    save_companion(trained, tmp_path / "c.h5")
    loaded, few = load_companion(tmp_path / "c.h5"), stars[np.arange(30)]
    assert_equal(loaded.predict(few), trained.predict(few))
    assert type(loaded) is type(trained) and loaded.card_ == trained.card_
    assert loaded.parameters_.dtype == trained.parameters_.dtype
    assert loaded.fingerprint == trained.fingerprint and loaded.card_["n_stars"] == 300
    assert loaded.score(stars) == trained.score(stars)


def test_stars_without_usable_values_are_unknown(trained, stars):
    few = without_weight(stars[np.arange(3)], 1)
    for name, values in arrays(trained.predict(few)).items():
        if values.dtype.kind == "f":
            assert np.isnan(values[1]).all() and np.isfinite(values[[0, 2]]).all(), name
        else:
            assert not values[1].any()
    assert all(len(values) == 1 for values in arrays(trained.predict(few[[1]])).values())
    assert all(len(values) == 0 for values in arrays(trained.predict(few[slice(0, 0)])).values())


def test_columns_have_descriptions_and_names_of_their_own(trained, stars):
    prediction = trained.predict(stars[np.arange(5)])
    for columns in (prediction.columns(), prediction.catalogue_columns(trained.kind)):
        assert len({column.name for column in columns}) == len(columns) > 0
        assert all(len(column.values) == 5 and column.text for column in columns)
    assert (prediction.is_outlier is None) == bool(prediction.label_names)


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_companions_and_too_few_stars_are_refused(kind, stars):
    with pytest.raises(InputError, match="not trained"):
        untrained(kind).predict(stars)
    with pytest.raises(InputError, match="too few"):
        fit(kind, stars[np.arange(3)])


def test_spectra_in_another_space_are_refused(trained, sample_path):
    other = read_spectra(sample_path, slice(0, 3), space=sampled_space(np.arange(400.0, 900.0, 20)))
    with pytest.raises(InputError, match="prepare"):
        trained.predict(other)


@pytest.mark.parametrize("kind", ["uncertain", "gaianet"])
def test_labels_that_are_missing_or_all_the_same_are_refused(kind, stars):
    with pytest.raises(InputError, match="no labels alpha_m"):
        KINDS[kind](("teff", "alpha_m")).fit(stars, rng=np.random.default_rng(1))
    same = replace(stars, labels={**stars.labels, "logg": np.ones(300)})
    with pytest.raises(InputError, match="nothing can be learned"):
        fit(kind, same)


def test_files_of_another_kind_are_refused(tmp_path, model):
    model.save(tmp_path / "model.h5")
    with pytest.raises(ModelFileError, match="not a file of a companion"):
        load_companion(tmp_path / "model.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ModelFileError, match="damaged"):
        load_companion(tmp_path / "text.h5")
    with pytest.raises(FileNotFoundError, match="companion train"):
        load_companion(tmp_path / "no.h5")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("features/reference", np.ones((112, 1))),
        ("features/mean", np.ones(3)),
        ("features/channels", np.ones(112)),
        ("learned/label_mean", np.ones((3, 7))),
        ("learned/axes", np.ones(5)),
        ("wavelength", np.full(112, np.nan)),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(companion_path, tmp_path, name, values):
    path = shutil.copy(companion_path, tmp_path / "c.h5")
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(ModelFileError, match=r"c\.h5.*damaged"):
        load_companion(path)
