"""Three engines, one optimum."""

import builtins
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest
from situations import SITUATIONS, near, situation

from xpfit import FitStatus, InputError
from xpfit.fit import Fitter, engines
from xpfit.fit.data import fit_data
from xpfit.fit.device import CPU, Device, get_device
from xpfit.fit.engines import ArrayEngine, choose_engine
from xpfit.fit.engines.numba import NumbaEngine
from xpfit.fit.engines.scipy import ScipyEngine
from xpfit.nn import Dense, Network

STRICT = Device("strict", array_api_strict.asarray, np.from_dlpack, lambda: 2**26, nullcontext)


def has_gpu():
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:
        return False


@pytest.mark.parametrize("name", SITUATIONS)
def test_engines_find_the_same_optimum(name, rng):
    model, spectra, _ = situation(name, 10, rng)
    fits = {
        engine: Fitter(model, engine=engine, multistart=3).fit(spectra, False)
        for engine in ("scipy", "array", "numba")
    }
    reference = fits["scipy"]
    for engine, result in fits.items():
        assert np.all(result.status == FitStatus.CONVERGED), engine
        np.testing.assert_allclose(result.loss, reference.loss, atol=1e-8, err_msg=engine)
        off = np.abs(result.parameters - reference.parameters) / reference.errors
        assert np.max(off) < 1e-3, engine
        np.testing.assert_allclose(result.errors, reference.errors, rtol=1e-3, err_msg=engine)


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


@pytest.mark.parametrize("kind", [ScipyEngine, ArrayEngine, NumbaEngine])
def test_loss_is_never_above_that_of_the_start(kind, rng):
    model, spectra, theta = situation("full whiteners", 20, rng)
    stars = kind(model).load(fit_data(model, spectra))
    star = np.repeat(np.arange(20), 2)
    with np.errstate(all="ignore"):
        descents = stars.begin(star, near(model, np.repeat(theta, 2, axis=0), rng, 1.0))
        # Alone and in a batch, a star may differ in the last bit.
        before = descents.loss * (1 + 1e-14)
        for _ in range(4):
            stars.iterate(descents, np.arange(40), 1)
            assert np.all(descents.loss <= before)
        stars.finish(descents, np.arange(40), 100)
    assert np.all(descents.loss < before)


def test_batches_of_any_size_give_the_same(rng):
    model, spectra, _ = situation("full whiteners", 9, rng)
    small = Device("small", np.asarray, np.asarray, lambda: 1.0, nullcontext)
    ends = []
    for device in (CPU, small):
        stars = ArrayEngine(model, device=device).load(fit_data(model, spectra))
        star = np.arange(9)
        with np.errstate(all="ignore"):
            descents = stars.begin(star, np.tile([5.0, -0.2, 3.5, -1.0, 2.5], (9, 1)))
            stars.finish(descents, star, 100)
        ends.append(descents.theta)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-9)


def test_without_numba_the_array_engine_is_used_with_one_warning(model, monkeypatch):
    monkeypatch.setattr(engines, "_has_numba", lambda: False)
    with pytest.warns(UserWarning, match=r'pip install "xpfit\[fast\]"') as caught:
        assert choose_engine(model).name == "array"
    assert len(caught) == 1
    with pytest.raises(InputError, match=r"needs Numba: pip install"):
        choose_engine(model, engine="numba")


def test_engines_that_do_not_exist_are_refused_with_those_that_do(model):
    with pytest.raises(InputError, match="one of auto, numba, array, scipy, got 'jax'"):
        choose_engine(model, engine="jax")
    with pytest.raises(InputError, match="device must be 'cpu' or 'gpu', got 'tpu'"):
        choose_engine(model, device="tpu")
    for options in ({"engine": "scipy", "single": True}, {"engine": "numba", "single": True}):
        with pytest.raises(InputError, match="double precision on the processor"):
            choose_engine(model, **options)


def test_single_precision_alone_means_the_array_engine(model):
    assert choose_engine(model, single=True).name == "array"


def test_networks_that_the_kernel_does_not_support_are_refused(model, rng):
    forward = model.forward
    linear = Network([Dense(3, 4), Dense(4, forward.space.n_grid)])
    others = forward.parameters[forward.network.n_parameters :]
    parameters = np.concatenate([linear.initialise(rng), others])
    forward = replace(forward, network=linear, parameters=parameters)
    assert np.isfinite(forward.flux(np.zeros((1, forward.n_stellar)))).all()
    with pytest.raises(InputError, match="use the array engine"):
        NumbaEngine(replace(model, forward=forward))


def test_a_missing_gpu_is_a_clear_error(model, monkeypatch):
    real = builtins.__import__

    def no_cupy(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("no cupy")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_cupy)
    with pytest.raises(InputError, match=r'need CuPy: pip install "xpfit\[gpu\]"'):
        choose_engine(model, device="gpu")


@pytest.mark.parametrize("broken", [True, False])
def test_cupy_without_a_gpu_is_a_clear_error(broken, monkeypatch):
    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if broken:
            raise CUDARuntimeError("no CUDA-capable device is detected")
        return 0

    runtime = SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=count)
    fake = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(InputError, match=r"GPU.*use the processor"):
        get_device("gpu")


def test_reduced_precision_of_the_gpu_is_refused(monkeypatch):
    runtime = SimpleNamespace(CUDARuntimeError=RuntimeError, getDeviceCount=lambda: 1)
    fake = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setenv("CUPY_TF32", "1")
    with pytest.raises(InputError, match="unset CUPY_TF32"):
        get_device("gpu")


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
