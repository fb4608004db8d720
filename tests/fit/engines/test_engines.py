"""Three engines, one optimum."""

import builtins

import numpy as np
import pytest
from situations import SITUATIONS, data_of, near, situation

from xpfit import FitStatus, InputError
from xpfit.fit import Fitter, engines
from xpfit.fit.engines import ArrayEngine, choose_engine
from xpfit.fit.engines.numba import NumbaEngine
from xpfit.fit.engines.scipy import ScipyEngine


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


@pytest.mark.parametrize("kind", [ScipyEngine, ArrayEngine, NumbaEngine])
def test_loss_is_never_above_that_of_the_start(kind, rng):
    model, spectra, theta = situation("full whiteners", 20, rng)
    stars = kind(model).load(data_of(model, spectra))
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


def test_a_missing_gpu_is_a_clear_error(model, monkeypatch):
    real = builtins.__import__

    def no_cupy(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("no cupy")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_cupy)
    with pytest.raises(InputError, match=r'need CuPy: pip install "xpfit\[gpu\]"'):
        choose_engine(model, device="gpu")
