import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit import InputError, OutputError, Spectra
from xpfit.cli import main
from xpfit.prepare import continuous_spectra, iterate_spectra, write_spectra
from xpfit.prepare.store.columns import FORMAT
from xpfit.read import read_continuous

COLUMNS = (
    "source_id", "wavelength", "flux", "flux_err", "parallax", "parallax_err", "extinction",
    "extinction_err", "snr", "input_flags",
)  # fmt: skip


@pytest.fixture
def continuous(rng, tmp_path):
    path = write_archive(archive_sources(7, rng), tmp_path / "s.csv", "csv (a, b)")
    return continuous_spectra(read_continuous(path))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spectra.h5"


@pytest.fixture(params=["spectra.h5", "spectra.parquet"])
def any_path(request, tmp_path):
    """A file in each of the formats."""
    return tmp_path / request.param


def assert_same(a: Spectra, b: Spectra) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.labels.keys() == b.labels.keys() and a.preparation == b.preparation
    for name in a.labels:
        np.testing.assert_array_equal(a.labels[name], b.labels[name])
        np.testing.assert_array_equal(a.label_err[name], b.label_err[name])


def test_library_spectra_come_back_as_they_were(sample, any_path):
    write_spectra([sample[:50]], any_path)
    (read,) = iterate_spectra(any_path)
    assert_same(read, sample[:50])
    np.testing.assert_array_equal(read.whitener.array, sample.whitener.array[:50])


def test_full_whiteners_come_back_with_the_same_chi2(continuous, any_path, rng):
    write_spectra([continuous], any_path)
    (read,) = iterate_spectra(any_path)
    assert_same(read, continuous)
    residual = rng.standard_normal((7, 66)) * np.where(
        np.isfinite(continuous.flux_err), continuous.flux_err, 1.0
    )
    before, after = (np.sum(s.whitener(residual) ** 2, axis=1) for s in (continuous, read))
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_parts_are_joined_and_read_in_chunks_of_any_size(sample, any_path):
    n = write_spectra([sample[:30], sample[30:31], sample[31:100]], any_path)
    assert n == 100
    parts = list(iterate_spectra(any_path, chunk_size=17))
    assert [len(part) for part in parts] == [17] * 5 + [15]
    assert_same(Spectra.concatenate(parts), sample[:100])


def test_sources_repeated_in_different_parts_are_flagged(sample, any_path):
    write_spectra([sample[:3], sample[2:4]], any_path)
    (read,) = iterate_spectra(any_path)
    np.testing.assert_array_equal(read.input_flags & 16 != 0, [False, False, True, True, False])


def test_coefficient_space_and_labels_come_back(continuous, any_path, rng):
    table = archive_sources(4, rng)
    table["problem"] = [""] * 4
    spectra = replace(
        continuous_spectra([table], "coefficient"),
        labels={"teff": np.arange(4.0)},
        label_err={"teff": np.full(4, np.nan)},
        parallax=np.arange(4.0),
        parallax_err=np.full(4, 0.1),
    )
    write_spectra([spectra], any_path)
    (read,) = iterate_spectra(any_path)
    assert_same(read, spectra)
    assert read.space.matches(spectra.space)


def test_other_parquet_files_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="not a file of prepared spectra"):
        list(iterate_spectra(tmp_path / "a.parquet"))


def test_parquet_without_pyarrow_says_how_to_get_it(sample, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pip install 'xpfit\[scale\]'"):
        write_spectra([sample[:2]], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_layout_is_the_documented_one(continuous, path):
    write_spectra([continuous], path)
    with h5py.File(path) as file:
        assert file.attrs["space"] == "sampled"
        assert file["source_id"].dtype == np.int64
        assert file["flux"].shape == (7, 66)
        assert file["whitener"].shape == (7, 66 * 67 // 2)
        np.testing.assert_array_equal(file.attrs["wavelength"], continuous.wavelength)
        assert {"parallax", "parallax_error", "flux_err", "input_flags"} < set(file)


def test_differently_prepared_spectra_do_not_mix(sample, continuous, any_path):
    with pytest.raises(InputError, match="prepared differently"):
        write_spectra([sample[:2], continuous], any_path)
    assert not any_path.exists()


def test_nothing_to_write_is_an_error_and_leaves_nothing(any_path):
    with pytest.raises(InputError, match="no spectra"):
        write_spectra([], any_path)
    assert list(any_path.parent.iterdir()) == []


def test_interrupted_writing_leaves_nothing(sample, any_path):
    def parts():
        yield sample[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_spectra(parts(), any_path)
    assert list(any_path.parent.iterdir()) == []


def test_existing_file_is_kept_unless_asked(sample, path):
    path.write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        write_spectra([sample[:2]], path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_truncated_file_is_refused(sample, any_path, share):
    write_spectra([sample[:300]], any_path)
    content = any_path.read_bytes()
    any_path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"spectra\."):
        list(iterate_spectra(any_path))


def test_other_and_newer_files_are_refused(sample, model, path, tmp_path):
    model.save(tmp_path / "model.h5")
    with pytest.raises(InputError, match="not a file of prepared spectra"):
        list(iterate_spectra(tmp_path / "model.h5"))
    write_spectra([sample[:2]], path)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = FORMAT.version + 1
    with pytest.raises(InputError, match=r"newer.*upgrade"):
        list(iterate_spectra(path))
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        list(iterate_spectra(tmp_path / "absent.h5"))


def test_prepare_then_fit_equals_fitting_the_files(rng, tmp_path, any_path, capsys):
    files = [
        write_archive(archive_sources(3, rng), tmp_path / "a.csv", "csv (a, b)"),
        write_archive(archive_sources(2, rng)[1:], tmp_path / "b.fits", "fits"),
    ]
    assert main(["prepare", *map(str, files), "--output", str(any_path)]) == 0
    assert "wrote 4 stars" in capsys.readouterr().out
    model = xpfit.load_model()
    prepared = model.fit(xpfit.read_spectra(any_path), progress=False)
    for rows, file in ((slice(0, 3), files[0]), (slice(3, 4), files[1])):
        direct = model.fit(xpfit.read_spectra(file, space=model.space), progress=False)
        np.testing.assert_allclose(prepared.loss[rows], direct.loss, rtol=1e-6)


def test_rows_of_prepared_spectra_can_be_chosen(sample, any_path):
    write_spectra([sample[:10]], any_path)
    read = xpfit.read_spectra(any_path, slice(2, 5))
    assert_same(read, sample[2:5])


def test_joining_nothing_or_unlike_spectra_is_refused(sample, continuous):
    with pytest.raises(InputError, match="no spectra to join"):
        Spectra.concatenate([])
    with pytest.raises(InputError, match="different labels"):
        Spectra.concatenate([sample[:2], continuous])
