import sys
from types import SimpleNamespace

import pytest

from xpfit import InputError
from xpfit.fit.device import get_device


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
