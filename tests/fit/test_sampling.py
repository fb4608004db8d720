from dataclasses import replace

import numpy as np
import pytest
from emcee.backends import HDFBackend
from helpers import simulate

from xpfit import FitResult, InputError
from xpfit.fit.sampling import sample_posterior


@pytest.fixture(scope="module")
def star(absolute_model):
    """A bright star with dust, whose posterior is all but Gaussian, and its fit."""
    rng = np.random.default_rng(8)
    truth, spectra = simulate(absolute_model, 1, rng, relative_error=0.003)
    spectra = replace(spectra, parallax=truth[:, 4], parallax_err=0.002 * truth[:, 4])
    return spectra, absolute_model.fit(spectra, progress=False)


@pytest.fixture(scope="module")
def sample(absolute_model, star):
    spectra, result = star
    return sample_posterior(
        absolute_model, spectra, np.random.default_rng(1), result=result, progress=False
    )


def test_samples_of_a_gaussian_posterior_have_the_optimum_and_the_fisher_ellipse(sample):
    assert sample.converged and sample.n_steps > 50 * sample.autocorrelation.max()
    lower, median, upper = np.quantile(sample.flat, [0.16, 0.5, 0.84], axis=0)
    assert np.all(np.abs(median - sample.best) < 0.2 * sample.error)
    np.testing.assert_allclose(0.5 * (upper - lower), sample.error, rtol=0.15)
    correlation = np.corrcoef(sample.flat.T)
    fisher = sample.covariance / np.outer(sample.error, sample.error)
    np.testing.assert_allclose(correlation, fisher, atol=0.15)


def test_the_same_seed_gives_the_same_chain_and_the_fit_is_made_if_it_is_not_given(
    absolute_model, star
):
    chains = [
        sample_posterior(
            absolute_model, star[0], np.random.default_rng(4), result=result, max_steps=100,
            progress=False,
        ).chain
        for result in (star[1], None)
    ]  # fmt: skip
    np.testing.assert_array_equal(*chains)


def test_an_interrupted_chain_goes_on_where_it_stopped(absolute_model, star, tmp_path):
    spectra, result = star
    path = str(tmp_path / "chains.h5")

    def steps(n):
        backend = HDFBackend(path, name="7")
        sample = sample_posterior(
            absolute_model, spectra, np.random.default_rng(2), result=result, max_steps=n,
            backend=backend, progress=False,
        )  # fmt: skip
        return sample, backend.get_chain()

    first, kept = steps(100)
    assert not first.converged and len(kept) == 20
    second, more = steps(300)
    assert second.n_steps == 300 and len(more) == 60
    np.testing.assert_array_equal(more[:20], kept)
    third, same = steps(300)
    np.testing.assert_array_equal(same, more)
    np.testing.assert_array_equal(third.chain, second.chain)


def test_what_cannot_be_sampled_is_explained(absolute_model, star):
    spectra, _ = star
    two = spectra[[0, 0]]
    with pytest.raises(InputError, match="one star is sampled at a time, got 2"):
        sample_posterior(absolute_model, two, np.random.default_rng(0))
    with pytest.raises(InputError, match="max_steps must be at least 10, got 3"):
        sample_posterior(absolute_model, spectra, np.random.default_rng(0), max_steps=3)
    empty = FitResult.empty(absolute_model, spectra)
    with pytest.raises(InputError, match=f"{spectra.source_id[0]} has no fit"):
        sample_posterior(absolute_model, spectra, np.random.default_rng(0), result=empty)
