import gzip

import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit import InputError
from xpfit.data import InputFlag
from xpfit.errors import TruncatedError
from xpfit.read import read_continuous


@pytest.fixture
def text(rng, tmp_path):
    """Path of a file to write, and the lines of a text with six sources."""
    path = write_archive(archive_sources(6, rng), tmp_path / "six.csv", "csv (a, b)")
    return path, path.read_bytes().splitlines(keepends=True)


def ids(tables):
    return [int(i) for table in tables for i in np.ma.filled(table["source_id"], 0)]


def test_what_stands_before_a_broken_download_s_end_is_read(text):
    path, lines = text
    whole = ids(read_continuous(path))
    path.write_bytes(b"".join(lines)[: -len(lines[-1]) // 2])
    tables = []
    with pytest.raises(TruncatedError, match=r"six\.csv: cut off or damaged at row 6"):
        for table in read_continuous(path, 4):
            tables.append(table)
    assert ids(tables) == whole[:5]


def test_a_zipped_file_that_is_cut_off_gives_the_sources_before(text):
    path, lines = text
    content = gzip.compress(b"".join(lines))
    path.write_bytes(content[: 3 * len(content) // 4])
    with pytest.warns(UserWarning, match=r"six\.csv: cut off.* sources before are used"):
        spectra = xpfit.read_spectra(path)
    assert 0 < len(spectra) < 6 and not spectra.input_flags[0] & InputFlag.BAD_COEFFICIENTS


@pytest.mark.parametrize("row", [1, 3, 6], ids=["first", "middle", "last"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda line: line.rsplit(b",", 3)[0] + b"\n", "cells for"),
        (lambda line: line.replace(b'"(', b'"(1.0, ', 1), "values, expected 55"),
        (lambda line: b"99999999999999999999999" + line[19:], "does not fit 64 bits"),
        (lambda line: b"2.3e18" + line[19:], "not an integer"),
    ],
    ids=["short row", "short array", "large id", "float id"],
)
def test_a_damaged_row_is_flagged_and_the_others_are_read(text, row, damage, problem):
    path, lines = text
    good = xpfit.read_spectra(path)
    lines[row] = damage(lines[row])
    path.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match=f"1 sources cannot be used.*{problem}"):
        spectra = xpfit.read_spectra(path)
    bad = (spectra.input_flags & InputFlag.BAD_COEFFICIENTS) != 0
    np.testing.assert_array_equal(np.flatnonzero(bad), [row - 1])
    np.testing.assert_array_equal(spectra.flux[~bad], good.flux[~bad])


def test_a_file_with_damaged_rows_only_is_refused(text):
    path, lines = text
    path.write_bytes(lines[0] + b"".join(b"1.5" + line[19:] for line in lines[1:]))
    with pytest.raises(InputError, match=r"six\.csv, row 1: source_id '1\.5.*not an integer"):
        xpfit.read_spectra(path)


@pytest.mark.parametrize(
    "written",
    [
        lambda t: b"\xef\xbb\xbf" + t,
        lambda t: t.replace(b"\n", b"\r\n"),
        lambda t: t.replace(b"\n", b"\r"),
        lambda t: b"\n\n" + t.replace(b"\n", b"\n\n"),
        lambda t: t[:-1],
    ],
    ids=["byte-order mark", "CR LF", "CR", "blank lines", "no last line end"],
)
def test_text_of_every_system_is_read_alike(text, written):
    path, lines = text
    before = xpfit.read_spectra(path)
    path.write_bytes(written(b"".join(lines)))
    after = xpfit.read_spectra(path)
    np.testing.assert_array_equal(after.source_id, before.source_id)
    np.testing.assert_array_equal(after.flux, before.flux)


def test_a_text_in_another_encoding_is_refused_by_name(text):
    path, lines = text
    path.write_bytes(b"".join(lines).decode().encode("utf-16"))
    with pytest.raises(InputError, match=r"six\.csv"):
        xpfit.read_spectra(path)


@pytest.mark.parametrize("factor", ["e300", "e160", "e60"])
@pytest.mark.parametrize("space", ["sampled", "coefficient"])
def test_numbers_that_overflow_are_flagged_and_the_others_are_read(text, factor, space):
    path, lines = text
    good = xpfit.read_spectra(path, space=space)
    start = lines[3].index(b'"(') + 2
    end = lines[3].index(b",", start)
    lines[3] = lines[3][:end].rstrip(b")") + factor.encode() + lines[3][end:]
    path.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match="numbers too large"):
        spectra = xpfit.read_spectra(path, space=space)
    bad = (spectra.input_flags & InputFlag.BAD_COEFFICIENTS) != 0
    np.testing.assert_array_equal(bad, np.arange(6) == 2)
    np.testing.assert_array_equal(spectra.flux[~bad], good.flux[~bad])
    assert not spectra.n_obs[2] and np.isfinite(spectra.whitener.array).all()
