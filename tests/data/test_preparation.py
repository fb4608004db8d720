import json
from dataclasses import replace

import pytest

from xpfit import InputError
from xpfit.data.preparation import (
    LibrarySettings,
    PhotometrySettings,
    Preparation,
    XPSettings,
)

LIBRARY = {
    "extinction_err": 0.05,
    "extinction_fractional_err": 0.1,
    "extinction_limits": [-0.3, 6.0],
    "magnitude_err": 0.03,
    "xp_error_floor": 0.003,
}
ARCHIVE = {
    "band_error": 0.001,
    "divide_by_standard_deviation": False,
    "independent_error": 0.005,
    "truncate": True,
    "uncorrelated_error": 0.003,
    "zero_point_error": 0.005,
    "correlation_length": 10.0,
    "correction": "tilt 1.0",
    "photometry": {
        "magnitude_err_floor": 0.03, "max_norm_dg_2mass": -5.0, "max_norm_dg_wise": -9.0,
        "min_fracflux": 0.5,
    },
    "parallax_zero_point": "gaiadr3-zeropoint 0.1.5",
}  # fmt: skip


@pytest.mark.parametrize("record", [LIBRARY, ARCHIVE, {}, {**LIBRARY, "invented_later": [1, 2]}])
def test_records_of_files_are_read_and_written_as_they_are(record):
    preparation = Preparation.from_dict(json.loads(json.dumps(record)))
    assert json.loads(json.dumps(preparation.to_dict())) == record


def test_records_without_a_correlation_length_keep_having_none():
    record = {name: ARCHIVE[name] for name in ("independent_error", "truncate")}
    preparation = Preparation.from_dict(record)
    assert preparation.settings.correlation_length == 0.0
    assert "correlation_length" not in preparation.to_dict()
    assert Preparation(XPSettings()).differences(preparation).errors == [
        "correlation_length is 10.0, not 0.0"
    ]


def test_records_are_read_into_their_types():
    preparation = Preparation.from_dict(ARCHIVE)
    assert preparation.settings == XPSettings(truncate=True)
    assert preparation.photometry == PhotometrySettings(0.03, max_norm_dg_wise=-9.0)
    assert preparation.flux_correction == "tilt 1.0"
    assert Preparation.from_dict(LIBRARY).settings == LibrarySettings()
    assert Preparation.from_dict(LIBRARY).flux_correction == "none"


def test_settings_of_another_kind_are_that_kinds_defaults():
    preparation = Preparation(XPSettings(truncate=True))
    assert preparation.settings_of(XPSettings).truncate
    assert preparation.settings_of(LibrarySettings) == LibrarySettings()


@pytest.mark.parametrize("record", [{"band_error": -1.0}, {"photometry": {"colour": 1}}])
def test_impossible_records_are_refused(record):
    with pytest.raises(InputError):
        Preparation.from_dict(record)


def test_differences_tell_the_flux_from_its_errors():
    trained = Preparation(XPSettings())
    assert trained.differences(trained) == ([], [])
    truncated = replace(trained, settings=XPSettings(truncate=True, band_error=0.002))
    assert truncated.differences(trained) == (
        ["truncate is True, not False"], ["band_error is 0.002, not 0.001"]
    )  # fmt: skip
    corrected = replace(trained, correction="tilt 1.0")
    assert corrected.differences(trained) == (
        ["the flux correction is 'tilt 1.0', not 'none'"], []
    )  # fmt: skip
    assert replace(trained, correction="none").differences(trained) == ([], [])


def test_the_library_compares_with_spectra_that_are_not_truncated():
    library = Preparation(LibrarySettings(xp_error_floor=0.01))
    assert library.differences(Preparation(XPSettings(band_error=0.1))) == ([], [])
    truncated = Preparation(XPSettings(truncate=True))
    assert library.differences(truncated).flux == ["truncate is False, not True"]
    assert library.differences(Preparation(LibrarySettings())).errors == [
        "xp_error_floor is 0.01, not 0.003"
    ]


def test_differences_of_what_is_attached_change_no_flux():
    one = Preparation(photometry=PhotometrySettings(), parallax_zero_point="none")
    other = Preparation(photometry=PhotometrySettings(0.1), parallax_zero_point="zpt 1")
    assert one.differences(other) == (
        [], ["magnitude_err_floor is 0.02, not 0.1", "the parallax zero point is none, not zpt 1"]
    )  # fmt: skip
    assert one.differences(Preparation()) == ([], [])
