import numpy as np
import pytest
from helpers import simulate
from situations import SITUATIONS, objective_of, situation

from xpfit import Fitter, InputError
from xpfit.fit.data import fit_data
from xpfit.fit.starts import complete_guesses


@pytest.mark.parametrize("kind", SITUATIONS)
def test_guessed_labels_are_completed_by_the_best_extinction_and_amplitude(kind, rng):
    """Against a search over both; the true labels get the truth back."""
    model, spectra, theta = situation(kind, 6, rng)
    k = len(model.label_names)
    start = complete_guesses(model.forward, theta[:, :k], fit_data(model, spectra))
    assert start.shape == theta.shape
    np.testing.assert_array_equal(start[:, :k], theta[:, :k])
    # Where the curve varies from star to star, the mean one is started with.
    limit = 0.2 if model.forward.curve_varies else 0.08
    np.testing.assert_allclose(np.exp(start[:, k]), np.exp(theta[:, k]), atol=limit)
    np.testing.assert_allclose(start[:, k + 1], theta[:, k + 1], atol=limit)
    objective = objective_of(model, spectra)
    shift = np.zeros((3, 1, theta.shape[1]))
    shift[:, 0, k] = -0.3, 0.0, 0.3
    moved = (start + shift).transpose(1, 0, 2)
    chi2 = np.array([objective.evaluate(moved[:, i]).chi2 for i in range(3)])
    assert np.all(chi2[1] <= np.minimum(chi2[0], chi2[2]) * 1.02 + 1.0)


def test_guesses_outside_the_range_or_missing_do_no_harm(model, rng):
    _, spectra = simulate(model, 6, rng, relative_error=0.01)
    usual = model.fit(spectra, progress=False)
    guesses = np.repeat(usual.parameters[:, None, :3], 2, axis=1)
    guesses[0], guesses[1, 0], guesses[2, 1] = np.nan, np.nan, 1e6
    guided = Fitter(model).fit(spectra, False, guesses)
    assert np.all(guided.loss < usual.loss + 0.5) and np.all(guided.status == 0)
    with pytest.raises(InputError, match=r"guesses must have shape \(6, any, 3\)"):
        Fitter(model).fit(spectra, False, guesses[:, :, :2])
