"""Engines: three implementations of the optimiser with one interface.

`ScipyEngine` is the reference, star by star with scipy.optimize. `NumbaEngine` is the default for
catalogues; `ArrayEngine` is the same algorithm in array code, for GPUs and for use without Numba.
"""

from __future__ import annotations

import importlib.util
import warnings

from ...errors import InputError
from ...model import XPModel
from ..device import get_device
from .array import ArrayEngine
from .base import Engine, LoadedStars

__all__ = ["ENGINES", "ArrayEngine", "Engine", "LoadedStars", "choose_engine"]

ENGINES = ("auto", "numba", "array", "scipy")
"""Names of the engines."""

NO_NUMBA = 'Numba makes fits many times faster than the array engine: pip install "xpfit[fast]"'


def choose_engine(
    model: XPModel, engine: str = "auto", device: str = "cpu", single: bool = False
) -> Engine:
    """Make an engine by its name.

    Parameters
    ----------
    model : XPModel
    engine : {"auto", "numba", "array", "scipy"}
        "auto": numba on the processor, if Numba is installed, else array.
    device : {"cpu", "gpu"}
    single : bool
        Single precision where it does no harm (array engine only).

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        If there is no such engine or device, or they cannot be combined.
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    place = get_device(device)
    if engine == "auto":
        # Only the array engine runs on a GPU or in single precision.
        engine = "array" if device == "gpu" or single else "numba"
        if engine == "numba" and not _has_numba():
            warnings.warn(NO_NUMBA, stacklevel=3)
            engine = "array"
    if engine != "array" and (device == "gpu" or single):
        raise InputError(
            f"the {engine} engine runs in double precision on the processor: "
            "use the array engine, or do not set device and single precision"
        )
    if engine == "array":
        return ArrayEngine(model, place, single)
    # Imported here: scipy.optimize and Numba take half a second each.
    if engine == "scipy":
        from .scipy import ScipyEngine

        return ScipyEngine(model)
    if not _has_numba():
        raise InputError('the numba engine needs Numba: pip install "xpfit[fast]"')
    from .numba import NumbaEngine

    return NumbaEngine(model)


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None
