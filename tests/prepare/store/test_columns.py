import h5py
import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit.data import InputFlag
from xpfit.integrity import VERIFY
from xpfit.prepare import write_spectra


@pytest.fixture
def store(rng, tmp_path):
    """A file of prepared spectra of six stars, and what it holds."""
    archive = write_archive(archive_sources(6, rng), tmp_path / "six.csv", "csv (a, b)")
    spectra = xpfit.read_spectra(archive)
    write_spectra([spectra], tmp_path / "six.h5")
    return tmp_path / "six.h5", spectra


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whitener", np.nan), ("whitener", np.inf), ("flux_err", -1.0), ("flux_err", np.nan),
        ("flux_err", 0.0), ("flux", np.nan),
    ],
)  # fmt: skip
def test_a_star_with_impossible_numbers_is_flagged_and_the_others_are_read(store, name, value):
    path, spectra = store
    with h5py.File(path, "a") as file:
        file[name][2, 5] = value
    with pytest.warns(
        UserWarning, match=f"1 sources .* left out, and flagged: {spectra[2].source_id[0]}"
    ):
        read = xpfit.read_spectra(path)
    bad = (read.input_flags & InputFlag.BAD_COEFFICIENTS) != 0
    np.testing.assert_array_equal(bad, np.arange(6) == 2)
    assert not read.n_obs[2] and not read.whitener.array[2].any()
    np.testing.assert_array_equal(read.flux[~bad], spectra.flux[~bad])


def test_a_parallax_with_a_negative_error_is_unknown(store, monkeypatch):
    path, _ = store
    monkeypatch.setenv(VERIFY, "0")
    with h5py.File(path, "a") as file:
        file["parallax"][:] = 1.0
        file["parallax_error"][:] = [0.1, -0.1, 0.1, np.nan, np.inf, 0.1]
    with pytest.warns(UserWarning, match="2 sources"):
        read = xpfit.read_spectra(path)
    np.testing.assert_array_equal(np.isfinite(read.parallax_err), [1, 0, 1, 0, 0, 1])
    assert np.isnan(read.parallax[1]) and not np.any(read.input_flags & InputFlag.BAD_COEFFICIENTS)
