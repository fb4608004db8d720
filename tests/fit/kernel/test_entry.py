import shutil
from pathlib import Path

import pytest

entry = pytest.importorskip("xpfit.fit.kernel.entry", reason="needs Numba")


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
