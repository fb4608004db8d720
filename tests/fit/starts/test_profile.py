import numpy as np
from situations import objective_of, situation

from xpfit.fit.data import fit_data
from xpfit.fit.starts import ProfileStarts
from xpfit.fit.starts.profile import N_PROFILE_TYPES


def test_tiles_hold_neighbours_and_every_type_once(model):
    starts = ProfileStarts(model)
    assert len(np.unique(starts.types, axis=0)) == N_PROFILE_TYPES
    labels = starts.types / model.forward.label_scale
    tiles = labels.reshape(-1, starts.tile, 3)
    assert np.mean(tiles.std(axis=1)) < 0.4 * np.mean(labels.std(axis=0))


def test_profile_loss_is_chi2_where_the_model_is_nearly_linear(rng):
    """At the best candidate; its extinction and amplitude are the best for its type."""
    model, spectra, _ = situation("full whiteners", 20, rng)
    starts = ProfileStarts(model)
    loss, which, own = starts.candidates(fit_data(model, spectra))
    best = np.argmin(loss, axis=1)
    row = np.arange(20)
    theta = np.column_stack([starts.types[which[row, best]], own[row, best]])
    exact = objective_of(model, spectra).evaluate(theta)
    difference = exact.loss - loss[row, best]
    assert np.median(np.abs(difference)) < 0.3 * np.median(exact.loss)
    around = [theta + np.eye(5)[k] * step for k in (3, 4) for step in (-0.2, 0.2)]
    losses = np.array([objective_of(model, spectra).evaluate(t).loss for t in around])
    assert np.mean(losses > exact.loss) > 0.9
