import gzip

import numpy as np
import pytest
from astropy.table import Table

import xpfit
from xpfit import InputError, XPSettings
from xpfit.data.spectra import InputFlag
from xpfit.prepare import continuous_spectra, sampled_space
from xpfit.read import SAMPLED_WAVELENGTH, read_sampled, spectra_kind


@pytest.fixture
def table(rng):
    flux = 1e-16 * (1.0 + 0.1 * rng.standard_normal((5, 343)))
    error = 1e-18 * rng.uniform(0.5, 1.5, (5, 343))
    ids = 2**61 + np.arange(5)
    return Table(
        {"source_id": ids, "solution_id": np.ones(5, int), "flux": flux, "flux_error": error}
    )


@pytest.fixture
def path(table, tmp_path):
    """The archive's bulk file."""
    lines = ["# %ECSV 1.0", "source_id,solution_id,flux,flux_error"]
    for row in table:
        cells = [
            '"[' + ",".join(repr(float(v)) for v in row[n]) + ']"' for n in ("flux", "flux_error")
        ]
        lines.append(f"{row['source_id']},1,{cells[0]},{cells[1]}")
    path = tmp_path / "XpSampledMeanSpectrum_000000-003111.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.mark.parametrize("ending", ["csv.gz", "fits", "vot"])
def test_every_format_gives_the_same_numbers(table, path, tmp_path, ending):
    if ending != "csv.gz":
        path = tmp_path / f"s.{ending}"
        table.write(path, format="fits" if ending == "fits" else "votable")
    assert spectra_kind(path) == "sampled"
    (read,) = read_sampled(path)
    np.testing.assert_array_equal(read["source_id"], table["source_id"])
    for name in ("flux", "flux_error"):
        np.testing.assert_array_equal(read[name], table[name])


def test_data_vectors_are_the_samples_with_their_errors(table, path):
    settings = XPSettings(0.003, 0.0, 0.0, uncorrelated_error=0.004)
    spectra = xpfit.read_spectra(path, settings=settings)
    columns = np.searchsorted(SAMPLED_WAVELENGTH, spectra.wavelength[:61])
    flux, error = (np.asarray(table[n])[:, columns] / 1e-18 for n in ("flux", "flux_error"))
    np.testing.assert_allclose(spectra.flux[:, :61], flux, rtol=1e-12)
    expected = np.sqrt(error**2 + (0.005 * flux) ** 2)
    np.testing.assert_allclose(spectra.flux_err[:, :61], expected, rtol=1e-12)
    residual = np.where(np.isfinite(spectra.flux_err), spectra.flux_err, 0.0)
    chi2 = np.sum(spectra.whitener(residual) ** 2, axis=1)
    np.testing.assert_allclose(chi2, 61.0, rtol=1e-10)


def test_zero_point_and_bands_vary_as_in_continuous_spectra(path):
    spectra = xpfit.read_spectra(path, settings=XPSettings(0.0, 0.006, 0.002))
    flux = spectra.flux[0, :61]
    whitener = spectra.whitener.array[0, :61, :61]
    inverse = whitener.T @ whitener
    covariance = np.linalg.inv(inverse)
    i, j, k = 3, 10, 50  # BP, BP, RP
    assert covariance[i, j] == pytest.approx((0.006**2 + 0.002**2) * flux[i] * flux[j])
    assert covariance[i, k] == pytest.approx(0.006**2 * flux[i] * flux[k])


def test_missing_samples_have_no_weight_and_bad_sources_are_named(table, tmp_path):
    table["flux"][1, SAMPLED_WAVELENGTH == 402.0] = np.nan
    table["flux_error"][3, SAMPLED_WAVELENGTH == 500.0] = 0.0  # not used at 10 nm
    table["flux_error"][2, SAMPLED_WAVELENGTH == 532.0] = -1.0
    table.write(tmp_path / "s.fits")
    with pytest.warns(UserWarning, match=r"1 sources.*errors that are not positive"):
        spectra = xpfit.read_spectra(tmp_path / "s.fits")
    np.testing.assert_array_equal(spectra.n_obs, [61, 60, 0, 61, 61])
    assert spectra.input_flags[1] & InputFlag.MASKED_SAMPLES
    assert spectra.input_flags[2] & InputFlag.BAD_COEFFICIENTS


def test_other_wavelengths_must_be_among_the_archive_s(path):
    spectra = xpfit.read_spectra(path, space=sampled_space([400.0, 402.0, 990.0]))
    np.testing.assert_array_equal(spectra.n_obs, 3)
    with pytest.raises(InputError, match=r"336 to 1020 nm.*those at 401"):
        xpfit.read_spectra(path, space=sampled_space([401.0, 500.0]))


def test_sampled_spectra_have_no_coefficients(path):
    with pytest.raises(InputError, match="no coefficients"):
        continuous_spectra(read_sampled(path), "coefficient")


def test_individual_files_and_odd_lengths_are_refused(table, tmp_path):
    rows = Table({"source_id": np.full(3, 7), "flux": np.ones(3), "flux_error": np.ones(3)})
    rows.write(tmp_path / "i.fits")
    rows.write(tmp_path / "i.csv")
    for ending in ("fits", "csv"):
        with pytest.raises(InputError, match="data structure RAW"):
            next(read_sampled(tmp_path / f"i.{ending}"))
    table["flux"] = np.asarray(table["flux"])[:, :300]
    table.write(tmp_path / "odd.fits")
    with pytest.raises(InputError, match=r"343 values, expected 300|states the wavelengths"):
        xpfit.read_spectra(tmp_path / "odd.fits")


def test_fits_from_the_command_line(path, tmp_path):
    from xpfit.cli import main

    assert main(["fit", str(path), "--output", str(tmp_path / "f.ecsv"), "--quiet"]) == 0
    assert len(xpfit.read.read_table(tmp_path / "f.ecsv")) == 5
