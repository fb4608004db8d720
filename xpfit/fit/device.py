"""Devices for array code: NumPy on the processor, CuPy on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError

CPU_BYTES = 2**26
"""Memory of a batch on the processor: small enough for the caches."""

GPU_SHARE = 0.2
"""Fraction of the free memory of a GPU for a batch; two threads have one each."""


@dataclass(frozen=True)
class Device:
    """Where arrays are kept and computed with.

    Attributes
    ----------
    name : str
        ``"cpu"`` or ``"gpu"``.
    asarray : callable
        NumPy array (and, optionally, `dtype`) -> array on the device.
    to_numpy : callable
        Array on the device -> NumPy array.
    free_bytes : callable
        Memory available for a batch now.
    stream : callable
        Context in which a thread queues its work, so that transfers of one thread overlap with
        computations of another.
    """

    name: str
    asarray: Callable[..., Any]
    to_numpy: Callable[[Any], np.ndarray]
    free_bytes: Callable[[], float]
    stream: Callable[[], Any]


CPU = Device("cpu", np.asarray, np.asarray, lambda: CPU_BYTES, nullcontext)


def gpu() -> Device:
    """The current GPU.

    Returns
    -------
    Device

    Raises
    ------
    InputError
        If CuPy is not installed, finds no GPU, or is set to calculate in reduced precision.
    """
    try:
        import cupy
    except ImportError as error:
        raise InputError(
            'fits on a GPU need CuPy: pip install "xpfit[gpu]", or use the processor (device "cpu")'
        ) from error
    try:
        n_device = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise InputError(
            f"CuPy finds no usable GPU ({error}): use the processor (device 'cpu')"
        ) from error
    if not n_device:
        raise InputError("CuPy finds no GPU: use the processor (device 'cpu')")
    if os.environ.get("CUPY_TF32", "0") != "0":
        raise InputError("fits do not converge in the GPU's TF32 mode: unset CUPY_TF32")

    def free_bytes() -> float:
        pool = cupy.get_default_memory_pool()
        held = pool.total_bytes() - pool.used_bytes()
        return float(GPU_SHARE * (cupy.cuda.Device().mem_info[0] + held))

    # A stream waits for copies made outside of it, such as that of the model.
    return Device("gpu", cupy.asarray, cupy.asnumpy, free_bytes, cupy.cuda.Stream)


def get_device(name: str) -> Device:
    """Get a device by its name.

    Parameters
    ----------
    name : str
        ``"cpu"`` or ``"gpu"``.

    Returns
    -------
    Device

    Raises
    ------
    InputError
        If there is no such device.
    """
    if name not in ("cpu", "gpu"):
        raise InputError(f"device must be 'cpu' or 'gpu', got {name!r}")
    return CPU if name == "cpu" else gpu()
