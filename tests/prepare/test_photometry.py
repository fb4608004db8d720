import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.table import MaskedColumn, Table

import xpfit
from xpfit import InputError, Spectra, attach_photometry
from xpfit.cli import main
from xpfit.constants import BANDS, WAVELENGTH
from xpfit.data.spectra import InputFlag
from xpfit.prepare import PhotometrySettings, band_flux, iterate_spectra

IDS = np.array([40, 10, 30, 20])
COLUMNS = {"J": "j_m", "H": "h_m", "Ks": "ks_m", "W1": "w1mpro", "W2": "w2mpro"}
ERRORS = {n: ["j_msigcom", "h_msigcom", "ks_msigcom", "w1mpro_error", "w2mpro_error"][i]
          for i, n in enumerate(COLUMNS)}  # fmt: skip


@pytest.fixture(params=["diagonal", "full"])
def spectra(request, rng):
    flux = rng.uniform(10.0, 20.0, (4, 66))
    err = np.full((4, 66), 0.5)
    err[:, 61:] = np.inf
    whitener = None
    if request.param == "full":
        whitener = np.zeros((4, 66, 66))
        whitener[:, :61, :61] = rng.standard_normal((4, 61, 61))
    return Spectra(IDS, WAVELENGTH, flux, err, whitener)


@pytest.fixture
def table():
    """Photometry of three of the four sources, in another order, and of one other."""
    t = Table({"source_id": [10, 20, 30, 99]})
    for i, name in enumerate(COLUMNS):
        t[COLUMNS[name]] = MaskedColumn(np.array([8.0, 9.0, 10.0, 5.0]) - 0.1 * i)
        t[ERRORS[name]] = MaskedColumn(np.array([0.03, 0.04, 0.05, 0.01]))
    return t


def test_magnitudes_become_flux_joined_by_id(spectra, table):
    joined = attach_photometry(spectra, table)
    for i, band in enumerate(BANDS):
        err = np.hypot(table[ERRORS[band.name]], 0.02)
        flux, flux_err = band_flux(table[COLUMNS[band.name]], err, band)
        np.testing.assert_allclose(joined.flux[[1, 3, 2], 61 + i], flux[:3])
        np.testing.assert_allclose(joined.flux_err[[1, 3, 2], 61 + i], flux_err[:3])
    assert np.isinf(joined.flux_err[0, 61:]).all()
    np.testing.assert_array_equal(joined.flux[:, :61], spectra.flux[:, :61])
    np.testing.assert_array_equal(
        joined.input_flags & InputFlag.MISSING_BAND != 0, [True, False, False, False]
    )
    assert joined.preparation.photometry.magnitude_err_floor == 0.02


def test_bands_add_their_chi2_and_leave_that_of_the_spectrum(spectra, table, rng):
    joined = attach_photometry(spectra, table)
    residual = rng.standard_normal((4, 66))
    before = np.sum(spectra.whitener(residual) ** 2, axis=1)
    after = np.sum(joined.whitener(residual) ** 2, axis=1)
    own = np.sum((residual[:, 61:] / joined.flux_err[:, 61:]) ** 2, axis=1)
    np.testing.assert_allclose(after, before + own, rtol=1e-12)


@pytest.mark.parametrize("column", ["j_m", "j_msigcom"])
def test_missing_magnitude_or_error_has_no_weight(spectra, table, column):
    table[column].mask[0] = True
    joined = attach_photometry(spectra, table)
    np.testing.assert_array_equal(np.isinf(joined.flux_err[:, 61]), [True, True, False, False])
    assert joined.input_flags[1] & InputFlag.MISSING_BAND


def test_crowded_sources_lose_2mass_above_minus_5_and_wise_above_minus_10(spectra, table):
    table["norm_dg"] = MaskedColumn([-4.9, -5.1, -10.1, 0.0], mask=[0, 0, 0, 0])
    joined = attach_photometry(spectra, table)
    weight = np.isfinite(joined.flux_err[[1, 3, 2], 61:])
    np.testing.assert_array_equal(weight[0], [False] * 5)
    np.testing.assert_array_equal(weight[1], [True] * 3 + [False] * 2)
    np.testing.assert_array_equal(weight[2], [True] * 5)


def test_absent_norm_dg_means_no_neighbour(spectra, table):
    table["norm_dg"] = MaskedColumn([0.0] * 4, mask=True)
    assert np.isfinite(attach_photometry(spectra, table).flux_err[1:, 61:]).all()


def test_2mass_quality_letters_are_heeded_band_by_band(spectra, table):
    table["ph_qual"] = ["AUX", "AAA", "DEC", "AAA"]
    joined = attach_photometry(spectra, table)
    weight = np.isfinite(joined.flux_err[[1, 3, 2], 61:64])
    np.testing.assert_array_equal(
        weight, [[True, False, False], [True, True, True], [True, False, True]]
    )


def test_nanomaggies_are_magnitude_22_5_and_may_be_negative(spectra, table):
    magnitudes = attach_photometry(spectra, table).flux[:, 64]
    nano = 10 ** (-0.4 * (np.asarray(table["w1mpro"]) - 22.5))
    nano[2] = -5.0
    table["w1_nanomaggies"], table["w1_nanomaggies_err"] = nano, np.abs(nano) * 0.01
    table.remove_columns(["w1mpro", "w1mpro_error"])
    joined = attach_photometry(spectra, table)
    np.testing.assert_allclose(joined.flux[[1, 3], 64], magnitudes[[1, 3]], rtol=1e-10)
    assert joined.flux[2, 64] < 0 and np.isfinite(joined.flux_err[2, 64])


def test_settings_can_be_changed(spectra, table):
    table["norm_dg"] = [-3.0] * 4
    loose = PhotometrySettings(0.1, max_norm_dg_2mass=0.0, max_norm_dg_wise=0.0)
    joined = attach_photometry(spectra, table, loose)
    relative = joined.flux_err[1, 61] / joined.flux[1, 61]
    assert relative == pytest.approx(0.921034 * np.hypot(0.1, 0.03), rel=1e-5)


def test_repeated_photometry_is_told(spectra, table):
    table.add_row(table[0])
    with pytest.warns(UserWarning, match="1 rows of the table of photometry repeat"):
        attach_photometry(spectra, table)


def test_tables_without_ids_or_bands_are_refused(spectra, table):
    with pytest.raises(InputError, match="none of the known columns: j_m"):
        attach_photometry(spectra, table["source_id",])
    table["source_id"] = table["source_id"].astype(float)
    with pytest.raises(InputError, match="64-bit integer ids"):
        attach_photometry(spectra, table)


SURVEYS = {
    "IRSA": ("j_m j_cmsig h_m h_cmsig k_m k_cmsig w1mpro w1sigmpro w2mpro w2sigmpro"),
    "VizieR": ("Jmag e_Jmag Hmag e_Hmag Kmag e_Kmag W1mag e_W1mag W2mag e_W2mag"),
    "SDSS": ("J J_ERR H H_ERR K K_ERR w1_mag e_w1_mag w2_mag e_w2_mag"),
    "AllWISE at IRSA": (
        "j_m_2mass j_msig_2mass h_m_2mass h_msig_2mass k_m_2mass k_msig_2mass "
        "w1mpro w1sigmpro w2mpro w2sigmpro"
    ),
    "TOPCAT": ("j_m_2 j_msigcom_2 h_m_2 h_msigcom_2 ks_m_2 ks_msigcom_2 W1MPRO W1SIGMPRO "
               "W2MPRO W2SIGMPRO"),
}  # fmt: skip


@pytest.mark.parametrize("survey", SURVEYS)
def test_tables_of_all_archives_give_the_same_flux(spectra, table, survey):
    expected = attach_photometry(spectra, table)
    names = [n for band in COLUMNS for n in (COLUMNS[band], ERRORS[band])]
    for ours, theirs in zip(names, SURVEYS[survey].split(), strict=True):
        table.rename_column(ours, f"{theirs}.")
    for theirs in SURVEYS[survey].split():
        table.rename_column(f"{theirs}.", theirs)
    joined = attach_photometry(spectra, table)
    np.testing.assert_array_equal(joined.flux, expected.flux)
    np.testing.assert_array_equal(joined.flux_err, expected.flux_err)


def test_stars_keep_what_a_table_does_not_have(spectra, table):
    own = attach_photometry(spectra, table)
    table["source_id"] = [10, 98, 97, 96]
    table["j_m"] = [99.999, 9.0, 9.0, 9.0]
    table["h_m"] = [5.0, 9.0, 9.0, 9.0]
    with pytest.warns(UserWarning, match="1 of 4 stars found by source_id"):
        joined = attach_photometry(own, table["source_id", "j_m", "j_msigcom", "h_m", "h_msigcom"])
    changed = np.zeros(own.flux.shape, dtype=bool)
    changed[1, 62] = True
    np.testing.assert_array_equal(joined.flux != own.flux, changed)


def test_a_table_of_other_stars_is_refused(spectra, table):
    table["source_id"] += 1
    with pytest.raises(InputError, match="none of the 4 stars is in this table"):
        attach_photometry(spectra, table)


def test_magnitudes_in_millimagnitudes(spectra, table):
    expected = attach_photometry(spectra, table)
    for name in (COLUMNS["J"], ERRORS["J"]):
        table[name] = table[name] * 1000
        table[name].unit = "mmag"
    np.testing.assert_allclose(attach_photometry(spectra, table).flux, expected.flux, rtol=1e-12)


@pytest.mark.parametrize("kept", ["ks_m", "ks_msigcom"])
def test_half_a_band_is_refused(spectra, table, kept):
    table.remove_column("ks_m" if kept == "ks_msigcom" else "ks_msigcom")
    with pytest.raises(InputError, match=rf"column {kept} is known as .*, but no column as"):
        attach_photometry(spectra, table)


@pytest.mark.parametrize("name", ["k_psf", "ks_magnitude_new", "kmag_ab", "my_k_mag"])
def test_columns_of_a_band_that_are_not_known_are_refused(spectra, table, name):
    table.rename_columns(["ks_m", "ks_msigcom"], [name, "sigma"])
    with pytest.raises(InputError, match=f"{name} may be of Ks, but Ks is not known"):
        attach_photometry(spectra, table)
    table.remove_columns([name, "sigma"])
    assert np.isinf(attach_photometry(spectra, table).flux_err[:, 63]).all()


def test_quality_letters_of_wise_are_not_taken_for_those_of_2mass(spectra, table):
    table["ph_qual"] = ["UAAA"] * 4
    weight = np.isfinite(attach_photometry(spectra, table).flux_err[1:, 61:])
    np.testing.assert_array_equal(weight, [[True, True, True, False, True]] * 3)


def test_spectra_without_channels_for_the_bands_are_refused(table):
    odd = Spectra([10], [500.0, 600.0], np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match="no photometric band at 1235 nm"):
        attach_photometry(odd, table)


@pytest.mark.parametrize("ending", [".fits", ".ecsv", ".csv", ".xml"])
def test_photometry_from_the_command_line(rng, table, tmp_path, ending):
    sources = archive_sources(3, rng)
    path = write_archive(sources, tmp_path / "s.csv", "csv (a, b)")
    table = table[:3]
    table["source_id"] = sources["source_id"]
    photometry = tmp_path / f"photometry{ending}"
    table.write(photometry, format="votable" if ending == ".xml" else None)
    out = tmp_path / "s.h5"
    arguments = ["prepare", str(path), "--photometry", str(photometry), "--output", str(out)]
    assert main([*arguments, "--quiet", "--space", "sampled"]) == 0
    (prepared,) = iterate_spectra(out)
    np.testing.assert_array_equal(prepared.n_obs, 66)
    fitted = tmp_path / "f.fits"
    arguments = ["fit", str(path), "--photometry", str(photometry), "--output", str(fitted)]
    assert main([*arguments, "--quiet"]) == 0
    # All that the default model knows: it was trained without WISE.
    expected = xpfit.load_model().trained_channels.sum()
    np.testing.assert_array_equal(xpfit.read.read_table(fitted)["n_obs"], expected)
