"""Mutated files of the archive, in every format: the reader alone, by far faster than a command."""

import gzip

import numpy as np
import pytest
from archive import FORMATS, archive_sources, write_archive
from mutated.mutations import mutate_bytes

from xpfit import InputError
from xpfit.read import read_continuous


def outcomes_of(n_files, tmp_path):
    """Read mutated files; every one must end in a clear error or in tables."""
    small = archive_sources(2, np.random.default_rng(6), 3, 2)
    originals = {s: write_archive(small, tmp_path / "original", s).read_bytes() for s in FORMATS}
    path = tmp_path / "mutated"
    outcomes = {"error": 0, "table": 0}
    for seed in range(n_files):
        style, rng = FORMATS[seed % len(FORMATS)], np.random.default_rng(seed)
        content = originals[style]
        if style.endswith(".gz") and seed % 2:
            content = gzip.compress(mutate_bytes(gzip.decompress(content), rng), 1)
        else:
            content = mutate_bytes(content, rng)
        path.write_bytes(content)
        try:
            for table in read_continuous(path):
                assert len(table) and table["source_id"].dtype == np.int64, seed
            outcomes["table"] += 1
        except InputError as error:
            assert "mutated" in str(error), seed
            outcomes["error"] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, {style}") from error
    return outcomes


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_end_in_a_clear_error_or_a_table(tmp_path):
    assert min(outcomes_of(550, tmp_path).values()) > 50


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_mutated_files_end_in_a_clear_error_or_a_table(tmp_path):
    assert sum(outcomes_of(10_000, tmp_path).values()) == 10_000
