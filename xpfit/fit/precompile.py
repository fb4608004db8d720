"""Compile the Numba kernel in a separate process, so that it is always loaded from Numba's cache.

Machine code that a process has just compiled is linked differently from code that it loads from the
cache, and rounds differently: results would depend, in the last bits, on which process compiled.

The cache is where Numba puts it: in `NUMBA_CACHE_DIR` if that is set, beside the sources if these
can be written to, else in the user's cache directory. Where there is none of them, as in some
containers, it is in the directory of temporary files. A cache beside sources that cannot be written
to, which whoever installed them has filled, is copied.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..locks import hold

COMPILING = "XPFIT_COMPILING"
"""Environment variable that is set in the process that compiles."""

CACHE_DIR = "NUMBA_CACHE_DIR"
"""Environment variable with which Numba is told where its cache is."""

CACHED = ("*.nbi", "*.nbc")
"""Numba's files of compiled functions."""

LOCK, WAIT = "xpfit.lock", 0.2
"""File in the cache that a compiling process holds; seconds between looks at it by others."""

_lock = Lock()


def precompile() -> None:
    """Fill Numba's cache with the kernel, if it is not there: a minute, once.

    Other processes wait meanwhile.
    """
    with _lock:
        _precompile()


@lru_cache(maxsize=1)
def _precompile() -> None:
    from .kernel import ENTRY_POINTS

    if COMPILING in os.environ or not sys.executable:
        return
    cache = cache_directory(ENTRY_POINTS[0])
    if cache is not None:
        copy_cache(Path(__file__).parent / "kernel" / "__pycache__", cache)
    if all(map(is_cached, ENTRY_POINTS)):
        return
    with _compiling_alone(cache):
        if all(map(is_cached, ENTRY_POINTS)):
            return
        command = f"from {__name__} import compile_kernel; compile_kernel()"
        environment = {**os.environ, COMPILING: "1"}
        subprocess.run([sys.executable, "-c", command], env=environment, check=False)


def cache_in_temporary_files() -> None:
    """Tell Numba, here and in processes started from here, to keep its cache in temporary files."""
    from numba import config

    os.environ[CACHE_DIR] = temporary_cache()
    config.reload_config()  # type: ignore[no-untyped-call]


def temporary_cache() -> str:
    """Directory in that of temporary files which nobody else can write machine code to."""
    user = getattr(os, "getuid", lambda: "user")()
    path = Path(tempfile.gettempdir()) / f"xpfit-numba-{user}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError:
        return tempfile.mkdtemp(prefix="xpfit-numba-")
    ours = stat.S_ISDIR(status.st_mode) and (user == "user" or status.st_uid == user)
    if ours and not status.st_mode & 0o022:
        return str(path)
    return tempfile.mkdtemp(prefix="xpfit-numba-")


def cache_directory(function: Any) -> Path | None:
    """Where Numba caches a function; None in versions of Numba that do not tell."""
    try:
        return Path(function._cache.cache_path)
    except (AttributeError, TypeError):
        return None


def copy_cache(source: Path, cache: Path) -> None:
    """Copy compiled functions that the cache lacks, as far as that is possible.

    Parameters
    ----------
    source, cache : Path
        Directories of files of Numba. Those of other sources or processors are not used by it.
    """
    try:
        if source.resolve() == cache.resolve() or any(cache.glob(CACHED[0])):
            return
        # The indices last: they name the others.
        for path in [path for pattern in reversed(CACHED) for path in source.glob(pattern)]:
            with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
                file.write(path.read_bytes())
            shutil.move(file.name, cache / path.name)
    except OSError:
        pass  # then it is compiled


@contextmanager
def _compiling_alone(cache: Path | None) -> Iterator[None]:
    """Hold the lock of the cache, after waiting for other processes, where locks are possible."""
    descriptor = None
    try:
        while cache is not None and (descriptor := hold(cache / LOCK)) is None and cache.is_dir():
            time.sleep(WAIT)
    except OSError:
        pass
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


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
