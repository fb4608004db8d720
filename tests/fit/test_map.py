import numpy as np
import pytest
from helpers import simulate

from xpfit.fit.map import CONVERGED_DECREMENT, maximise_posterior, newton_decrement
from xpfit.fit.objective import Objective
from xpfit.spectra import drop_channels

SCALE = np.array([0.7, 0.4, 1.1, 1.0, 1.0])


@pytest.fixture
def star(model, rng):
    truth, spectra = simulate(model, 1, rng, relative_error=0.005)
    spectra = drop_channels(spectra, model.trained_channels)
    theta = np.concatenate([truth[0, :3], np.log(truth[0, 3:])])
    return theta, Objective(model, spectra.flux[0], spectra.whitener[0])


def test_optimum_is_a_minimum_in_every_direction(star):
    theta, objective = star
    best = maximise_posterior(objective, theta + 0.1 * SCALE, SCALE, 100)
    assert best.converged
    for direction in np.vstack([np.eye(5), -np.eye(5)]):
        assert objective.value(best.theta + 1e-3 * direction * SCALE) > best.loss


def test_optimum_is_never_worse_than_its_start(star, rng):
    theta, objective = star
    for _ in range(10):
        start = theta + rng.standard_normal(5) * SCALE
        assert maximise_posterior(objective, start, SCALE, 3).loss <= objective.value(start)


def test_stopping_early_is_reported(star):
    theta, objective = star
    stopped = maximise_posterior(objective, theta + 0.5 * SCALE, SCALE, 1)
    assert not stopped.converged and stopped.n_iterations == 1


def test_decrement_predicts_how_far_the_loss_falls(star):
    theta, objective = star
    best = maximise_posterior(objective, theta, SCALE, 100)
    nearby = best.theta + 1e-3 * SCALE
    promised = newton_decrement(objective, nearby, SCALE)
    assert promised == pytest.approx(objective.value(nearby) - best.loss, rel=0.1)
    assert newton_decrement(objective, best.theta, SCALE) < CONVERGED_DECREMENT


def test_start_in_nowhere_ends_as_not_converged(star):
    theta, objective = star
    lost = maximise_posterior(objective, theta + [0, 0, 0, 0, 1000.0], SCALE, 50)
    assert not lost.converged
