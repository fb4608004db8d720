"""The array engine in other namespaces, precisions and batches, and on a GPU."""

from contextlib import nullcontext

import array_api_strict
import numpy as np
import pytest
from situations import SITUATIONS, data_of, situation

from xpfit import FitStatus
from xpfit.fit import Fitter, engines
from xpfit.fit.device import CPU, Device
from xpfit.fit.engines import ArrayEngine

STRICT = Device("strict", array_api_strict.asarray, np.from_dlpack, lambda: 2**26, nullcontext)


@pytest.mark.parametrize("name", SITUATIONS)
def test_whole_fit_is_the_same_in_another_namespace(name, rng, monkeypatch):
    model, spectra, _ = situation(name, 4, rng)
    here = Fitter(model, engine="array", n_starts=3).fit(spectra, False)
    monkeypatch.setattr(engines, "get_device", lambda name: STRICT)
    there = Fitter(model, engine="array", n_starts=3).fit(spectra, False)
    np.testing.assert_allclose(there.parameters, here.parameters, rtol=1e-10)
    np.testing.assert_allclose(there.covariance, here.covariance, rtol=1e-8)
    np.testing.assert_array_equal(there.status, here.status)


@pytest.mark.parametrize("name", ["full whiteners", "coefficients"])
def test_single_precision_first_ends_at_the_same_optimum(name, rng):
    model, spectra, _ = situation(name, 10, rng)
    exact = Fitter(model, engine="array").fit(spectra, False)
    quick = Fitter(model, engine="array", single=True).fit(spectra, False)
    assert np.all(quick.status == FitStatus.CONVERGED)
    assert np.all(quick.loss < exact.loss + 1e-4)
    off = np.abs(quick.parameters - exact.parameters) / exact.errors
    assert np.max(off) < 0.01


def test_batches_of_any_size_give_the_same(rng):
    model, spectra, _ = situation("full whiteners", 9, rng)
    small = Device("small", np.asarray, np.asarray, lambda: 1.0, nullcontext)
    ends = []
    for device in (CPU, small):
        stars = ArrayEngine(model, device=device).load(data_of(model, spectra))
        star = np.arange(9)
        with np.errstate(all="ignore"):
            descents = stars.begin(star, np.tile([5.0, -0.2, 3.5, -1.0, 2.5], (9, 1)))
            stars.finish(descents, star, 100)
        ends.append(descents.theta)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-9)


def has_gpu():
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:
        return False


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="needs a GPU and CuPy")
@pytest.mark.parametrize("name", SITUATIONS)
def test_gpu_gives_what_the_processor_gives(name, rng):
    model, spectra, _ = situation(name, 50, rng)
    here = Fitter(model, engine="array").fit(spectra, False)
    there = Fitter(model, device="gpu").fit(spectra, False)
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-8)
    off = np.abs(there.parameters - here.parameters) / here.errors
    assert np.max(off) < 1e-3
