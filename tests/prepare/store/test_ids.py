from dataclasses import replace

import numpy as np
import pytest

from xpfit.data import InputFlag, id_flags
from xpfit.prepare import iterate_spectra, write_spectra
from xpfit.prepare.store import hdf5, ids


@pytest.mark.parametrize("at_a_time", [7, 60, 1000])
def test_repeated_ids_are_found_in_any_number_of_passes(rng, monkeypatch, at_a_time):
    monkeypatch.setattr(ids, "IDS_AT_A_TIME", at_a_time)
    # Multiples of 128, as many ids of Gaia are, some missing.
    values = rng.integers(0, 300, 500).astype(np.int64) * 2**40 * 128
    lengths = []

    def read():
        lengths.append(0)
        for start in range(0, 500, 9):
            yield values[start : start + 9]

    unique, count = np.unique(values, return_counts=True)
    found = ids.repeated_ids(read, 500)
    np.testing.assert_array_equal(found, unique[(count > 1) & (unique > 0)])
    assert len(lengths) == -(-500 // at_a_time)
    np.testing.assert_array_equal(ids.flags_of(values, found), id_flags(values))


def test_passes_look_at_equal_shares(rng):
    values = rng.integers(1, 2**33, 20_000).astype(np.int64) * 2**22
    shares = [len(ids._share(values, k, 8)) for k in range(8)]
    assert sum(shares) == 20_000 and max(shares) < 1.1 * 2500


@pytest.mark.parametrize("ending", ["h5", "parquet"])
def test_stores_flag_ids_block_by_block(sample, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(ids, "IDS_AT_A_TIME", 10)
    monkeypatch.setattr(hdf5, "ROWS_AT_A_TIME", 7)
    source_id = sample.source_id[:40].copy()
    source_id[[3, 38]], source_id[5] = source_id[20], 0
    spectra = replace(sample[:40], source_id=source_id)
    path = tmp_path / f"s.{ending}"
    assert write_spectra([spectra[:25], spectra[25:]], path) == 40
    flags = np.concatenate([part.input_flags for part in iterate_spectra(path)])
    twice = (flags & InputFlag.DUPLICATE_ID) != 0
    np.testing.assert_array_equal(np.flatnonzero(twice), [3, 20, 38])
