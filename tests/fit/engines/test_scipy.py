import numpy as np
import pytest
from situations import near, objective_of, situation

from xpfit.fit.engines.scipy import minimise


@pytest.fixture
def star(rng):
    model, spectra, theta = situation("full whiteners", 1, rng)
    return model, theta[0], objective_of(model, spectra), model.forward.scale


def loss(objective, theta):
    return objective.evaluate(theta[None]).loss[0]


def test_optimum_is_a_minimum_in_every_direction(star):
    _, theta, objective, scale = star
    best, _ = minimise(objective, theta + 0.1 * scale, scale, 100)
    for direction in np.vstack([np.eye(5), -np.eye(5)]):
        assert loss(objective, best + 1e-3 * direction * scale) > loss(objective, best)


def test_optimum_is_never_worse_than_its_start(star, rng):
    model, theta, objective, scale = star
    for _ in range(10):
        start = near(model, theta, rng, 1.0)
        best, _ = minimise(objective, start, scale, 3)
        assert loss(objective, best) <= loss(objective, start) * (1 + 1e-12)


def test_iterations_are_limited_and_counted(star):
    _, theta, objective, scale = star
    _, n_iterations = minimise(objective, theta + 0.5 * scale, scale, 1)
    assert n_iterations == 1


def test_start_whose_prediction_overflows_is_returned(star):
    _, theta, objective, scale = star
    overflowing = theta + [0, 0, 0, 0, 1000.0]
    with np.errstate(all="ignore"):
        best, n_iterations = minimise(objective, overflowing, scale, 50)
    np.testing.assert_allclose(best, overflowing)
    assert n_iterations == 0
