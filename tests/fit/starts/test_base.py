from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
from situations import SITUATIONS, situation

from xpfit.arrays import with_arrays
from xpfit.data import Triangular
from xpfit.fit.data import fit_data
from xpfit.fit.starts import GridStarts, ProfileStarts
from xpfit.fit.starts.base import SEPARATION
from xpfit.fit.starts.grid import EXTINCTIONS

KINDS = (GridStarts, ProfileStarts)


@pytest.mark.parametrize("kind", KINDS)
def test_types_lie_in_the_trained_range_and_are_always_the_same(kind, model):
    starts = kind(model)
    assert model.in_range(starts.types).all()
    np.testing.assert_array_equal(kind(model).types, starts.types)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_starts_are_distinct_and_near_the_truth(kind, name, rng):
    model, spectra, theta = situation(name, 12, rng)
    starts = kind(model).find(fit_data(model, spectra), 6)
    k, scale = model.forward.n_label, model.forward.scale
    assert starts.shape == (12, 6, model.forward.n_stellar)
    for star in starts:
        labels = star[np.isfinite(star[:, 0]), :k] / scale[:k]
        distance = np.linalg.norm(labels[:, None] - labels, axis=-1)
        assert np.all(distance[np.triu_indices(len(labels), 1)] > SEPARATION)
    off = np.abs(starts - theta[:, None]) / scale
    assert np.median(np.nanmin(off[:, :, :k].max(axis=2), axis=1)) < 0.8
    assert np.median(off[:, 0, k + 1]) < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_other_namespaces_find_the_same_starts(kind, rng):
    model, spectra, _ = situation("parallax", 5, rng)
    starts = kind(model) if kind is ProfileStarts else kind(model, 32, EXTINCTIONS[::8])
    expected = starts.find(fit_data(model, spectra), 4)
    there = with_arrays(starts, array_api_strict.asarray)
    data = fit_data(model, spectra, asarray=array_api_strict.asarray)
    strict = there.find(data, 4)
    np.testing.assert_allclose(np.from_dlpack(strict), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_other_stars_and_empty_stars_do_not_matter(kind, rng):
    model, spectra, _ = situation("full whiteners", 6, rng)
    starts = kind(model)
    data = fit_data(model, spectra)
    expected = starts.find(data, 3)
    array = data.whitener.array.copy()
    array[2] = 0.0
    with np.errstate(all="ignore"):
        found = starts.find(replace(data, whitener=Triangular(array)), 3)
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(found[others], expected[others], rtol=1e-10)
