import numpy as np
import pytest

from xpfit.dust.distances import LENGTH_SCALE, N_NODES, distance_nodes


def test_precise_parallaxes_give_their_distances():
    parallax = np.array([50.0, 2.0, 0.1])
    nodes = distance_nodes(parallax, 0.001 * parallax)
    np.testing.assert_allclose(nodes.mean(axis=1), 1000.0 / parallax, rtol=1e-3)
    spread = nodes.std(axis=1) / nodes.mean(axis=1)
    np.testing.assert_allclose(spread, 0.001, rtol=0.1)  # a few nodes: tails are cut
    assert nodes.shape == (3, N_NODES) and np.all(np.diff(nodes, axis=1) > 0)


def test_without_information_the_prior_remains():
    nodes = distance_nodes(np.array([0.2]), np.array([100.0]))
    assert nodes.mean() == pytest.approx(3.0 * LENGTH_SCALE, rel=0.02)  # of a gamma distribution


@pytest.mark.parametrize("parallax", [-3.0, -0.1, 0.0, 0.1])
def test_negative_and_tiny_parallaxes_are_far_but_finite(parallax):
    nodes = distance_nodes(np.array([parallax]), np.array([0.1]))
    assert np.isfinite(nodes).all() and np.all(nodes > 500.0) and np.all(nodes <= 30_001.0)


def test_nodes_are_quantiles_of_the_posterior():
    """Slow twin: stars of the prior, those whose noisy parallax is near the observed one."""
    rng = np.random.default_rng(1)
    distance = rng.gamma(3.0, LENGTH_SCALE, 3_000_000)
    observed = 1000.0 / distance + 0.1 * rng.standard_normal(len(distance))
    like = np.sort(distance[np.abs(observed - 0.4) < 0.005])
    wanted = np.quantile(like, (np.arange(N_NODES) + 0.5) / N_NODES)
    nodes = distance_nodes(np.array([0.4]), np.array([0.1]))[0]
    np.testing.assert_allclose(nodes, wanted, rtol=0.02)
