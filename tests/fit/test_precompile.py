import os
import subprocess
import sys

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


def test_kernels_of_other_sources_do_not_count_as_cached():
    precompile.precompile()
    assert all(map(precompile.is_cached, entry.ENTRY_POINTS))
    assert not any(map(precompile.is_cached, entry.make_entry_points("digest of other sources")))
