from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers import with_luminosities

import xpfit
from xpfit import ModelFileError, OutputError
from xpfit.model.store import FORMAT


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.h5"
    model.save(path)
    return path


def test_round_trip_keeps_everything(model, saved):
    read = xpfit.load_model(saved)
    np.testing.assert_array_equal(read.forward.parameters, model.forward.parameters)
    np.testing.assert_array_equal(read.forward.label_mean, model.forward.label_mean)
    np.testing.assert_array_equal(read.forward.label_scale, model.forward.label_scale)
    np.testing.assert_array_equal(read.wavelength, model.wavelength)
    np.testing.assert_array_equal(read.trained_channels, model.trained_channels)
    np.testing.assert_array_equal(read.label_ranges, model.label_ranges)
    np.testing.assert_array_equal(read.source_ids, model.source_ids)
    np.testing.assert_array_equal(read.prior.covariances, model.prior.covariances)
    assert read.source_ids.dtype == np.int64
    for name in ("label_names", "absolute", "ln_prior_threshold", "preparation", "training"):
        assert getattr(read, name) == getattr(model, name)


def test_luminosities_are_taken_out_on_request(model, tmp_path, rng):
    with_luminosities(model, rng).save(tmp_path / "bright.h5")
    shapes = xpfit.load_model(tmp_path / "bright.h5", shapes_only=True)
    assert not shapes.absolute and xpfit.load_model(tmp_path / "bright.h5").absolute
    np.testing.assert_allclose(shapes.forward.weights, model.forward.weights, atol=1e-12)
    shapes.save(tmp_path / "shapes.h5")
    assert xpfit.load_model(tmp_path / "shapes.h5").fingerprints == shapes.fingerprints
    shipped = xpfit.load_model(shapes_only=True)
    assert xpfit.load_model().absolute and not shipped.absolute


def test_round_trip_keeps_the_model_covariance_or_that_there_is_none(model, saved, tmp_path):
    assert model.covariance is None and xpfit.load_model(saved).covariance is None
    shipped = xpfit.load_model()  # the default model has one
    shipped.save(tmp_path / "again.h5")
    read = xpfit.load_model(tmp_path / "again.h5").covariance
    np.testing.assert_array_equal(read.loadings, shipped.covariance.loadings)
    np.testing.assert_array_equal(read.diagonal, shipped.covariance.diagonal)


def test_round_trip_keeps_a_varying_curve_reasons_and_diagnostics(varying_model, tmp_path):
    flags = np.arange(len(varying_model.source_ids), dtype=np.int16) % 7
    diagnostics = {"residual_quantiles": np.eye(3), "history/loss": np.array([3.0, 2.0])}
    model = replace(varying_model, clean_flags=flags, diagnostics=diagnostics)
    model.save(tmp_path / "varying.h5")
    read = xpfit.load_model(tmp_path / "varying.h5")
    assert read.forward.curve_varies and read.parameter_names[-1] == "xi"
    np.testing.assert_array_equal(read.forward.parameters, model.forward.parameters)
    np.testing.assert_array_equal(read.clean_flags, flags)
    assert read.diagnostics.keys() == diagnostics.keys()
    np.testing.assert_array_equal(read.diagnostics["history/loss"], [3.0, 2.0])


def test_round_trip_predicts_the_same_flux_to_the_last_bit(model, saved):
    labels = np.array([[4.8, -0.2, 2.5], [5.7, 0.0, 4.4]])
    np.testing.assert_array_equal(
        xpfit.load_model(saved).predict(labels, 0.1, 5.0), model.predict(labels, 0.1, 5.0)
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5.*xpfit train"):
        xpfit.load_model(tmp_path / "absent.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all" * 100])
def test_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.h5.*not an xpfit model file"):
        xpfit.load_model(path)


def test_other_hdf5_file_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["wavelength"] = np.arange(3.0)
    with pytest.raises(ModelFileError, match="not an xpfit model"):
        xpfit.load_model(path)


def test_truncated_file_is_refused(saved):
    content = saved.read_bytes()
    saved.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        xpfit.load_model(saved)


def test_changed_number_is_noticed(saved):
    with h5py.File(saved, "r+") as file:
        file["network/parameters"][7] += 1e-9
    with pytest.raises(ModelFileError, match="checksum"):
        xpfit.load_model(saved)


def test_changed_attribute_is_noticed(saved):
    with h5py.File(saved, "r+") as file:
        file.attrs["absolute"] = True
    with pytest.raises(ModelFileError, match="checksum"):
        xpfit.load_model(saved)


def test_missing_dataset_is_noticed(saved):
    with h5py.File(saved, "r+") as file:
        del file["prior/means"]
    with pytest.raises(ModelFileError, match="damaged"):
        xpfit.load_model(saved)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("labels/ranges", 3.0),
        ("network/label_scale", np.zeros(3)),
        ("prior/means", np.zeros((2, 3))),
        ("wavelength", np.ones((66, 1))),
        ("wavelength", np.zeros(0)),
        ("trained_channels", np.zeros(66, dtype=bool)),
        ("prior/weights", np.array([np.nan] * 16)),
        ("extinction/ln_curve", np.array([b"x"] * 66)),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_unverified_too(
    saved, monkeypatch, name, values
):
    monkeypatch.setenv("XPFIT_VERIFY", "0")
    with h5py.File(saved, "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(ModelFileError, match=r"damaged"):
        xpfit.load_model(saved)


def test_flipped_bytes_are_noticed_wherever_they_are(saved, rng):
    content = bytearray(saved.read_bytes())
    for where in rng.integers(0, len(content), 40):
        damaged = content.copy()
        damaged[where] ^= 0xFF
        saved.write_bytes(damaged)
        try:
            read = xpfit.load_model(saved)
        except ModelFileError:
            continue
        # Not every byte of an HDF5 file carries data: then nothing may have changed.
        saved.write_bytes(content)
        np.testing.assert_array_equal(
            read.forward.parameters, xpfit.load_model(saved).forward.parameters
        )


def test_newer_format_is_refused_with_advice(saved):
    with h5py.File(saved, "r+") as file:
        file.attrs["format_version"] = FORMAT.version + 1
    with pytest.raises(ModelFileError, match=r"newer.*upgrade xpfit"):
        xpfit.load_model(saved)


def test_existing_file_is_replaced_only_when_asked(model, saved):
    before = saved.read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        model.save(saved)
    assert saved.read_bytes() == before
    model.save(saved, overwrite=True)


def test_failed_write_leaves_nothing(model, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OutputError, match="No space left"):
        model.save(tmp_path / "model.h5")
    assert list(tmp_path.iterdir()) == []
