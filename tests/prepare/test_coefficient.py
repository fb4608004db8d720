from dataclasses import replace

import numpy as np
import pytest
from archive import archive_sources, write_archive
from internal import coefficient_twin, simulate_coefficients

import xpfit
from xpfit import InputError, XPSettings
from xpfit.cli import main
from xpfit.constants import XP_WAVELENGTH
from xpfit.data.spectra import InputFlag
from xpfit.prepare import (
    FluxCorrection,
    attach_photometry,
    coefficient_space,
    coefficient_vectors,
    continuous_spectra,
    sample_continuous,
    whiten_covariances,
)
from xpfit.prepare.band import coefficient_covariance
from xpfit.prepare.bases import sampled_design
from xpfit.read import read_continuous

BARE = XPSettings(0.0, 0.0, 0.0)


@pytest.fixture
def path(rng, tmp_path):
    return write_archive(archive_sources(6, rng), tmp_path / "s.csv", "csv (a, b)")


@pytest.fixture
def table(path):
    return next(read_continuous(path))


@pytest.fixture(scope="module")
def twin(model):
    return coefficient_twin(model)


def test_basis_is_that_of_gaiaxpy_s_convert(path, table):
    from gaiaxpy import convert

    space = coefficient_space()
    spectra, _ = convert(str(path), sampling=np.linspace(0, 60, 121), save_file=False)
    ours = space.spectrum(
        np.hstack([table["bp_coefficients"], table["rp_coefficients"], np.zeros((6, 5))])
    )
    for band, columns in (("BP", slice(0, 121)), ("RP", slice(121, 242))):
        rows = spectra[spectra["xp"] == band].set_index("source_id")["flux"]
        for i, source_id in enumerate(table["source_id"]):
            np.testing.assert_allclose(ours[i, columns], rows[source_id], rtol=1e-10, atol=1e-9)


def test_data_are_the_archive_s_coefficients_and_covariances(table):
    data = coefficient_vectors(table, coefficient_space(), BARE)
    for band, block in (("bp", slice(0, 55)), ("rp", slice(55, 110))):
        np.testing.assert_array_equal(data.flux[:, block], table[f"{band}_coefficients"])
        expected = coefficient_covariance(
            *(np.asarray(table[f"{band}_coefficient_{n}"]) for n in ("errors", "correlations"))
        )
        np.testing.assert_allclose(data.covariance[:, block, block], expected, rtol=1e-12)
    assert not data.covariance[:, :55, 55:].any() and not data.mask.any()


def test_calibration_terms_are_those_of_sampled_space(table):
    """Sampled again, the covariance of the coefficients is that of ZGR23's eq. 2."""
    settings = XPSettings(0.0, 0.006, 0.002)
    design = sampled_design(XP_WAVELENGTH)
    sampling = np.vstack([design.bp, design.rp])
    ours = sampling.T @ coefficient_vectors(table, coefficient_space(), settings).covariance
    expected = sample_continuous(table, XP_WAVELENGTH, settings).covariance
    np.testing.assert_allclose(ours @ sampling, expected, rtol=1e-8, atol=1e-12 * expected.max())


def test_truncation_leaves_out_what_is_not_relevant(table):
    table["bp_n_relevant_bases"] = [10, 55, 3, 20, 20, 20]
    table["rp_n_relevant_bases"] = [55, 12, 7, 20, 20, 20]
    space = coefficient_space()
    whole = continuous_spectra([table], space)
    cut = continuous_spectra([table], space, XPSettings(truncate=True))
    np.testing.assert_array_equal(cut.n_obs, [65, 67, 10, 40, 40, 40])
    assert np.isinf(cut.flux_err[0, 10:55]).all() and not cut.flux[0, 10:55].any()
    np.testing.assert_array_equal(cut.flux[0, :10], whole.flux[0, :10])
    bare = continuous_spectra([table], space, replace(BARE, truncate=True))
    covariance = coefficient_vectors(table, space, BARE).covariance
    keep = np.r_[:10, 55:110]
    residual = np.zeros((6, 115))
    residual[0, keep] = np.arange(65.0)
    value = np.sum(bare.whitener(residual)[0] ** 2)
    inner = covariance[0][np.ix_(keep, keep)]
    assert value == pytest.approx(np.arange(65.0) @ np.linalg.solve(inner, np.arange(65.0)))


def test_truncation_in_sampled_space_is_gaiaxpy_s(path, table):
    from gaiaxpy import calibrate

    spectra, _ = calibrate(str(path), sampling=XP_WAVELENGTH, truncation=True, save_file=False)
    ours = sample_continuous(table, XP_WAVELENGTH, replace(BARE, truncate=True))
    order = [list(table["source_id"]).index(i) for i in spectra["source_id"]]
    np.testing.assert_allclose(
        ours.flux[order], np.stack(spectra["flux"].to_numpy()) / 1e-18, rtol=1e-10
    )
    error = np.sqrt(np.diagonal(ours.covariance, axis1=1, axis2=2))
    expected = np.stack(spectra["flux_error"].to_numpy()) / 1e-18
    np.testing.assert_allclose(error[order], expected, rtol=1e-10)


@pytest.mark.parametrize("band", ["bp", "rp"])
def test_absent_band_has_no_weight(table, band):
    for name in ("coefficients", "coefficient_errors", "coefficient_correlations"):
        table[f"{band}_{name}"][2] = np.nan
    spectra = continuous_spectra([table], "coefficient")
    block = {"bp": slice(0, 55), "rp": slice(55, 110)}[band]
    assert np.isinf(spectra.flux_err[2, block]).all()
    np.testing.assert_array_equal(spectra.n_obs, [110, 110, 55, 110, 110, 110])
    assert spectra.input_flags[2] & InputFlag.MASKED_SAMPLES


def test_bad_source_is_named_and_the_rest_go_on(table):
    table["rp_coefficient_errors"][1, 3] = 0.0
    with pytest.warns(UserWarning, match="rp: errors that are not positive"):
        spectra = continuous_spectra([table], "coefficient")
    np.testing.assert_array_equal(spectra.n_obs, [110, 0, 110, 110, 110, 110])


def test_another_number_of_coefficients_than_the_space_s_is_refused(rng, tmp_path):
    path = write_archive(archive_sources(2, rng, n_bp=51), tmp_path / "dr4.csv", "csv (a, b)")
    with pytest.raises(InputError, match="51 coefficients in BP where 55 are expected"):
        xpfit.read_spectra(path, space=coefficient_space())


def test_corrections_of_sampled_flux_and_unknown_spaces_are_refused(table):
    correction = FluxCorrection("tilt", "1", lambda wavelength, flux, table: np.ones_like(flux))
    with pytest.raises(InputError, match=r"tilt.*sampled space"):
        continuous_spectra([table], "coefficient", correction=correction)
    with pytest.raises(InputError, match="no observation space 'fourier'"):
        continuous_spectra([table], "fourier")


def test_photometry_stands_behind_the_coefficients(table):
    from astropy.table import Table

    magnitudes = Table(
        {"source_id": table["source_id"][:2], "j_m": [12.0, 13.0], "j_msigcom": [0.02, 0.03]}
    )
    for space in ("coefficient", "sampled"):
        spectra = attach_photometry(continuous_spectra([table], space), magnitudes)
        channel = spectra.space.n_obs - 5
        assert np.isfinite(spectra.flux_err[:2, channel]).all()
        assert np.isinf(spectra.flux_err[2:, channel]).all()
        assert not spectra.whitener.array[:, channel, :channel].any()


def test_store_and_command_line_keep_the_space(path, tmp_path):
    out = tmp_path / "c.h5"
    assert main(["prepare", str(path), "--output", str(out), "--space", "coefficient"]) == 0
    stored, direct = xpfit.read_spectra(out), xpfit.read_spectra(path, space="coefficient")
    assert stored.space.matches(direct.space)
    np.testing.assert_array_equal(stored.flux, direct.flux)
    np.testing.assert_allclose(stored.whitener.array, direct.whitener.array, rtol=1e-12)


def test_model_file_keeps_the_space(twin, tmp_path, rng):
    twin.save(tmp_path / "twin.h5")
    read = xpfit.load_model(tmp_path / "twin.h5")
    assert read.space.matches(twin.space)
    np.testing.assert_array_equal(read.forward.parameters, twin.forward.parameters)
    labels = [[5.5, 0.0, 4.2]]
    np.testing.assert_array_equal(read.predict(labels, 0.3), twin.predict(labels, 0.3))


def test_spectra_in_the_other_space_are_refused(twin, table):
    spectra = continuous_spectra([table])
    with pytest.raises(InputError, match=r"SampledSpace.*CoefficientSpace"):
        twin.fit(spectra, progress=False)


def test_parameters_of_simulated_stars_come_back_with_pulls_of_width_one(twin):
    """Real correlation matrices where the shared files are there; simulated ones elsewhere.

    Fainter stars have second modes, which a few in a hundred end in.
    """
    rng = np.random.default_rng(5)
    theta, stars = simulate_coefficients(twin, 400, rng, error_factor=0.3)
    result = twin.fit(continuous_spectra([stars], twin.space), n_jobs=2, progress=False)
    assert np.mean(result.status == 0) > 0.99
    truth = np.column_stack([theta[:, :3], np.exp(theta[:, 3:])])
    error = np.sqrt(np.diagonal(result.covariance, axis1=1, axis2=2))
    pull = ((result.parameters - truth) / error)[result.status == 0]
    assert np.all((pull.std(axis=0) > 0.9) & (pull.std(axis=0) < 1.1)), pull.std(axis=0)
    assert np.median(result.chi2 / (result.n_obs - 5)) == pytest.approx(1.0, abs=0.1)


def test_coefficients_carry_no_less_information_than_samples(twin):
    """Fisher matrices of 500 stars: the sampled one is never larger."""
    rng = np.random.default_rng(6)
    theta, stars = simulate_coefficients(twin, 500, rng)
    _, jacobian = twin.forward.flux_and_jacobian(theta)
    design = sampled_design(XP_WAVELENGTH)
    sampled_jacobian = jacobian[:, :, :110] @ np.vstack([design.bp, design.rp])
    sampled = sample_continuous(stars, XP_WAVELENGTH)
    ln_det = []
    for white in (
        continuous_spectra([stars], twin.space).whitener(jacobian),
        whiten_covariances(sampled.covariance).whitener(sampled_jacobian),
    ):
        ln_det.append(np.linalg.slogdet(white @ np.swapaxes(white, 1, 2))[1])
    assert np.all(ln_det[0] > ln_det[1])
