import numpy as np
import pytest

from xpfit.nn import SGD, Adam, Adamax, AdamW


def test_sgd_with_momentum_follows_the_recursion():
    optimiser, p = SGD(momentum=0.5), np.array([1.0, -2.0])
    p = optimiser.step(p, np.array([1.0, 1.0]), 0.1)
    np.testing.assert_allclose(p, [0.9, -2.1])
    p = optimiser.step(p, np.array([0.0, 2.0]), 0.1)
    np.testing.assert_allclose(p, [0.9 - 0.05, -2.1 - 0.05 - 0.2])


def test_adam_takes_first_steps_of_the_learning_rate_against_the_gradient():
    p = Adam().step(np.zeros(3), np.array([5.0, -1e-3, 0.0]), 0.01)
    np.testing.assert_allclose(p, [-0.01, 0.01, 0.0], rtol=1e-4)


def test_adam_matches_the_algorithm_written_out(rng):
    optimiser, p = Adam(0.8, 0.9, 1e-6), np.array([0.3])
    m = v = 0.0
    q = 0.3
    for t in range(1, 6):
        g = float(rng.standard_normal())
        p = optimiser.step(p, np.array([g]), 0.05)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        q -= 0.05 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-6)
    assert p[0] == pytest.approx(q, rel=1e-12)


@pytest.mark.parametrize("optimiser", [SGD(), SGD(0.5), Adam(), AdamW(0.0), Adamax()])
def test_optimisers_find_the_minimum_of_a_quadratic(optimiser):
    p, target = np.array([3.0, -1.0]), np.array([0.5, 0.25])
    for step in range(4000):
        p = optimiser.step(p, 2.0 * (p - target), 0.05 * 0.998**step)
    np.testing.assert_allclose(p, target, atol=1e-6)


def test_adamax_matches_the_algorithm_written_out(rng):
    optimiser, p = Adamax(0.8, 0.9, 1e-6), np.array([0.3])
    m = u = 0.0
    q = 0.3
    for t in range(1, 6):
        g = float(rng.standard_normal())
        p = optimiser.step(p, np.array([g]), 0.05)
        m, u = 0.8 * m + 0.2 * g, max(0.9 * u, abs(g))
        q -= 0.05 / (1 - 0.8**t) * m / (u + 1e-6)
    assert p[0] == pytest.approx(q, rel=1e-12)


def test_adamw_is_adam_beside_a_decay_that_gradients_do_not_scale(rng):
    with_decay, without, p = AdamW(0.3), Adam(), np.array([0.5, -2.0])
    q = p.copy()
    for _ in range(4):
        gradient = rng.standard_normal(2)
        step = without.step(np.zeros(2), gradient, 0.02)
        q = q * (1.0 - 0.02 * 0.3) + step
        p = with_decay.step(p, gradient, 0.02)
    np.testing.assert_allclose(p, q, rtol=1e-12)


@pytest.mark.parametrize("kind", [Adam, AdamW, Adamax, SGD])
def test_a_restored_optimiser_goes_on_as_if_nothing_had_happened(kind, rng):
    gradients = rng.standard_normal((6, 3))
    first, p = kind(), np.zeros(3)
    for gradient in gradients[:3]:
        p = first.step(p, gradient, 0.01)
    second, q = kind(), p.copy()
    second.restore(first.state())
    for gradient in gradients[3:]:
        p, q = first.step(p, gradient, 0.01), second.step(q, gradient, 0.01)
    np.testing.assert_array_equal(p, q)


def test_step_leaves_its_argument_alone():
    p = np.ones(2)
    SGD().step(p, np.ones(2), 0.1)
    np.testing.assert_array_equal(p, 1.0)


@pytest.mark.parametrize(
    "bad", [lambda: SGD(1.0), lambda: SGD(-0.1), lambda: Adam(beta1=1.0), lambda: Adamax(beta2=1.0)]
)
def test_impossible_rates_are_refused(bad):
    with pytest.raises(ValueError, match="must be 0 or more, below 1"):
        bad()
