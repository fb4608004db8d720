import numpy as np
import pytest
from situations import near, situation

from xpfit.fit.data import fit_data
from xpfit.fit.engines.numba import NumbaEngine
from xpfit.fit.search import MAX_RESTARTS, _prune, check_convergence, search
from xpfit.fit.starts import ProfileStarts


@pytest.fixture
def loaded(rng):
    model, spectra, theta = situation("full whiteners", 8, rng)
    return model, NumbaEngine(model), NumbaEngine(model).load(fit_data(model, spectra)), theta


def none(rows):
    return np.empty((len(rows), 0, 5))


def run(engine, stars, starts, more=none, **options):
    options = {"max_iterations": 100, "cut": True, **options}
    with np.errstate(all="ignore"):
        return search(stars, starts, engine.lm_settings, more_starts=more, **options)


def test_minima_are_distinguished_from_saddles_and_slopes(loaded):
    model, engine, stars, theta = loaded
    optima = run(engine, stars, theta[:, None])
    assert optima.converged.all()
    assert np.all(optima.min_hessian_eigenvalue > 0)
    assert np.all(optima.gradient_norm < 1e-2)
    saddle = optima.best.take(np.arange(8))
    saddle.hessian = saddle.hessian.copy()
    saddle.hessian[:, 2, 2] -= 1e6
    assert not check_convergence(saddle, engine.lm_settings)[0].any()
    slope = stars.begin(np.arange(8), optima.best.theta + 0.1 * model.forward.scale)
    assert not check_convergence(slope, engine.lm_settings)[0].any()
    undefined = optima.best.take(np.arange(8))
    undefined.loss = np.full(8, np.inf)
    converged, norm, smallest = check_convergence(undefined, engine.lm_settings)
    assert not converged.any() and np.isnan(norm).all() and np.isnan(smallest).all()


def test_decrement_does_not_depend_on_how_parameters_are_scaled(loaded):
    _, engine, stars, theta = loaded
    optima = run(engine, stars, theta[:, None], max_iterations=2)
    other = engine.lm_settings._replace(scale=engine.lm_settings.scale * [10, 0.1, 3, 0.3, 7])
    np.testing.assert_array_equal(
        check_convergence(optima.best, other)[0],
        check_convergence(optima.best, engine.lm_settings)[0],
    )


def test_best_of_several_starts_is_kept_whatever_their_order(loaded, rng):
    model, engine, stars, theta = loaded
    starts = np.stack([near(model, theta, rng, d) for d in (1.0, 0.01, 0.5)], axis=1)
    forward, backward = (run(engine, stars, s, cut=False) for s in (starts, starts[:, ::-1]))
    np.testing.assert_allclose(forward.best.loss, backward.best.loss, rtol=1e-9)
    singles = [run(engine, stars, starts[:, [i]], cut=False).best.loss for i in range(3)]
    np.testing.assert_allclose(forward.best.loss, np.min(singles, axis=0), rtol=1e-12)


def test_missing_starts_are_left_out(loaded):
    _, engine, stars, theta = loaded
    starts = np.stack([theta, np.full_like(theta, np.nan)], axis=1)
    np.testing.assert_array_equal(
        run(engine, stars, starts).best.theta, run(engine, stars, theta[:, None]).best.theta
    )


def test_a_star_without_any_start_is_refused(loaded):
    _, engine, stars, theta = loaded
    starts = theta[:, None].copy()
    starts[7] = np.nan
    with pytest.raises(ValueError, match="every star needs a start"):
        run(engine, stars, starts)


def test_hopeless_and_merging_descents_are_stopped(loaded):
    model, engine, stars, theta = loaded
    optima = run(engine, stars, theta[:, None])
    best = optima.best.theta[:1]
    starts = np.concatenate([best, best + 1e-6, best + 0.05 * model.forward.scale, best - 3.0])
    with np.errstate(all="ignore"):
        descents = stars.begin(np.zeros(4, dtype=int), starts)
    alive = _prune(descents, np.arange(4), 1e3, 8, stars.data.n_obs)
    assert 0 in alive and 1 not in alive and 3 not in alive
    alone = _prune(descents, np.arange(4), 0.0, 8, stars.data.n_obs)
    np.testing.assert_array_equal(alone, [0])


def test_stars_that_fail_are_restarted_and_counted(loaded):
    _, engine, stars, theta = loaded
    starts = theta[:, None].copy()
    starts[2, 0, 4] = starts[5, 0, 4] = 1000.0  # the prediction overflows
    asked = []

    def more(rows):
        asked.append(rows)
        further = np.repeat(theta[rows][:, None], MAX_RESTARTS, axis=1)
        further[:, 0, 4] = 1000.0  # the first one fails again
        return further

    optima = run(engine, stars, starts, more)
    np.testing.assert_array_equal(asked[0], [2, 5])
    assert optima.converged.all()
    np.testing.assert_array_equal(optima.n_restarts, [0, 0, 2, 0, 0, 2, 0, 0])


def test_a_batch_in_which_every_star_fails_is_reported_as_such(loaded):
    _, engine, stars, theta = loaded
    starts = theta[:, None].copy()
    starts[:, 0, 4] = 1000.0
    optima = run(engine, stars, starts, lambda rows: np.repeat(starts[rows], MAX_RESTARTS, axis=1))
    assert not optima.converged.any() and np.isinf(optima.best.loss).all()
    np.testing.assert_array_equal(optima.n_restarts, MAX_RESTARTS)


def test_second_modes_are_found_where_there_are_two(rng):
    """A star of two types in turn: the prior and the noise leave both open."""
    model, spectra, _ = situation("shapes", 200, rng)
    spectra = spectra.replace(whitener=0.2 * spectra.whitener.array)
    engine = NumbaEngine(model)
    stars = engine.load(fit_data(model, spectra))
    with np.errstate(all="ignore"):
        starts = ProfileStarts(model).find(stars.data, 12)
        optima = run(engine, stars, starts, cut=False, second_modes=True)
    found = np.flatnonzero(np.isfinite(optima.second_mode))
    assert 0 < len(found) < 200
    assert np.all(optima.second_mode[found] >= 0)
    # One start has one end, and nothing is looked for without being asked.
    alone = run(engine, stars, starts[:, :1], cut=False, second_modes=True)
    assert np.isnan(alone.second_mode).all()
    assert np.isnan(run(engine, stars, starts, cut=False).second_mode).all()


@pytest.mark.parametrize("steps", [1, 4])
def test_steps_are_limited_from_each_start(loaded, steps):
    _, engine, stars, theta = loaded
    starts = np.stack([theta, theta + 0.3], axis=1)
    optima = run(engine, stars, starts, max_iterations=steps)
    assert np.all(optima.n_iterations <= 2 * steps)
