import numpy as np
import pytest

from xpfit import InputError
from xpfit.constants import BANDS, WAVELENGTH
from xpfit.data.preparation import Preparation
from xpfit.data.spectra import InputFlag
from xpfit.prepare import LibrarySettings, band_flux, library_spectra


@pytest.fixture
def table(sample_table):
    return sample_table.copy()


def test_xp_samples_are_those_of_zgr23(table):
    spectra = library_spectra(table)
    np.testing.assert_array_equal(spectra.wavelength, WAVELENGTH)
    columns = np.arange(28, 329, 5)
    expected = (
        table["flux"][:, columns].astype(float) * (table["medflux"].astype(float) / 1e-18)[:, None]
    )
    np.testing.assert_allclose(spectra.flux[:, :61], expected, rtol=1e-12)


def test_error_floor_is_added_in_quadrature(table):
    bare = library_spectra(table, LibrarySettings(xp_error_floor=1e-12))
    floored = library_spectra(table, LibrarySettings(xp_error_floor=0.05))
    expected = np.hypot(bare.flux_err, 0.05 * bare.flux)[:, :61]
    np.testing.assert_allclose(floored.flux_err[:, :61], expected, rtol=1e-9)


def test_2mass_bands_follow_as_flux_and_wise_has_no_weight(table):
    spectra = library_spectra(table, LibrarySettings(magnitude_err=0.04))
    for i, name in enumerate("jhk"):
        flux, error = band_flux(table[name].filled(np.nan), 0.04, BANDS[i])
        np.testing.assert_allclose(spectra.flux[:, 61 + i], flux)
        np.testing.assert_allclose(spectra.flux_err[:, 61 + i], error)
    assert np.isinf(spectra.flux_err[:, 64:]).all()
    assert not spectra.whitener.has_weight[:, 64:].any()


def test_labels_come_in_kilokelvin_and_dex(table):
    spectra = library_spectra(table)
    good = ~table["teff"].mask
    np.testing.assert_allclose(spectra.labels["teff"][good], table["teff"][good] / 1000.0)
    np.testing.assert_array_equal(
        np.isnan(spectra.labels["feh"]), np.ma.getmaskarray(table["fe_h"])
    )


def test_extinction_is_a_k_over_0_36(table):
    table["ak_targ"][:4] = [0.36, 0.0, -85.0, 13.0]
    spectra = library_spectra(table)
    np.testing.assert_allclose(spectra.extinction[:2], [1.0, 0.0], atol=1e-7)
    assert spectra.extinction_err[0] == pytest.approx(np.hypot(0.05, 0.1), rel=1e-6)
    assert np.isnan(spectra.extinction[2:4]).all()
    assert np.isinf(spectra.extinction_err[2:4]).all()


@pytest.mark.parametrize(
    ("column", "value"),
    [("flux", np.nan), ("flux", np.inf), ("flux_error", np.nan), ("flux_error", np.inf),
     ("flux_error", 0.0), ("flux_error", -0.01)],
)  # fmt: skip
def test_bad_samples_have_no_weight_and_are_flagged(table, column, value):
    table[column][3, 28] = value
    spectra = library_spectra(table)
    assert np.isinf(spectra.flux_err[3, 0]) and spectra.flux[3, 0] == 0.0
    assert spectra.input_flags[3] & InputFlag.MASKED_SAMPLES
    assert np.isfinite(spectra.flux_err[3, 1:61]).all()
    assert not spectra.input_flags[2] & InputFlag.MASKED_SAMPLES


@pytest.mark.parametrize("value", [0.0, -0.02])
def test_zero_or_negative_flux_with_a_good_error_is_a_measurement(table, value):
    table["flux"][3, 28] = value
    spectra = library_spectra(table)
    assert np.isfinite(spectra.flux_err[3, 0])
    assert spectra.flux[3, 0] == pytest.approx(value * table["medflux"][3] / 1e-18)


def test_spectrum_without_one_good_sample_is_flagged_and_kept(table):
    table["flux_error"][5] = np.nan
    for name in "jhk":
        table[name].mask[5] = True
    spectra = library_spectra(table)
    assert len(spectra) == len(table)
    assert spectra.n_obs[5] == 0
    assert spectra.input_flags[5] & InputFlag.NO_DATA


@pytest.mark.parametrize("medflux", [np.nan, np.inf])
def test_bad_medflux_takes_the_xp_spectrum_with_it(table, medflux):
    table["medflux"][1] = medflux
    assert library_spectra(table).n_obs[1] == 3


def test_missing_band_is_flagged(table):
    table["h"].mask[2] = True
    flags = library_spectra(table).input_flags
    assert flags[2] & InputFlag.MISSING_BAND and not flags[1] & InputFlag.MISSING_BAND


def test_missing_and_repeated_ids_are_flagged(table):
    table["gaiaedr3_source_id"][0] = 0
    table["gaiaedr3_source_id"][7] = table["gaiaedr3_source_id"][6]
    flags = library_spectra(table).input_flags
    assert flags[0] & InputFlag.MISSING_ID
    assert flags[6] & InputFlag.DUPLICATE_ID and flags[7] & InputFlag.DUPLICATE_ID
    assert not flags[8] & (InputFlag.MISSING_ID | InputFlag.DUPLICATE_ID)


def test_settings_are_recorded_and_come_back(table):
    settings = LibrarySettings(xp_error_floor=0.02)
    spectra = library_spectra(table, settings)
    assert spectra.preparation == Preparation(settings)


def test_impossible_or_unknown_settings_are_refused():
    with pytest.raises(InputError, match="xp_error_floor must be positive"):
        LibrarySettings(xp_error_floor=0.0)
    with pytest.raises(InputError, match="unknown setting"):
        LibrarySettings.from_dict({"xp_floor": 0.1})


def test_magnitudes_and_labels_that_are_not_measured(table):
    table["k"][0], table["fe_h"][1], table["teff_err"][2] = 99.999, -9999.99, -9999.0
    spectra = library_spectra(table)
    assert np.isinf(spectra.flux_err[0, 63])
    assert np.isnan(spectra.labels["feh"][1]) and np.isnan(spectra.label_err["teff"][2])
