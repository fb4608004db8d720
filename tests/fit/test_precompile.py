import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xpfit.fit import precompile

entry = pytest.importorskip("xpfit.fit.kernel.entry", reason="needs Numba")

CODE = """
import hashlib
import numpy as np
import xpfit
from xpfit.fit import kernel

model = xpfit.load_model()
spectra = xpfit.read_spectra({path!r}, slice(0, 3), space=model.space)
result = model.fit(spectra, progress=False)
assert not any(kernel.iterate.stats.cache_misses.values()), "compiled here"
print(hashlib.sha256(result.parameters.tobytes()).hexdigest())
"""


def test_the_core_is_never_run_as_just_compiled(sample_path, tmp_path):
    """Code fresh from the compiler rounds otherwise than code from the cache."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CODE.format(path=str(sample_path))]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc"))
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) > 60


def test_a_process_that_compiles_starts_no_other(monkeypatch):
    def never(*arguments, **options):
        pytest.fail("started another process")

    monkeypatch.setenv(precompile.COMPILING, "1")
    monkeypatch.setattr(precompile.subprocess, "run", never)
    precompile._precompile.__wrapped__()


def cache_key(digest):
    """What of a function's key in Numba's cache depends on the sources."""
    from numba.core.registry import cpu_target

    function, *_ = entry.make_entry_points(digest)
    return function._cache._index_key(None, cpu_target.target_context.codegen())


def test_an_edit_of_any_kernel_module_changes_the_key_in_the_cache(tmp_path):
    folder = Path(entry.__file__).parent
    names = {path.name for path in entry.SOURCES}
    assert names >= {path.name for path in folder.glob("*.py")} | {"lm_settings.py"}
    original = entry.digest_sources(entry.SOURCES)
    assert cache_key(original) == cache_key(entry.digest_sources(reversed(entry.SOURCES)))
    for source in entry.SOURCES:
        copies = [
            Path(shutil.copy(path, tmp_path / f"{i}")) for i, path in enumerate(entry.SOURCES)
        ]
        edited = copies[entry.SOURCES.index(source)]
        edited.write_text(edited.read_text().replace("0", "1", 1) + "# edited\n")
        assert cache_key(entry.digest_sources(copies)) != cache_key(original), source


def test_kernels_of_other_sources_do_not_count_as_cached():
    precompile.precompile()
    assert all(map(precompile.is_cached, entry.ENTRY_POINTS))
    assert not any(map(precompile.is_cached, entry.make_entry_points("digest of other sources")))
