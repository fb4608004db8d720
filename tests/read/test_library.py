import gzip
import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from xpfit import InputError
from xpfit.read import LIBRARY_COLUMNS, LIBRARY_WAVELENGTH, read_library


@pytest.fixture
def small(sample_path, tmp_path):
    """A file of 12 real stars, and a function that rewrites it after a change."""
    path = tmp_path / "stars.fits"
    with fits.open(sample_path) as hdus:
        data = hdus[1].data[:12].copy()

    def write(change=None, drop=()):
        table = Table(data)
        if change:
            change(table)
        table.remove_columns(list(drop))
        table.write(path, overwrite=True)
        return path

    write()
    return path, write


def test_all_columns_have_their_units(sample_table):
    assert sample_table.colnames == list(LIBRARY_COLUMNS)
    assert sample_table["teff"].unit == u.K
    assert sample_table["medflux"].unit == u.W / u.m**2 / u.nm
    assert sample_table["gaiaedr3_source_id"].dtype == np.int64


def test_wavelengths_run_from_336_to_1020_nm():
    assert len(LIBRARY_WAVELENGTH) == 343
    assert (LIBRARY_WAVELENGTH[0], LIBRARY_WAVELENGTH[-1]) == (336.0, 1020.0)


def test_missing_labels_are_masked(sample_path):
    table = read_library(sample_path)
    with fits.open(sample_path) as hdus:
        missing = np.isnan(hdus[1].data["fe_h"])
    assert 0 < missing.sum() < len(table)
    np.testing.assert_array_equal(table["fe_h"].mask, missing)


@pytest.mark.parametrize(
    "rows",
    [slice(3, 9), [8, 2, 5], np.array([11]), np.arange(12) % 2 == 0, []],
    ids=["slice", "list", "array", "mask", "none"],
)
def test_any_subset_of_rows_equals_the_rows_of_the_whole(small, rows):
    path, _ = small
    index = np.arange(12)[rows if not isinstance(rows, list) or rows else slice(0)]
    whole, part = read_library(path), read_library(path, rows)
    assert len(part) == len(index)
    for name in ("apogee_id", "gaiaedr3_source_id", "flux"):
        np.testing.assert_array_equal(part[name], whole[name][index])


def test_gzipped_file_reads_the_same(small):
    path, _ = small
    zipped = path.with_suffix(".fits.gz")
    with path.open("rb") as source, gzip.open(zipped, "wb") as target:
        shutil.copyfileobj(source, target)
    np.testing.assert_array_equal(read_library(zipped)["flux"], read_library(path)["flux"])


def test_ids_keep_all_their_digits(small):
    path, write = small
    odd = 2**62 + 1

    def change(table):
        table["gaiaedr3_source_id"][0] = odd

    write(change)
    assert read_library(path)["gaiaedr3_source_id"][0] == odd


def test_ids_equal_to_tnull_are_masked(small):
    path, _ = small
    with fits.open(path, mode="update") as hdus:
        null = int(hdus[1].data["gaiaedr3_source_id"][4])
        hdus[1].columns["gaiaedr3_source_id"].null = null
    mask = np.ma.getmaskarray(read_library(path)["gaiaedr3_source_id"])
    np.testing.assert_array_equal(np.flatnonzero(mask), [4])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.fits: no such file"):
        read_library(tmp_path / "nothing.fits")


def test_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.fits"
    path.touch()
    with pytest.raises(InputError, match=r"empty\.fits: the file is empty"):
        read_library(path)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.97])
def test_truncated_file_is_named(small, share):
    path, _ = small
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"stars\.fits"):
        read_library(path)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_truncated_gzip_file_is_named(small, share):
    path, _ = small
    content = gzip.compress(path.read_bytes())
    zipped = path.with_suffix(".fits.gz")
    zipped.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"stars\.fits\.gz"):
        read_library(zipped)


@pytest.mark.parametrize(
    "content", [b"source_id,teff\n1,5000\n", b"\x89HDF\r\n\x1a\n" + bytes(5000)]
)
def test_file_of_another_kind_is_named(tmp_path, content):
    path = tmp_path / "table.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"table\.fits: not a readable FITS file"):
        read_library(path)


def test_fits_image_is_refused(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
    with pytest.raises(InputError, match="no table"):
        read_library(path)


def test_missing_columns_are_named(small):
    path, write = small
    write(drop=["flux_error", "medflux"])
    with pytest.raises(InputError, match=r"missing columns flux_error, medflux"):
        read_library(path)


def test_columns_that_a_fit_can_do_without_are_masked_where_absent(small):
    path, write = small
    write(drop=["teff", "j", "apogee_id"])
    table = read_library(path)
    for name in ("teff", "j", "apogee_id"):
        assert table[name].mask.all()


def test_float_ids_are_refused(small):
    path, write = small

    def change(table):
        table["gaiaedr3_source_id"] = table["gaiaedr3_source_id"].astype(float)

    write(change)
    with pytest.raises(InputError, match="64-bit integers"):
        read_library(path)


def test_spectra_of_another_length_are_refused(small):
    path, write = small

    def change(table):
        table["flux"] = table["flux"][:, :300]

    write(change)
    with pytest.raises(InputError, match=r"flux holds.*expected 343"):
        read_library(path)


@pytest.mark.parametrize("rows", [[12], [-13], np.ones(5, dtype=bool)])
def test_rows_out_of_range_are_refused(small, rows):
    with pytest.raises(InputError, match=r"stars\.fits"):
        read_library(small[0], rows)
