"""Spectra of other numbers of coefficients, against the formula written out."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from archive import archive_sources, write_archive
from internal import REAL_FILES, SHARED, coefficient_twin

import xpfit
from xpfit import InputError, OutputError, XPSettings
from xpfit.cli import main
from xpfit.constants import FLUX_UNIT_SI, XP_WAVELENGTH
from xpfit.prepare import coefficient_space, continuous_spectra, load_basis, save_basis
from xpfit.prepare.band import coefficient_covariance
from xpfit.prepare.bases import sampled_design
from xpfit.prepare.bases.files import CombinedBasis
from xpfit.read import read_continuous

N_BP = 51
BARE = XPSettings(0.0, 0.0, 0.0)


def combinations(kind, rng):
    """51 functions of BP as combinations of DR3's 55."""
    if kind == "first":
        return np.eye(55)[:N_BP]
    return np.linalg.qr(rng.standard_normal((55, 55)))[0][:N_BP]


def rewritten(table, bp):
    """The same sources with the coefficients of other functions of BP: orthogonal projections."""
    table = table.copy()
    values, errors, correlations = (
        np.asarray(table[f"bp_{name}"], dtype=float)
        for name in ("coefficients", "coefficient_errors", "coefficient_correlations")
    )
    covariance = bp @ coefficient_covariance(errors, correlations) @ bp.T
    errors = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    matrix = covariance / errors[:, :, None] / errors[:, None, :]
    rows, columns = np.tril_indices(len(bp), -1)
    table["bp_coefficients"] = values @ bp.T
    table["bp_coefficient_errors"] = errors
    table["bp_coefficient_correlations"] = matrix[:, rows, columns]
    return table


def of_dr4(model):
    """The model as one of spectra of 51 + 55 coefficients, which are taken for DR4's."""
    return replace(model, preparation=replace(model.preparation, release="DR4"))


def sources():
    """Tables of the shared DR3 files, or of simulated sources where these are absent."""
    if SHARED.is_dir():
        return [next(read_continuous(SHARED / name)) for name in REAL_FILES]
    table = archive_sources(6, np.random.default_rng(1))
    table["problem"] = ""
    return [table]


@pytest.fixture(params=["first", "orthogonal"])
def functions(request, rng):
    return combinations(request.param, rng)


@pytest.fixture
def basis_path(functions, tmp_path):
    path = tmp_path / "basis.h5"
    save_basis(path, functions, np.eye(55), "test")
    return path


@pytest.fixture
def basis(basis_path):
    return load_basis(basis_path)


@pytest.mark.parametrize("table", sources(), ids=lambda table: f"{len(table)} sources")
def test_sampled_flux_and_errors_are_those_of_the_direct_formula(table, functions, basis):
    ours = rewritten(table, functions)
    spectra = continuous_spectra([ours], settings=BARE, basis=basis)
    known = sampled_design(XP_WAVELENGTH)
    flux = np.asarray(ours["bp_coefficients"]) @ functions @ known.bp
    flux += np.asarray(ours["rp_coefficients"], dtype=float) @ known.rp
    np.testing.assert_allclose(
        spectra.flux[:, :61], flux, rtol=1e-10, atol=1e-10 * np.abs(flux).max()
    )
    variance = 0.0
    for band, matrix in (("bp", functions @ known.bp), ("rp", known.rp)):
        columns = (np.asarray(ours[f"{band}_coefficient_{n}"]) for n in ("errors", "correlations"))
        variance += np.einsum("ij,nik,kj->nj", matrix, coefficient_covariance(*columns), matrix)
    np.testing.assert_allclose(spectra.flux_err[:, :61], np.sqrt(variance), rtol=1e-8)


@pytest.mark.parametrize("table", sources(), ids=lambda table: f"{len(table)} sources")
def test_coefficients_are_the_file_s_and_their_spectra_those_of_dr3(table, functions, basis):
    ours = rewritten(table, functions)
    spectra = continuous_spectra([ours], "coefficient", basis=basis)
    assert spectra.space.n_obs == N_BP + 55 + 5
    coefficients = np.hstack([ours["bp_coefficients"], ours["rp_coefficients"]])
    np.testing.assert_array_equal(spectra.flux[:, :-5], coefficients)
    dr3 = coefficient_space()
    expected = np.asarray(ours["bp_coefficients"]) @ functions @ dr3.bp_basis
    flux = spectra.space.spectrum(spectra.flux)[:, : dr3.bp_basis.shape[1]]
    np.testing.assert_allclose(flux, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    back = spectra.space.observe(spectra.space.spectrum(spectra.flux))
    np.testing.assert_allclose(back, spectra.flux, atol=1e-10 * np.abs(coefficients).max())
    assert (np.isfinite(spectra.flux_err[:, :-5])).all()


def test_calibration_errors_of_both_spaces_agree(rng):
    """All 55 functions rotated describe the same spectra, with the same covariances."""
    table, settings = sources()[0], XPSettings(0.004, 0.006, 0.002)
    rotation = np.linalg.qr(rng.standard_normal((55, 55)))[0]
    ours = rewritten(table, rotation)
    basis = CombinedBasis("rotated", rotation, np.eye(55))
    for space in ("sampled", "coefficient"):
        direct = continuous_spectra([table], space, settings)
        rotated = continuous_spectra([ours], space, settings, basis=basis)
        whole = np.eye(direct.space.n_obs)
        if space == "coefficient":
            whole[:55, :55] = rotation
        for a, b in zip(direct.whitener.array, rotated.whitener.array, strict=True):
            information = b.T @ b
            np.testing.assert_allclose(
                whole.T @ information @ whole, a.T @ a, atol=1e-6 * np.abs(a.T @ a).max()
            )


def test_file_comes_back_with_name_and_digest(basis, functions, tmp_path):
    assert (basis.n_bp, basis.n_rp) == (N_BP, 55)
    np.testing.assert_array_equal(basis.bp, functions)
    save_basis(tmp_path / "again.h5", functions, np.eye(55), "test")
    save_basis(tmp_path / "other.h5", functions[::-1], np.eye(55), "test")
    again, other = (load_basis(tmp_path / f"{name}.h5") for name in ("again", "other"))
    assert again == basis and other != basis and basis.identifier.startswith("test (")
    design = sampled_design(XP_WAVELENGTH, basis=basis)
    assert sampled_design(XP_WAVELENGTH, basis=again) is design
    np.testing.assert_allclose(sampled_design(XP_WAVELENGTH, basis=other).bp, design.bp[::-1])
    with pytest.raises(OutputError, match="exists"):
        save_basis(tmp_path / "again.h5", functions, np.eye(55), "test")


BAD = {
    "expected": np.ones((51, 54)),
    "not finite": np.full((51, 55), np.nan),
    "not linearly independent": np.ones((2, 55)),
    "0 functions": np.ones((0, 55)),
}


@pytest.mark.parametrize(("message", "bp"), BAD.items(), ids=BAD)
def test_impossible_functions_are_refused(message, bp, tmp_path):
    with pytest.raises(InputError, match=f"basis.h5.*{message}"):
        save_basis(tmp_path / "basis.h5", bp, np.eye(55), "bad")
    assert not list(tmp_path.iterdir())


def test_damaged_and_other_files_are_refused(basis_path, tmp_path):
    with h5py.File(basis_path, "r+") as file:
        file["bp"][0, 0] += 1.0
    with pytest.raises(InputError, match="checksum"):
        load_basis(basis_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="not a file of basis functions"):
        load_basis(tmp_path / "text.h5")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_basis(tmp_path / "none.h5")


@pytest.mark.parametrize("space", ["sampled", "coefficient"])
def test_numbers_that_nobody_knows_are_refused(space, rng, tmp_path, basis):
    paths = [
        write_archive(archive_sources(2, rng, n_bp=n), tmp_path / f"{n}.csv", "csv (a, b)")
        for n in (51, 55)
    ]
    with pytest.raises(InputError, match=r"GaiaXPy .* 51 \+ 55 .*Gaia DR4\?.*--basis"):
        xpfit.read_spectra(paths[0], space=space)
    with pytest.raises(InputError, match=r"have 55 \+ 55 coefficients.*51 \+ 55 functions"):
        xpfit.read_spectra(paths[1], space=space, basis=basis)
    assert len(xpfit.read_spectra(paths[0], space=space, basis=basis)) == 2


def test_a_band_that_no_source_has_takes_its_size_from_the_basis(rng, tmp_path, basis):
    table = archive_sources(2, rng, n_bp=51)
    for name in table.colnames:
        if name.startswith("bp_coeff"):
            table[name] = [None, None]
    path = write_archive(table, tmp_path / "rp.csv", "csv (a, b)")
    spectra = xpfit.read_spectra(path, space="coefficient", basis=basis)
    assert spectra.space.n_obs == 111 and np.isinf(spectra.flux_err[:, :51]).all()


def test_spectra_of_other_functions_than_the_model_s_are_refused(
    rng, tmp_path, functions, basis, model
):
    model_space = coefficient_space(basis=basis)
    path = write_archive(archive_sources(2, rng, n_bp=51), tmp_path / "s.csv", "csv (a, b)")
    save_basis(tmp_path / "other.h5", functions[::-1], np.eye(55), "other")
    other = load_basis(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"\(other \(.*are not those of.*--basis"):
        xpfit.read_spectra(path, space=model_space, basis=other)
    assert xpfit.read_spectra(path, space=model_space, basis=basis).space is model_space
    model = of_dr4(coefficient_twin(model, model_space))
    prepared = xpfit.read_spectra(path, space="coefficient", basis=other)
    with pytest.raises(InputError, match=r"trained in .*with other wavelengths or basis functions"):
        model.fit(prepared, progress=False)


def test_tabulated_functions_are_exact_at_their_wavelengths_and_splines_between(rng, tmp_path):
    functions, fine = combinations("orthogonal", rng), np.arange(336.0, 1021.0, 2.0)
    known = sampled_design(fine)
    flux = [FLUX_UNIT_SI * values for values in (functions @ known.bp, known.rp)]
    save_basis(tmp_path / "flux.h5", *flux, "flux", fine)
    basis = load_basis(tmp_path / "flux.h5")
    exact = sampled_design(XP_WAVELENGTH)  # of even numbers
    ours = sampled_design(XP_WAVELENGTH, basis=basis)
    np.testing.assert_allclose(ours.bp, functions @ exact.bp, rtol=1e-12, atol=1e-12)
    between = np.arange(401.0, 990.0, 10.0)
    ours, exact = sampled_design(between, basis=basis), sampled_design(between)
    smooth = (between < 620.0) | (between > 660.0)  # the merge has kinks
    scale = np.abs(exact.rp).max()
    np.testing.assert_allclose(ours.rp[:, smooth], exact.rp[:, smooth], atol=1e-2 * scale)
    np.testing.assert_array_equal(ours.rp.any(axis=0), exact.rp.any(axis=0))
    with pytest.raises(InputError, match="tabulated from 336 to 1020 nm"):
        sampled_design(np.array([330.0, 500.0]), basis=basis)
    with pytest.raises(InputError, match=r"given as flux.*use sampled space"):
        coefficient_space(basis=basis)
    with pytest.raises(InputError, match="wavelength must increase"):
        save_basis(tmp_path / "bad.h5", *flux, "bad", fine[::-1])


def test_command_prepares_with_the_file(rng, tmp_path, basis_path, functions):
    table = rewritten(archive_sources(4, rng), functions)
    path = write_archive(table, tmp_path / "s.csv", "csv (a, b)")
    for space in ("sampled", "coefficient"):
        out = tmp_path / f"{space}.h5"
        args = ["prepare", str(path), "--output", str(out), "--space", space, "--quiet"]
        assert main(args) != 0
        assert main([*args, "--basis", str(basis_path)]) == 0
        direct = xpfit.read_spectra(path, space=space, basis=load_basis(basis_path))
        stored = xpfit.read_spectra(out)
        assert stored.space.matches(direct.space)
        np.testing.assert_allclose(stored.flux, direct.flux, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["sampled", "coefficient"])
def test_command_fits_with_the_file(space, rng, tmp_path, basis_path, functions, model):
    table = rewritten(archive_sources(4, rng), functions)
    path = write_archive(table, tmp_path / "s.csv", "csv (a, b)")
    out = tmp_path / "out.ecsv"
    args = ["fit", str(path), "--output", str(out), "--jobs", "1", "--quiet"]
    if space == "coefficient":
        twin = coefficient_twin(model, coefficient_space(basis=load_basis(basis_path)))
        of_dr4(twin).save(tmp_path / "twin.h5")
        args += ["--model", str(tmp_path / "twin.h5")]
    else:
        args += ["--ignore-release"]  # the model is DR3's
    assert main(args) != 0 and not out.exists()
    assert main([*args, "--basis", str(basis_path)]) == 0
    assert "basis.h5" in out.read_text()
