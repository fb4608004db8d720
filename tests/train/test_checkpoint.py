import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

import xpfit
from xpfit import InputError, train_model
from xpfit.cli import main
from xpfit.train import Phase, Recipe, TrainingIO, recipe_text

LABELS = ("teff", "feh", "logg")
RECIPE = Recipe(
    phases=(
        Phase("adam", 6, n_cycles=2, learning_rate=3e-3, star_step="gauss-newton",
              star_iterations=1, clean=True),
        Phase("projected", 3, n_cycles=2, learning_rate=1e-3, star_step="projected",
              star_iterations=1, clean=True),
        Phase("sgd", 4, optimiser="sgd", momentum=0.5, learning_rate=1e-4, schedule="steps",
              milestones=(2,), star_step="sgd", star_learning_rate=1e-6),
        Phase("clean", 0, clean=True),
        Phase("stars", 8, stars="all", star_step="adam", star_learning_rate=1e-3),
    ),
    gradient_clip=1e3,
    covariance_rank=3,
)  # fmt: skip
N_EPOCHS = RECIPE.n_epochs


class Stop(Exception):
    """What stands for a power cut."""


class StoppingLog:
    """A log that stops the training when a number of epochs have been written."""

    def __init__(self, n_epochs, stop):
        self.lines, self.n_epochs, self.stop = [], n_epochs, stop

    def write(self, text):
        self.lines.append(json.loads(text))
        if len(self.lines) == self.n_epochs:
            raise self.stop

    def flush(self):
        pass


def train(sample, recipe=RECIPE, exclude=(), seed=5, **io):
    io = TrainingIO(**{"progress": False, "minutes": 0.0, **io})
    rng = np.random.default_rng(seed)
    return train_model(sample, LABELS, rng=rng, recipe=recipe, exclude=exclude, io=io)


@pytest.fixture(scope="module")
def few(sample):
    return sample[:700]


@pytest.fixture(scope="module")
def unstopped(few):
    return train(few)[0]


def assert_same_model(one, other):
    for name in ("parameters", "label_mean", "label_scale"):
        np.testing.assert_array_equal(getattr(one.forward, name), getattr(other.forward, name))
    np.testing.assert_array_equal(one.prior.means, other.prior.means)
    np.testing.assert_array_equal(one.covariance.loadings, other.covariance.loadings)
    np.testing.assert_array_equal(one.clean_flags, other.clean_flags)
    assert one.ln_prior_threshold == other.ln_prior_threshold
    for name, values in one.diagnostics.items():
        np.testing.assert_array_equal(values, other.diagnostics[name], err_msg=name)


@pytest.mark.parametrize("n_epochs", [1, 5, 6, 7, 12, 13, 14, 15, 17, 20, 23, 26, 30])
def test_resumed_training_ends_with_the_same_model_to_the_last_bit(
    few, unstopped, tmp_path, n_epochs
):
    checkpoint, log = tmp_path / "c", StoppingLog(n_epochs, Stop)
    with pytest.raises(Stop):
        train(few, checkpoint=checkpoint, log=log)
    if n_epochs == 1:  # stopped before there was anything to keep
        assert not checkpoint.exists()
        return
    again = StoppingLog(10**6, Stop)
    model, summary = train(few, checkpoint=checkpoint, resume=True, log=again)
    assert_same_model(model, unstopped)
    assert len(summary.loss) == N_EPOCHS
    # The log starts over with what the checkpoint remembers, and is complete.
    assert [(x["phase"], x["cycle"], x["epoch"]) for x in again.lines[: n_epochs - 1]] == [
        (x["phase"], x["cycle"], x["epoch"]) for x in log.lines[: n_epochs - 1]
    ]
    assert len(again.lines) == N_EPOCHS


def test_training_with_a_checkpoint_is_the_one_without(few, unstopped, tmp_path):
    assert_same_model(train(few, checkpoint=tmp_path / "c")[0], unstopped)


def test_checkpoint_of_the_end_goes_straight_to_the_model(few, unstopped, tmp_path):
    train(few, checkpoint=tmp_path / "c")
    log = StoppingLog(10**6, Stop)
    assert_same_model(train(few, checkpoint=tmp_path / "c", resume=True, log=log)[0], unstopped)
    assert len(log.lines) == N_EPOCHS


def test_interruption_keeps_the_last_whole_epoch(few, unstopped, tmp_path):
    """Ctrl-C, though by time no checkpoint within a phase was due."""
    checkpoint = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        train(few, checkpoint=checkpoint, log=StoppingLog(9, KeyboardInterrupt),
              minutes=60.0)  # fmt: skip
    with np.load(checkpoint) as file:
        assert json.loads(str(file["facts"]))["position"] == [0, 1, 2]
    assert_same_model(train(few, checkpoint=checkpoint, resume=True)[0], unstopped)


def test_checkpoints_come_after_every_phase_whatever_the_interval(few, tmp_path):
    checkpoint = tmp_path / "c"
    with pytest.raises(Stop):
        train(few, checkpoint=checkpoint, log=StoppingLog(24, Stop), minutes=60.0)
    with np.load(checkpoint) as file:
        assert json.loads(str(file["facts"]))["position"] == [4, 0, 0]


def test_checkpoint_of_another_training_is_refused(few, tmp_path):
    checkpoint = tmp_path / "c"
    train(few, checkpoint=checkpoint)
    for change in ({"recipe": replace(RECIPE, batch_size=100)}, {"exclude": few.source_id[:3]}):
        with pytest.raises(InputError, match="of a training with other stars"):
            train(few, checkpoint=checkpoint, resume=True, **change)
    with pytest.raises(InputError, match="of a training with other stars"):
        train(few, seed=6, checkpoint=checkpoint, resume=True)


def command(sample_path, recipe, output):
    return ["train", str(sample_path), "--recipe", str(recipe), "--output", str(output),
            "--checkpoint-minutes", "0", "--quiet"]  # fmt: skip


def test_killed_ten_times_and_resumed_the_model_file_is_the_same(sample_path, tmp_path, rng):
    """SIGKILL at random moments, through the command line as users meet it."""
    recipe = tmp_path / "recipe.toml"
    first, *others = RECIPE.phases
    slow = replace(RECIPE, phases=(replace(first, n_epochs=60), *others))
    recipe.write_text(recipe_text(slow))
    unstopped, output = tmp_path / "unstopped.h5", tmp_path / "killed.h5"
    start = time.monotonic()
    assert main(command(sample_path, recipe, unstopped)) == 0
    seconds = time.monotonic() - start
    checkpoint = tmp_path / "killed.h5.checkpoint"
    n_killed = 0
    while not output.exists():
        arguments = command(sample_path, recipe, output)
        if checkpoint.exists():
            arguments.append("--resume")
        process = subprocess.Popen([sys.executable, "-m", "xpfit", *arguments])
        try:
            # The first moments are those of imports and reading.
            wait = 1.8 + rng.uniform(0.0, 0.15 * seconds) if n_killed < 10 else 120.0
            assert process.wait(wait) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            n_killed += 1
    assert n_killed >= 5
    assert_same_model(xpfit.load_model(output), xpfit.load_model(unstopped))
    with h5py.File(output) as one, h5py.File(unstopped) as other:
        assert one.attrs["checksum"] == other.attrs["checksum"]
    assert not checkpoint.exists()


def test_an_unfinished_training_is_not_overwritten_by_accident(sample_path, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(RECIPE))
    arguments = command(sample_path, recipe, tmp_path / "m.h5")
    checkpoint = tmp_path / "m.h5.checkpoint"
    checkpoint.write_bytes(b"precious")
    assert main(arguments) == 1
    assert "--resume continues it" in capsys.readouterr().err
    assert checkpoint.read_bytes() == b"precious"
    assert main([*arguments, "--overwrite"]) == 0
    assert not checkpoint.exists()


def test_interrupted_command_says_how_to_go_on(sample_path, tmp_path, capsys, monkeypatch):
    from xpfit.train import trainer

    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(RECIPE))
    calls = []

    def interrupt(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return gauss_newton(*arguments, **options)

    gauss_newton = trainer.gauss_newton
    monkeypatch.setattr(trainer, "gauss_newton", interrupt)
    arguments = command(sample_path, recipe, tmp_path / "m.h5")
    monkeypatch.setattr(trainer, "MIN_TRAINING_STARS", 10)
    calls.append(1)
    assert main(arguments) == 130
    assert "--resume to resume from" in capsys.readouterr().err
    monkeypatch.setattr(trainer, "gauss_newton", gauss_newton)
    assert main([*arguments, "--resume"]) == 0
