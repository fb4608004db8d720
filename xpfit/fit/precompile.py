"""Compile the Numba kernel in a separate process, so that it is always loaded from Numba's cache.

Machine code that a process has just compiled is linked differently from code that it loads from the
cache, and rounds differently: results would depend, in the last bits, on which process compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

COMPILING = "XPFIT_COMPILING"
"""Environment variable that is set in the process that compiles."""

_lock = Lock()


def precompile() -> None:
    """Fill Numba's cache with the kernel, if it is not there: half a minute, once.

    Without a directory that can be written to, each process compiles for itself.
    """
    with _lock:
        _precompile()


@lru_cache(maxsize=1)
def _precompile() -> None:
    from .kernel import ENTRY_POINTS

    if COMPILING in os.environ or not sys.executable or all(map(is_cached, ENTRY_POINTS)):
        return
    command = f"from {__name__} import compile_kernel; compile_kernel()"
    environment = {**os.environ, COMPILING: "1"}
    subprocess.run([sys.executable, "-c", command], env=environment, check=False)


def compile_kernel() -> None:
    """Fit a star with a model covariance, which calls all entry points of the kernel."""
    from ..data.spectra import Spectra
    from ..model.store import load_model
    from .fitter import Fitter

    model = load_model()
    labels = model.prior.means[:1]
    flux = np.nan_to_num(model.predict(labels, 0.1, 1.0, extrapolate=True))
    error = np.where(model.trained_channels, 0.02 * flux, np.inf)
    spectra = Spectra(np.array([1]), model.space, flux, error)
    Fitter(model, engine="numba", n_starts=2).fit(spectra, progress=False)


def is_cached(function: Any) -> bool:
    """Whether Numba's cache holds a compiled function, as its sources are now, for this processor.

    Parameters
    ----------
    function : numba.core.registry.CPUDispatcher
        One of `xpfit.fit.kernel.ENTRY_POINTS`.
    """
    from numba.core.registry import cpu_target

    try:
        cache = function._cache
        # The key without the types of the arguments: processor, bytecode and digest of the sources.
        _, *current = cache._index_key(None, cpu_target.target_context.codegen())
        return any([*key[1:]] == current for key in cache._cache_file._load_index())
    except (AttributeError, OSError, TypeError):
        return False  # another version of Numba, or no cache at all
