"""The Numba core is compiled by a process of its own, and always loaded from Numba's cache.

Functions that a process has just compiled are linked otherwise than those that it loads from the
cache, and round otherwise: the second fit would differ from the first in the last bits, and a
catalogue would depend on which of its workers was the first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from threading import Lock

import numpy as np

COMPILING = "XPFIT_COMPILING"
"""Environment variable of the process that compiles."""


_lock = Lock()


def precompile() -> None:
    """Make sure that the core is in Numba's cache: half a minute, once.

    Where that cannot be (no place that can be written to), this process compiles when it must.
    """
    with _lock:
        _precompile()


@lru_cache(maxsize=1)
def _precompile() -> None:
    if COMPILING in os.environ or not sys.executable or _is_cached():
        return
    command = f"from {__name__} import compile_core; compile_core()"
    environment = {**os.environ, COMPILING: "1"}
    subprocess.run([sys.executable, "-c", command], env=environment, check=False)


def compile_core() -> None:
    """Fit a star, in one way that needs all of the core."""
    from ..data.spectra import Spectra
    from ..model.store import load_model
    from .fitter import Fitter

    model = load_model()
    labels = model.prior.means[:1]
    flux = np.nan_to_num(model.predict(labels, 0.1, 1.0, extrapolate=True))
    error = np.where(model.trained_channels, 0.02 * flux, np.inf)
    spectra = Spectra(np.array([1]), model.space, flux, error)
    Fitter(model, engine="numba", n_starts=2).fit(spectra, progress=False)


def _is_cached() -> bool:
    """Whether Numba's cache holds the core as it is now, for this processor."""
    from numba.core.registry import cpu_target

    from . import kernel

    try:
        processor = cpu_target.target_context.codegen().magic_tuple()
        return all(
            any(key[1] == processor for key in function._cache._cache_file._load_index())
            for function in (kernel.evaluate, kernel.descend, kernel.inflate, kernel.find_ends)
        )
    except (AttributeError, OSError, TypeError):
        return False  # another version of Numba, or no cache at all
