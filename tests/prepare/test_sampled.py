import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive

from xpfit import InputError, XPSettings
from xpfit.constants import XP_WAVELENGTH
from xpfit.prepare import sample_continuous
from xpfit.prepare.band import coefficient_covariance
from xpfit.prepare.bases import sampled_design
from xpfit.read import read_continuous

GRIDS = {
    "ZGR23": XP_WAVELENGTH,
    "dense": np.arange(400.0, 990.0, 2.0),
    "uneven": np.array([350.0, 405.3, 636.0, 639.5, 642.0, 800.0, 1000.0]),
}
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "xp_continuous"
BARE = XPSettings(0.0, 0.0, 0.0)

pytestmark = pytest.mark.filterwarnings("ignore")  # GaiaXPy's own


@pytest.fixture
def sources(rng, tmp_path):
    """Four simulated sources, as a file and as read from it."""
    path = write_archive(archive_sources(4, rng), tmp_path / "s.csv", "csv (a, b)")
    return path, next(read_continuous(path))


def gaiaxpy_calibrate(path, grid):
    """GaiaXPy's flux, error and correlation, in the order of its own output."""
    from gaiaxpy import calibrate

    spectra, _ = calibrate(str(path), sampling=grid, save_file=False, with_correlation=True)
    flux, error = (np.stack(spectra[c].to_numpy()) / 1e-18 for c in ("flux", "flux_error"))
    return spectra["source_id"].to_numpy(), flux, error, np.stack(spectra["correlation"])


def check_against_gaiaxpy(path, grid):
    table = next(read_continuous(path))
    ours = sample_continuous(table, grid, BARE)
    ids, flux, error, correlation = gaiaxpy_calibrate(path, grid)
    order = [list(table["source_id"]).index(i) for i in ids]
    keep = ~ours.mask[order]
    np.testing.assert_allclose(ours.flux[order][keep], flux[keep], rtol=1e-10)
    variance = np.diagonal(ours.gaia_covariance, axis1=1, axis2=2)[order]
    # FITS holds errors in single precision, which GaiaXPy keeps in its products.
    precision = 1e-7 if path.suffix == ".fits" else 1e-10
    np.testing.assert_allclose(np.sqrt(variance)[keep], error[keep], rtol=precision)
    outside = ~((grid > 634.0) & (grid < 644.0))
    rows, columns = np.triu_indices(len(grid), 1)
    by_column = np.lexsort((rows, columns))
    rows, columns = rows[by_column], columns[by_column]
    for i, k in enumerate(order):
        pairs = outside[rows] & outside[columns] & keep[i][rows] & keep[i][columns]
        scale = np.sqrt(variance[i])
        expected = ours.gaia_covariance[k] / (scale[:, None] * scale)
        np.testing.assert_allclose(
            correlation[i][pairs], expected[rows, columns][pairs], atol=max(precision, 1e-9)
        )


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_flux_error_and_correlation_are_gaiaxpy_s(sources, grid):
    check_against_gaiaxpy(sources[0], grid)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared archive files")
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize(
    "name",
    [f"XP_CONTINUOUS_RAW{gap}{end}" for gap in ("", "_with_missing_BP")
     for end in (".csv", ".ecsv", ".fits", ".xml", "_plain.xml")] + ["bright_five.csv"],
)  # fmt: skip
def test_real_spectra_are_gaiaxpy_s_in_every_format(name, grid):
    check_against_gaiaxpy(SHARED / name, grid)


def test_covariance_is_the_dense_formula_written_out(sources):
    _, table = sources
    settings = XPSettings(0.004, 0.006, 0.002)
    ours = sample_continuous(table, XP_WAVELENGTH, settings)
    design = sampled_design(XP_WAVELENGTH)
    for i in range(len(table)):
        expected, parts = np.zeros((61, 61)), []
        for band, matrix in (("bp", design.bp), ("rp", design.rp)):
            correlation, k = np.eye(55), 0
            for column in range(1, 55):
                for row in range(column):
                    value = table[f"{band}_coefficient_correlations"][i, k]
                    correlation[row, column] = correlation[column, row] = value
                    k += 1
            error = np.diag(table[f"{band}_coefficient_errors"][i])
            expected += matrix.T @ error @ correlation @ error @ matrix
            parts.append(table[f"{band}_coefficients"][i] @ matrix)
        flux = sum(parts)
        np.testing.assert_allclose(ours.flux[i], flux, rtol=1e-12)
        np.testing.assert_allclose(ours.gaia_covariance[i], expected, rtol=1e-9, atol=1e-12)
        expected += np.diag(0.004 * flux) ** 2 + 0.006**2 * np.outer(flux, flux)
        expected += sum(0.002**2 * np.outer(part, part) for part in parts)
        np.testing.assert_allclose(ours.covariance[i], expected, rtol=1e-9, atol=1e-12)


def test_covariance_is_that_of_drawn_coefficients_in_the_overlap_too(sources):
    _, table = sources
    grid = np.array([600.0, 636.0, 638.0, 640.0, 642.0, 700.0])
    rng = np.random.default_rng(0)
    design = sampled_design(grid)
    flux = 0.0
    for band, matrix in (("bp", design.bp), ("rp", design.rp)):
        covariance = coefficient_covariance(
            *(np.asarray(table[f"{band}_coefficient_{n}"][:1]) for n in ("errors", "correlations"))
        )[0]
        flux = flux + rng.multivariate_normal(np.zeros(55), covariance, 20_000) @ matrix
    ours = sample_continuous(table[:1], grid, BARE).gaia_covariance[0]
    scale = np.sqrt(np.diag(ours))
    np.testing.assert_allclose(
        np.cov(flux.T) / (scale[:, None] * scale), ours / (scale[:, None] * scale), atol=0.04
    )
    assert np.linalg.eigvalsh(ours)[0] > 0


def test_default_terms_are_zgr23_s():
    settings = XPSettings()
    assert (settings.independent_error, settings.zero_point_error, settings.band_error) == (
        0.005,
        0.005,
        0.001,
    )
    assert not settings.divide_by_standard_deviation


def test_zgr23_s_division_of_errors_is_there_by_name_only(sources):
    _, table = sources
    table["bp_standard_deviation"] = table["rp_standard_deviation"] = np.full(4, 1.2)
    plain = sample_continuous(table, XP_WAVELENGTH, BARE)
    divided = sample_continuous(
        table, XP_WAVELENGTH, XPSettings(0.0, 0.0, 0.0, divide_by_standard_deviation=True)
    )
    np.testing.assert_allclose(divided.covariance, plain.covariance / 1.44, rtol=1e-10)


def test_negative_terms_are_refused():
    with pytest.raises(InputError, match="band_error must be 0 or more"):
        XPSettings(band_error=-0.1)


@pytest.mark.parametrize("band", ["bp", "rp"])
def test_without_one_band_the_other_s_wavelengths_remain(sources, band):
    _, table = sources
    for name in ("coefficients", "coefficient_errors", "coefficient_correlations"):
        table[f"{band}_{name}"][2] = np.nan
    ours = sample_continuous(table, XP_WAVELENGTH)
    other = {"bp": XP_WAVELENGTH > 643.0, "rp": XP_WAVELENGTH < 635.0}[band]
    np.testing.assert_array_equal(~ours.mask[2], other)
    assert not ours.mask[[0, 1, 3]].any() and not (ours.problem != "").any()


BAD = {
    "coefficients that are not finite": ("bp_coefficients", 3, np.inf),
    "correlations outside": ("rp_coefficient_correlations", 5, 1.2),
    "errors that are not positive": ("rp_coefficient_errors", 0, -1.0),
    "bp: errors that are not positive": ("bp_coefficient_errors", 0, 0.0),
    "correlations that are not finite": ("bp_coefficient_correlations", 9, np.nan),
    "no correlations": ("bp_coefficient_correlations", slice(None), np.nan),
    "not positive definite": ("bp_coefficient_correlations", slice(0, 600), -0.9),
}


@pytest.mark.parametrize(("problem", "change"), BAD.items(), ids=BAD.keys())
def test_numbers_that_cannot_be_right_mask_their_source_alone(sources, problem, change):
    _, table = sources
    alone = sample_continuous(table, XP_WAVELENGTH)
    column, index, value = change
    table[column][1, index] = value
    ours = sample_continuous(table, XP_WAVELENGTH)
    assert problem in ours.problem[1]
    assert ours.mask[1].all() and not ours.mask[[0, 2, 3]].any()
    np.testing.assert_array_equal(ours.covariance[[0, 2, 3]], alone.covariance[[0, 2, 3]])


def test_design_matrices_are_remembered():
    assert sampled_design(XP_WAVELENGTH).bp is sampled_design(XP_WAVELENGTH.copy()).bp


def test_gaiaxpy_leaves_no_trace_in_matplotlib_or_on_standard_output():
    code = (
        "import matplotlib, numpy; before = dict(matplotlib.rcParams); "
        "from xpfit.prepare.bases import sampled_design; "
        "sampled_design(numpy.array([500.0, 600.0])); "
        "assert dict(matplotlib.rcParams) == before"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True)
    assert (run.returncode, run.stdout) == (0, b""), run.stderr.decode()
