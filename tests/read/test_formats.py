import builtins
import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit import InputError
from xpfit.read import read_continuous
from xpfit.read.formats import ROW_FORMATS, recognise
from xpfit.read.formats.compressed import HEAD, read_head

NAMES = {"csv": "text", "ecsv": "text", "bulk": "text", "fits": "fits", "fits.gz": "fits",
         "votable": "votable", "hdf5": "hdf5"}  # fmt: skip


@pytest.mark.parametrize("style", ["csv (a, b)", "bulk csv.gz", "fits.gz", "votable text", "hdf5"])
def test_formats_are_recognised_by_content_and_name_their_columns(rng, tmp_path, style):
    sources = archive_sources(2, rng, 4, 5)
    form, head = recognise(write_archive(sources, tmp_path / "anything", style))
    assert form.name == NAMES[style.split()[0]]
    assert set(form.column_names(tmp_path / "anything", head)) == set(sources.colnames)


def test_text_is_what_nothing_else_is():
    assert [form.name for form in ROW_FORMATS if form.matches(b"a,b\n1,2\n")] == ["text"]
    assert ROW_FORMATS[-1].name == "text"


def test_head_goes_on_through_the_members_of_a_gzip_file(tmp_path):
    parts = [b"source_id,", b"flux\n", b"1,2\n" * HEAD]
    (tmp_path / "s").write_bytes(b"".join(gzip.compress(part) for part in parts))
    assert read_head(tmp_path / "s") == b"".join(parts)[:HEAD]


@pytest.mark.parametrize("size", [5, 12, 40, 400])
def test_head_of_a_truncated_gzip_file_is_what_there_is(rng, tmp_path, size):
    whole = gzip.compress(rng.bytes(1000), mtime=0)
    (tmp_path / "s").write_bytes(whole[:size])
    assert gzip.decompress(whole).startswith(read_head(tmp_path / "s"))


def test_a_text_file_is_opened_three_times(rng, tmp_path, monkeypatch):
    path = write_archive(archive_sources(3, rng), tmp_path / "s.csv", "csv (a, b)")
    xpfit.read_spectra(path)  # so that nothing else is read for the first time
    opened, path_open, plain_open = [], Path.open, builtins.open

    def counted(self, *args, **options):
        opened.append(str(self))
        return path_open(self, *args, **options)

    def counted_plain(file, *args, **options):
        opened.append(str(file))
        return plain_open(file, *args, **options)

    monkeypatch.setattr(Path, "open", counted)
    monkeypatch.setattr(builtins, "open", counted_plain)
    xpfit.read_spectra(path)
    assert opened.count(str(path)) == 3


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize("style", ["csv (a, b)", "fits", "votable text"])
def test_packed_files_are_read_whatever_their_names(rng, tmp_path, packing, style):
    plain = write_archive(archive_sources(3, rng), tmp_path / "s", style)
    (expected,) = read_continuous(plain)
    path = tmp_path / "packed.dat"
    content = plain.read_bytes()
    if packing == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(plain.name, content)
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[packing].compress(content))
    (read,) = read_continuous(path)
    for name in expected.colnames:
        np.testing.assert_array_equal(read[name], expected[name])


@pytest.mark.parametrize("packing", ["bz2", "xz", "zip"])
def test_packed_files_that_are_cut_off_are_refused(rng, tmp_path, packing):
    plain = write_archive(archive_sources(3, rng), tmp_path / "s", "fits")
    path = tmp_path / "packed.dat"
    if packing == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(plain.name, plain.read_bytes())
    else:
        path.write_bytes({"bz2": bz2, "xz": lzma}[packing].compress(plain.read_bytes()))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"packed\.dat"):
        list(read_continuous(path))


def test_a_zip_archive_of_several_files_is_refused(tmp_path):
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "source_id\n1")
        archive.writestr("b.csv", "source_id\n2")
    with pytest.raises(InputError, match=r"two\.zip: 2 files in this zip archive"):
        list(read_continuous(path))
