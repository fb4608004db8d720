from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit.cli import main
from xpfit.constants import XP_WAVELENGTH
from xpfit.data.spectra import InputFlag
from xpfit.prepare import continuous_spectra, sample_continuous
from xpfit.read import read_continuous

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "xp_continuous"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared archive files")


@pytest.fixture
def path(rng, tmp_path):
    return write_archive(archive_sources(70, rng), tmp_path / "s.csv", "csv (a, b)")


def test_data_vectors_are_the_sampled_spectra_with_full_whiteners(path, rng):
    spectra = xpfit.read_spectra(path)
    table = next(read_continuous(path))
    sampled = sample_continuous(table, XP_WAVELENGTH)
    np.testing.assert_allclose(spectra.flux[:, :61], sampled.flux, rtol=1e-12)
    assert np.isinf(spectra.flux_err[:, 61:]).all()
    np.testing.assert_array_equal(spectra.n_obs, 61)
    residual = rng.standard_normal((70, 66)) * np.r_[spectra.flux[0, :61] * 0.01, np.ones(5)]
    value = np.sum(spectra.whitener(residual) ** 2, axis=1)
    direct = [
        r[:61] @ np.linalg.solve(c, r[:61])
        for r, c in zip(residual, sampled.covariance, strict=True)
    ]
    np.testing.assert_allclose(value, direct, rtol=1e-8)


def test_chunks_do_not_matter(path):
    whole = continuous_spectra(read_continuous(path))
    chunks = continuous_spectra(read_continuous(path, chunk_size=9))
    np.testing.assert_allclose(chunks.whitener.array, whole.whitener.array, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(chunks.source_id, whole.source_id)


def test_bad_source_is_flagged_and_named_in_a_warning(rng, tmp_path):
    sources = archive_sources(3, rng)
    sources["bp_coefficient_errors"][1, 0] = -1.0
    sources["source_id"][2] = sources["source_id"][0]
    path = write_archive(sources, tmp_path / "s.fits", "fits")
    with pytest.warns(UserWarning, match=rf"1 sources.*{sources['source_id'][1]}: bp: errors"):
        spectra = xpfit.read_spectra(path)
    assert spectra.input_flags[1] & InputFlag.BAD_COEFFICIENTS
    assert spectra.input_flags[1] & InputFlag.NO_DATA
    assert spectra.input_flags[0] & InputFlag.DUPLICATE_ID
    np.testing.assert_array_equal(spectra.n_obs, [61, 0, 61])


def test_rows_can_be_chosen(path):
    spectra = xpfit.read_spectra(path, slice(0, 3))
    assert len(spectra) == 3


@needs_shared
@pytest.mark.parametrize("name", ["XP_CONTINUOUS_RAW_with_missing_BP.xml", "bright_five.csv"])
def test_real_continuous_files_are_fitted_from_the_command_line(name, tmp_path):
    out = tmp_path / "f.ecsv"
    assert main(["fit", str(SHARED / name), "--output", str(out), "--quiet"]) == 0
    table = xpfit.read.read_table(out)
    assert np.isfinite(table["teff"]).all() and np.isfinite(table["teff_err"]).all()


@needs_shared
def test_18_sco_is_a_solar_twin_within_two_sigma():
    model = xpfit.load_model()
    spectra = xpfit.read_spectra(SHARED / "18Sco.csv", space=model.space)
    result = model.fit(spectra, progress=False)
    for name, known in (("teff", 5.817), ("logg", 4.45), ("feh", 0.05)):
        assert abs(result[name][0] - known) < 2.0 * result.error(name)[0], name
