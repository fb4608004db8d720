import h5py
import numpy as np
import pytest

from xpfit import InputError, OutputError
from xpfit.data.hdf5 import FileFormat, arrays_of, digest

PLAIN = FileFormat("test-plain", "a plain file", error=InputError, remedy="write it again")
CHECKED = FileFormat("test-checked", "a checked file", version=2, has_checksum=True)


@pytest.fixture(params=[PLAIN, CHECKED], ids=["plain", "checked"])
def form(request):
    return request.param


@pytest.fixture
def path(form, tmp_path):
    with form.writing(tmp_path / "f.h5") as file:
        file["group/values"] = np.arange(5.0)
        file.attrs["fact"] = "yes"
    return tmp_path / "f.h5"


def test_what_is_written_is_read(form, path):
    with form.reading(path) as file:
        np.testing.assert_array_equal(arrays_of(file)["group/values"], np.arange(5.0))
        assert file.attrs["fact"] == "yes" and file.attrs["format"] == form.name
        assert file.attrs["format_version"] == form.version


def test_existing_files_are_kept_and_failed_ones_leave_nothing(form, path, tmp_path):
    with pytest.raises(OutputError, match="exists already"), form.writing(path):
        pass
    with pytest.raises(ZeroDivisionError), form.writing(tmp_path / "g.h5"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [path]


def test_missing_files_other_formats_and_newer_versions_are_named(form, path, tmp_path):
    with pytest.raises(FileNotFoundError, match=form.missing), form.reading(tmp_path / "no.h5"):
        pass
    other = FileFormat("test-other", "another file")
    with pytest.raises(other.error, match="an HDF5 file, but not another file"):  # noqa: SIM117
        with other.reading(path):
            pass
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = form.version + 1
    message = rf"version {form.version + 1} is newer .*\({form.version}\); upgrade"
    with pytest.raises(form.error, match=message), form.reading(path):
        pass


def test_damage_met_while_reading_is_one_error_with_its_remedy(form, path):
    message = f"not {form.content}, or a damaged one.*{form.remedy}"
    with pytest.raises(form.error, match=message), form.reading(path) as file:
        file["absent"]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(form.error, match=message), form.reading(path):
        pass


def test_checksum_notices_changed_values_and_attributes(tmp_path):
    for change in (lambda f: f["x"].write_direct(np.array([2.0])), lambda f: f.attrs.update(a=2)):
        with CHECKED.writing(tmp_path / "f.h5", overwrite=True) as file:
            file["x"], file.attrs["a"] = np.array([1.0]), 1
        with h5py.File(tmp_path / "f.h5", "r+") as file:
            change(file)
        with pytest.raises(CHECKED.error, match="checksum"), CHECKED.reading(tmp_path / "f.h5"):
            pass


def test_digest_depends_on_names_values_and_attributes_but_not_on_order():
    arrays = {"a": np.array([1.0]), "b": np.array([2.0])}
    same = digest(dict(reversed(arrays.items())), {"x": 1})
    assert digest(arrays, {"x": 1}) == same
    assert digest(arrays, {"x": 2}) != same and digest({**arrays, "a": np.ones(2)}, {}) != same
