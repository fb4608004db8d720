import numpy as np
import pytest
from helpers import assert_close_derivative, numerical_gradient
from scipy.integrate import trapezoid
from sklearn.mixture import GaussianMixture as SklearnMixture

from xpfit.model import GaussianMixture


@pytest.fixture
def labels(rng):
    dwarfs = rng.standard_normal((1500, 3)) * [0.6, 0.2, 0.15] + [5.6, -0.1, 4.4]
    giants = rng.standard_normal((1500, 3)) * [0.3, 0.3, 0.5] + [4.7, -0.3, 2.4]
    return np.concatenate([dwarfs, giants])


@pytest.fixture
def prior(labels, rng):
    return GaussianMixture.fit(labels, rng)


def sklearn_twin(prior):
    """The same mixture in scikit-learn."""
    twin = SklearnMixture(len(prior.weights))
    twin.weights_, twin.means_, twin.covariances_ = prior.weights, prior.means, prior.covariances
    twin.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(prior.covariances))
    return twin


def test_ln_p_equals_scikit_learn(prior, labels):
    np.testing.assert_allclose(
        prior.ln_p(labels), sklearn_twin(prior).score_samples(labels), rtol=1e-9, atol=1e-9
    )


def test_fit_has_16_components_and_finds_the_likelihood_that_scikit_learn_finds(prior, labels):
    assert len(prior.weights) == 16
    direct = SklearnMixture(16, n_init=2, random_state=0).fit(labels)
    assert prior.ln_p(labels).mean() > direct.score(labels) - 0.05


def test_density_integrates_to_one(rng):
    two = GaussianMixture([0.3, 0.7], [[0.0], [2.0]], [[[0.2]], [[0.5]]])
    x = np.linspace(-8.0, 10.0, 20001)
    assert trapezoid(np.exp(two.ln_p(x[:, None])), x) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
def test_gradient_and_hessian(prior, offset):
    theta = np.array([5.1, -0.2, 3.3]) + offset
    _, gradient, hessian, precision = prior.ln_p_derivatives(theta[None])
    assert_close_derivative(
        gradient[0], numerical_gradient(lambda t: prior.ln_p(t[None])[0], theta)
    )
    numerical = numerical_gradient(lambda t: prior.ln_p_derivatives(t[None])[1][0], theta)
    assert_close_derivative(hessian[0], numerical)
    assert np.all(np.linalg.eigvalsh(precision[0]) > 0)
    if offset > 1.0:  # one component rules: there ln p is a parabola
        np.testing.assert_allclose(precision[0], -hessian[0], rtol=1e-9, atol=1e-9)


def test_everything_stays_finite_far_from_every_component(prior):
    far = np.array([[1e4, -1e4, 1e4]])
    ln_p, gradient, hessian, _ = prior.ln_p_derivatives(far)
    assert np.isfinite(ln_p).all() and np.isfinite(gradient).all() and np.isfinite(hessian).all()
    assert gradient[0] @ (np.array([5.0, 0.0, 3.0]) - far[0]) > 0  # it points back


def test_draws_have_the_mixture_s_moments(prior, rng):
    drawn = prior.sample(200_000, rng)
    mean = prior.weights @ prior.means
    offset = prior.means - mean
    covariance = np.einsum("c,ckl->kl", prior.weights, prior.covariances) + np.einsum(
        "c,ck,cl->kl", prior.weights, offset, offset
    )
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.02)


def test_threshold_leaves_the_asked_share_of_draws_above(prior):
    threshold = prior.ln_p_threshold(np.random.default_rng(1), 0.9)
    drawn = prior.sample(100_000, np.random.default_rng(2))
    assert np.mean(prior.ln_p(drawn) > threshold) == pytest.approx(0.9, abs=0.005)


def test_same_generator_state_gives_the_same_prior(labels):
    a, b = (GaussianMixture.fit(labels, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.means, b.means)


def test_too_few_stars_are_refused(rng):
    with pytest.raises(ValueError, match="too few"):
        GaussianMixture.fit(np.zeros((5, 3)), rng)
