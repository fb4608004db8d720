"""The Numba kernel against the array code."""

import numpy as np
import pytest
from situations import SITUATIONS, data_of, near, objective_of, situation

from xpfit.fit.engines.array import ArrayEngine

NumbaEngine = pytest.importorskip("xpfit.fit.engines.numba", reason="needs Numba").NumbaEngine


@pytest.fixture(params=SITUATIONS)
def case(request, rng):
    model, spectra, theta = situation(request.param, 12, rng)
    return model, spectra, near(model, theta, rng)


def test_derivatives_are_those_of_the_array_code(case):
    model, spectra, theta = case
    there = objective_of(model, spectra).evaluate(theta)
    here = NumbaEngine(model).load(data_of(model, spectra)).begin(np.arange(12), theta)
    for name, expected in vars(there).items():
        axes = tuple(range(1, expected.ndim))
        scale = np.abs(expected).max(axis=axes, keepdims=True) if axes else np.abs(expected)
        assert np.max(np.abs(getattr(here, name) - expected) / scale) < 1e-10, name


def test_descents_take_the_steps_of_the_array_code(case):
    model, spectra, theta = case
    ends = []
    for engine in (NumbaEngine(model), ArrayEngine(model)):
        stars = engine.load(data_of(model, spectra))
        descents = stars.begin(np.arange(12), theta)
        with np.errstate(all="ignore"):
            stars.iterate(descents, np.arange(12), 3)
            middle = descents.theta.copy()
            stars.finish(descents, np.arange(12), 100)
        ends.append((middle, descents))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-7, atol=1e-9)
    core, twin = ends[0][1], ends[1][1]
    assert twin.finished.all() and core.finished.all()
    np.testing.assert_allclose(core.theta, twin.theta, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(core.loss, twin.loss, rtol=1e-9)
    assert np.mean(core.n_iterations == twin.n_iterations) > 0.8


def test_results_of_a_star_do_not_depend_on_other_stars(case):
    model, spectra, theta = case
    engine = NumbaEngine(model)

    def ends(rows):
        stars = engine.load(data_of(model, spectra[rows]))
        descents = stars.begin(np.arange(len(rows)), theta[rows])
        stars.finish(descents, np.arange(len(rows)), 100)
        return descents.theta

    together = ends(np.arange(12))
    np.testing.assert_allclose(ends(np.array([7, 2])), together[[7, 2]], rtol=1e-12)
    np.testing.assert_allclose(ends(np.arange(12)[::-1]), together[::-1], rtol=1e-12)


def test_a_star_whose_prediction_overflows_does_not_change_others(rng):
    model, spectra, theta = situation("full whiteners", 3, rng)
    alone = NumbaEngine(model).load(data_of(model, spectra[[0, 2]]))
    expected = alone.begin(np.arange(2), theta[[0, 2]])
    alone.finish(expected, np.arange(2), 100)
    theta[1, 4] = 1000.0
    stars = NumbaEngine(model).load(data_of(model, spectra))
    descents = stars.begin(np.arange(3), theta)
    stars.finish(descents, np.arange(3), 100)
    assert np.isinf(descents.loss[1]) and descents.finished[1]
    np.testing.assert_array_equal(descents.theta[[0, 2]], expected.theta)
