import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from xpfit import InputError
from xpfit.data import InputFlag
from xpfit.integrity import VERIFY
from xpfit.prepare import iterate_spectra, write_spectra
from xpfit.prepare.store.checksum import COLUMN, row_checksums


@pytest.fixture
def store(sample, tmp_path):
    """A file of forty stars, and what it holds."""
    write_spectra([sample[:25], sample[25:40]], tmp_path / "s.h5")
    return tmp_path / "s.h5", sample[:40]


def read(path, chunk_size=7, rows=None):
    return list(iterate_spectra(path, chunk_size, rows))


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
@pytest.mark.parametrize("rows", [None, range(3, 31)])
def test_what_was_written_is_verified_in_any_part(sample, tmp_path, suffix, rows):
    path = tmp_path / f"s{suffix}"
    write_spectra([sample[:25], sample[25:40]], path)
    parts = read(path, 7, rows)
    assert sum(map(len, parts)) == len(rows or range(40))
    assert not any((p.input_flags & InputFlag.BAD_COEFFICIENTS).any() for p in parts)


@pytest.mark.parametrize(
    ("name", "place"), [("flux", (9, 3)), ("whitener", (9, 0)), ("snr", 9),
                        ("source_id", 9), ("labels/teff", 9), ("input_flags", 9)],
)  # fmt: skip
def test_a_star_whose_numbers_were_changed_is_flagged_and_named(store, name, place):
    path, _ = store
    with h5py.File(path, "a") as file:
        values = file[name][place]
        file[name][place] = np.nextafter(values, 1e9) if values.dtype.kind == "f" else values ^ 4
    with pytest.warns(UserWarning, match=r"s\.h5, row 9: 1 sources .* left out, and flagged"):
        parts = read(path)
    flags = np.concatenate([part.input_flags for part in parts])
    np.testing.assert_array_equal((flags & InputFlag.BAD_COEFFICIENTS) != 0, np.arange(40) == 9)
    assert np.isnan(parts[1].labels["teff"][2]) and not np.isnan(parts[1].labels["teff"][3])


def test_rows_that_have_changed_places_are_flagged(store):
    path, _ = store
    with h5py.File(path, "a") as file:
        for name in (*file, "labels/teff"):
            if isinstance(file[name], h5py.Dataset):
                file[name][[3, 4]] = file[name][[3, 4]][::-1]
    with pytest.warns(UserWarning, match="row 3: 2 sources"):
        read(path)


def test_a_header_that_was_changed_is_refused(store):
    path, _ = store
    with h5py.File(path, "a") as file:
        file.attrs["wavelength"] = file.attrs["wavelength"] + 1.0
    with pytest.raises(InputError, match="checksum of the header"):
        read(path)


def test_nothing_is_verified_when_that_is_asked_for(store, monkeypatch):
    path, spectra = store
    with h5py.File(path, "a") as file:
        file["flux"][9, 3] += 1.0
        file.attrs["xpfit_version"] = "other"
    monkeypatch.setenv(VERIFY, "0")
    np.testing.assert_allclose(read(path)[1].flux[2, 3], spectra.flux[9, 3] + 1.0)


def test_files_without_checksums_are_read(store):
    path, spectra = store
    with h5py.File(path, "a") as file:
        del file[COLUMN], file.attrs["header_checksum"]
    np.testing.assert_array_equal(read(path, 100)[0].flux, spectra.flux)


def test_pages_of_parquet_are_verified(sample, tmp_path):
    path = tmp_path / "s.parquet"
    write_spectra([sample[:40]], path)
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError):
        read(path)


def test_every_changed_bit_changes_the_checksum(rng):
    columns = {"source_id": np.arange(3), "flux": rng.normal(size=(3, 70))}
    before = row_checksums(columns, 0)
    for bit in range(64):
        changed = columns["flux"].copy()
        changed.view(np.uint64)[1, bit] ^= np.uint64(1) << np.uint64(bit)
        after = row_checksums({**columns, "flux": changed}, 0)
        assert after[1] != before[1] and after[0] == before[0]
    assert (row_checksums(columns, 1) != before).all()
