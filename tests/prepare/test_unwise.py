"""Tables of the unWISE catalogue, in the forms in which it is given out."""

import numpy as np
import pytest
from astropy.table import Table

import xpfit
from xpfit import InputError, Spectra, attach_photometry
from xpfit.cli import main
from xpfit.constants import BANDS, WAVELENGTH
from xpfit.data import InputFlag
from xpfit.prepare import iterate_spectra
from xpfit.prepare.magnitudes import band_flux
from xpfit.prepare.unwise import UNWISE_EPOCH

IDS = np.array([40, 10, 30, 20])
MAGNITUDES = np.array([[9.0, 9.1], [10.0, 9.9], [11.0, 11.2], [12.0, 12.0]])


@pytest.fixture
def spectra():
    err = np.ones((4, 66))
    err[:, 61:] = np.inf
    return Spectra(IDS, WAVELENGTH, np.ones((4, 66)), err)


@pytest.fixture
def gaia():
    return Table(
        {
            "source_id": IDS,
            "ra": [10.0, 10.1, 10.2, 10.3],
            "dec": [-5.0, -5.0, -5.0, -5.0],
            "pmra": [0.0, 4000.0, 0.0, 0.0],
            "pmdec": [0.0, 0.0, 0.0, -2000.0],
        }
    )


@pytest.fixture
def files(gaia):
    """Rows as in the band-merged files of catalog.unwise.me: two bands a cell, no ids of Gaia."""
    flux = 10 ** (-0.4 * (MAGNITUDES - 22.5))
    years = UNWISE_EPOCH - 2016.0
    ra = gaia["ra"] + gaia["pmra"] * years / 3.6e6 / np.cos(np.radians(-5.0))
    table = Table(
        {
            "unwise_objid": [f"0000m016o{k:07d}" for k in range(4)],
            "ra": ra,
            "dec": gaia["dec"] + gaia["pmdec"] * years / 3.6e6,
            "flux": flux.astype(">f4"),
            "dflux": (0.01 * flux).astype(">f4"),
            "fracflux": np.full((4, 2), 0.95, dtype=">f4"),
            "flags_unwise": np.zeros((4, 2), dtype=">i4"),
            "flags_info": np.zeros((4, 2), dtype=">i4"),
            "primary": np.ones(4, dtype=">i2"),
        }
    )
    return table[[2, 0, 3, 1]]


def wise(joined):
    """Flux of W1 and W2 where they have weight."""
    return np.where(np.isfinite(joined.flux_err[:, 64:]), joined.flux[:, 64:], np.nan)


def expected():
    err = np.full(4, 0.01)
    return np.column_stack([band_flux(MAGNITUDES[:, k], err, BANDS[3 + k])[0] for k in (0, 1)])


def test_files_of_the_catalogue_are_joined_by_position_at_their_epoch(spectra, files, gaia):
    joined = attach_photometry(spectra, files, gaia=gaia)
    np.testing.assert_allclose(wise(joined), expected(), rtol=1e-5)
    relative = joined.flux_err[:, 64:] / joined.flux[:, 64:]
    np.testing.assert_allclose(relative, np.hypot(0.01, 0.921034 * 0.02), rtol=1e-4)


def test_one_nanomaggy_is_22_5_mag_on_the_vega_system(spectra, files, gaia):
    """ZGR23's eq. 5 with 2.699 and 3.339 mag from Vega to AB."""
    files["flux"][:], files["dflux"][:] = 1.0, 0.1
    joined = attach_photometry(spectra, files, gaia=gaia)
    for k, (offset, wavelength) in enumerate([(2.699, 3.3526e-6), (3.339, 4.6028e-6)]):
        f_nu = 3631e-26 * 10 ** (-0.4 * (22.5 + offset))
        f_lambda = f_nu * 299792458.0 / wavelength**2 * 1e-9  # W m-2 nm-1
        np.testing.assert_allclose(joined.flux[:, 64 + k], f_lambda * 1e18, rtol=1e-6)


def columns_by_band(table, form):
    """The same sources with one column a band."""
    new = table.copy()
    for name in ("flux", "dflux", "fracflux", "flags_unwise", "flags_info"):
        for k, band in enumerate(("w1", "w2")):
            new[form.format(name=name, band=band)] = table[name][:, k]
        new.remove_column(name)
    return new


@pytest.mark.parametrize("form", ["{name}_{band}", "{band}_{name}", "unwise_{band}_{name}"])
def test_other_spellings_of_the_columns(spectra, files, gaia, form):
    files["flags_unwise"][1, 1] = 2  # of the first source, in W2
    joined = attach_photometry(spectra, columns_by_band(files, form), gaia=gaia)
    right = expected()
    right[0, 1] = np.nan
    np.testing.assert_allclose(wise(joined), right, rtol=1e-5)
    np.testing.assert_array_equal(
        (joined.input_flags & InputFlag.CONTAMINATED_BAND) != 0, [True, False, False, False]
    )


def test_a_table_with_ids_needs_no_positions(spectra, files, gaia):
    files["source_id"] = gaia["source_id"][[2, 0, 3, 1]]
    files.remove_columns(["ra", "dec"])
    np.testing.assert_allclose(wise(attach_photometry(spectra, files)), expected(), rtol=1e-5)


def test_sources_that_are_not_primary_are_left_out(spectra, files, gaia):
    files["primary"][0] = 0
    assert np.isnan(wise(attach_photometry(spectra, files, gaia=gaia))).any(axis=1).tolist() == [
        False, False, True, False,
    ]  # fmt: skip


def test_a_band_without_a_detection_has_no_weight_and_no_flag(spectra, files, gaia):
    files["flux"][0, 1] = files["dflux"][0, 1] = 0.0
    joined = attach_photometry(spectra, files, gaia=gaia)
    assert np.isnan(wise(joined)[2, 1]) and np.isfinite(wise(joined)[2, 0])
    assert not (joined.input_flags & InputFlag.CONTAMINATED_BAND).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.remove_columns(["ra"]), "unWISE is joined by position, and has no ra"),
        (lambda t: t.remove_columns(["dflux"]), r"flux_w1 is known as WISE W1 .*, but no column"),
        (lambda t: t.replace_column("flux", np.ones((4, 3))), "column flux holds 3 numbers"),
        (lambda t: setattr(t["flux"], "unit", "mag"), "flux_w1: the unit 'mag' cannot be conv"),
        (lambda t: t.replace_column("fracflux", 50.0 + t["fracflux"]), "fracflux_w1: no value is"),
        (lambda t: t.add_column([1.0] * 4, name="flux_ivar_w1"), "forced photometry, AB nanomag"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(spectra, files, gaia, change, message):
    change(files)
    with pytest.raises(InputError, match=message):
        attach_photometry(spectra, files, gaia=gaia)


def test_positions_of_gaia_are_asked_for(spectra, files):
    with pytest.raises(InputError, match=r"unWISE has no ids of Gaia; .*--astrometry"):
        attach_photometry(spectra, files)


def test_unwise_from_the_command_line(spectra, files, gaia, tmp_path, sample_path):
    stars = xpfit.read_spectra(sample_path, slice(0, 4))
    gaia["source_id"] = stars.source_id
    gaia["parallax"], gaia["parallax_error"], gaia["zero_point"] = 1.0, 0.05, 0.0
    files.write(tmp_path / "unwise.fits")
    gaia.write(tmp_path / "gaia.csv")
    out = tmp_path / "s.h5"
    command = ["prepare", str(sample_path), "--photometry", str(tmp_path / "unwise.fits")]
    assert main([*command, "--output", str(out), "--quiet"]) == 1
    command += ["--astrometry", str(tmp_path / "gaia.csv")]
    assert main([*command, "--output", str(out), "--quiet"]) == 0
    prepared = next(iter(iterate_spectra(out)))
    channels = [prepared.space.band_channel(band.wavelength) for band in BANDS[3:]]
    np.testing.assert_allclose(prepared.flux[:4, channels], expected(), rtol=1e-5)
