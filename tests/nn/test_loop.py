import numpy as np
import pytest

from xpfit import InputError
from xpfit.nn import (
    SGD,
    LoopSettings,
    PlateauSchedule,
    StepSchedule,
    Task,
    TrainingLoop,
    minibatches,
)

ROWS = np.arange(8)


class Valley(Task):
    """A quadratic whose minimum for validation is another than for training."""

    def loss(self, parameters, rows, rng):
        target = 0.0 if rng is None else 1.0
        return float((parameters[0] - target) ** 2), 2.0 * (parameters - target)


def run(schedule=None, **settings):
    schedule = schedule or StepSchedule(0.05)
    loop = TrainingLoop(Valley(), SGD(), schedule, LoopSettings(batch_size=8, **settings))
    return loop.run(np.array([-1.0]), ROWS, ROWS, np.random.default_rng(1), progress=False)


def test_training_ends_at_the_minimum_of_the_training_loss_and_keeps_the_best_validation():
    state = run(n_epochs=300)
    assert state.epoch == 300 and state.parameters[0] == pytest.approx(1.0, abs=1e-6)
    assert abs(state.best[0]) < 0.1 and state.best_loss < 0.01


def test_training_stops_when_the_validation_loss_has_not_fallen_for_so_long():
    state = run(n_epochs=300, patience=5)
    losses = [validation for _, validation in state.history]
    assert state.epoch == int(np.argmin(losses)) + 6 < 50


def test_weight_decay_pulls_towards_zero():
    assert run(n_epochs=300, weight_decay=2.0).parameters[0] == pytest.approx(0.5, abs=1e-6)


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="patience"):
        LoopSettings(n_epochs=3, batch_size=2, patience=0)


def test_a_schedule_is_told_the_validation_losses():
    schedule = PlateauSchedule(0.05, patience=4)
    state = run(schedule, n_epochs=60)
    losses = [validation for _, validation in state.history]
    assert schedule.best == min(losses) and schedule.rate < 0.05
    assert schedule.n_stale == state.n_stale


def test_an_epoch_visits_every_sample_once_in_random_order(rng):
    batches = list(minibatches(1000, 128, rng))
    assert [len(b) for b in batches] == [128] * 7 + [104]
    order = np.concatenate(batches)
    assert not np.array_equal(order, np.arange(1000))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_no_samples_give_no_batches(rng):
    assert list(minibatches(0, 16, rng)) == []


def test_batch_size_must_be_positive(rng):
    with pytest.raises(ValueError, match="batch_size"):
        next(minibatches(10, 0, rng))
