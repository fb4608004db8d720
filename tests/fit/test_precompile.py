import os
import subprocess
import sys
import tempfile
import threading
import time
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


def test_a_cache_beside_the_sources_is_copied_to_where_it_can_be_used(tmp_path):
    """As an administrator fills it, of an installation that others cannot write to."""
    precompile.precompile()
    source = Path(precompile.__file__).parent / "kernel" / "__pycache__"
    if not any(source.glob("*.nbi")):
        pytest.skip("this installation's cache is elsewhere")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = (
        "from xpfit.fit import precompile; from xpfit.fit.kernel import ENTRY_POINTS\n"
        "precompile.subprocess.run = None  # nothing is compiled\n"
        "precompile.precompile(); assert all(map(precompile.is_cached, ENTRY_POINTS))"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert {p.name for p in source.glob("*.nbi")} <= {p.name for p in tmp_path.rglob("*.nbi")}


def test_a_cache_that_is_there_is_left_alone(tmp_path):
    source, cache = tmp_path / "source", tmp_path / "cache"
    for directory, text in ((source, "new"), (cache, "old")):
        directory.mkdir()
        (directory / "f.nbi").write_text(text)
    precompile.copy_cache(source, cache)
    precompile.copy_cache(source, source)
    assert (cache / "f.nbi").read_text() == "old" and len(list(cache.iterdir())) == 1


def test_the_cache_in_temporary_files_is_nobody_else_s(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = Path(precompile.temporary_cache())
    assert own.stat().st_mode & 0o777 == 0o700
    assert precompile.temporary_cache() == str(own)
    own.chmod(0o777)  # anyone may have put machine code there
    other = Path(precompile.temporary_cache())
    assert other != own and other.stat().st_mode & 0o777 == 0o700


def test_one_process_compiles_while_others_wait(tmp_path):
    order = []

    def compiling(name, seconds):
        with precompile._compiling_alone(tmp_path):
            order.append(f"{name} begins")
            time.sleep(seconds)
            order.append(f"{name} ends")

    threads = [threading.Thread(target=compiling, args=("first", 0.5)),
               threading.Thread(target=compiling, args=("second", 0.0))]  # fmt: skip
    threads[0].start()
    time.sleep(0.1)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert order == ["first begins", "first ends", "second begins", "second ends"]


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
