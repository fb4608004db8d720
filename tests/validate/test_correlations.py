import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.fit.fisher import fisher_matrix
from xpfit.plots.correlations import correlation_figure
from xpfit.validate.correlations import median_correlations, without_parallax

N = 301


def catalogue(information, error):
    rows, columns = np.triu_indices(5)
    return Table(
        {
            "stellar_params_icov_triu": information[:, rows, columns],
            "gaia_parallax_error": error,
            "quality_flags": np.zeros(len(error), dtype=np.uint8),
        }
    )


@pytest.fixture
def stars(rng):
    """Information of spectra with a strong degeneracy of log g and parallax, and errors."""
    jacobian = rng.standard_normal((N, 30, 5)) * np.array([20.0, 10.0, 10.0, 50.0, 20.0])
    jacobian[:, :, 4] = -2.0 * jacobian[:, :, 2] + 2.0 * rng.standard_normal((N, 30))
    spectrum = np.swapaxes(jacobian, 1, 2) @ jacobian
    error = rng.uniform(0.001, 0.003, N)
    both = spectrum.copy()
    both[:, 4, 4] += error**-2.0
    return spectrum, both, error


def test_the_measured_parallax_is_taken_out_exactly(absolute_model, rng):
    """Against Fisher matrices made without a parallax (ZGR23, eq. 21 and 22)."""
    jacobian = rng.standard_normal((4, 30, 5))
    theta, error = rng.uniform(0.1, 1.0, (4, 5)), np.array([0.1, 0.02, 1.0, 0.3])
    layout = absolute_model.forward.layout
    information = np.swapaxes(jacobian, 1, 2) @ jacobian
    both = fisher_matrix(information, theta, error, layout)
    alone = fisher_matrix(information, theta, np.full(4, np.inf), layout)
    np.testing.assert_allclose(without_parallax(both, error), alone, rtol=1e-9, atol=1e-9)


def test_medians_are_those_of_the_stars(stars):
    spectrum, both, error = stars
    table = catalogue(both, error)
    table["quality_flags"][-50:] = 8
    table["gaia_parallax_error"][-60:-50] = np.nan
    result = median_correlations([table[:100], table[100:]])
    assert result.n_star == N - 60
    for matrix, found in ((spectrum, result.spectrum), (both, result.both)):
        covariance = np.linalg.inv(matrix[: N - 60])
        sigma = np.sqrt(np.einsum("nii->ni", covariance))
        expected = np.median(covariance / (sigma[:, :, None] * sigma[:, None, :]), axis=0)
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert abs(result.spectrum[2, 4]) > abs(result.both[2, 4]) + 0.05
    texts = [text.get_text() for ax in correlation_figure(result).axes for text in ax.texts]
    assert len(texts) == 50 and f"{result.both[2, 4]:.2f}" in texts


def test_stars_that_the_spectrum_leaves_free_do_not_count(stars):
    spectrum, both, error = stars
    both[0] = spectrum[0]  # whose parallax was not used
    both[0, 4, 4] = 0.5 * error[0] ** -2.0
    assert median_correlations([catalogue(both, error)]).n_star == N - 1


def test_catalogues_without_parallaxes_are_told(stars):
    _, both, error = stars
    with pytest.raises(InputError, match="convert --astrometry"):
        median_correlations([catalogue(both, np.full(N, np.nan))])
    with pytest.raises(InputError, match="lacks gaia_parallax_error"):
        median_correlations([catalogue(both, error)["stellar_params_icov_triu", "quality_flags"]])
