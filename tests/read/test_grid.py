"""Wavelengths and units of sampled spectra come from the file, not from its shape."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import Table

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.prepare import sampled_space
from xpfit.read import SAMPLED_WAVELENGTH, read_sampled

GRID = np.arange(350.0, 1035.0, 2.0)  # as many samples as the archive's


@pytest.fixture
def table(rng):
    """Three flat spectra with a slope, at GRID."""
    flux = 1e-16 * GRID / 500.0 * np.ones((3, 1))
    error = 1e-18 * rng.uniform(0.5, 1.5, flux.shape)
    return Table({"source_id": 2**61 + np.arange(3), "flux": flux, "flux_error": error})


def write(table, path, grid=GRID):
    """Files as GaiaXPy 2.1 writes them, with the wavelengths."""
    if path.suffix == ".fits":
        hdu = fits.table_to_hdu(table)
        hdu.header["SAMPLING"] = str(tuple(float(x) for x in grid))
        hdu.writeto(path)
    elif path.suffix == ".xml":
        table.write(path, format="votable")
        values = " ".join(map(str, grid))
        param = (
            f'<PARAM ID="_sampling" name="sampling" arraysize="*" datatype="double" unit="nm" '
            f'value="{values}"/>\n<DATA>'
        )
        path.write_text(path.read_text().replace("<DATA>", param, 1))
    elif path.suffix == ".ecsv":
        rows = Table(table, copy=True)
        rows.meta["sampling"] = [float(x) for x in grid]
        rows.write(path)
    else:
        cells = []
        for row in table:
            flux, error = (str(tuple(map(float, row[name]))) for name in ("flux", "flux_error"))
            cells.append(f'{row["source_id"]},"{flux}","{error}"')
        path.write_text("\n".join(["source_id,flux,flux_error", *cells]))
        path.with_name("s_sampling.csv").write_text(f'"{tuple(map(float, grid))}"')
    return path


def several_tables(path, *tables):
    """A FITS file or a VOTable of several tables."""
    if path.suffix == ".fits":
        fits.HDUList([fits.PrimaryHDU(), *map(fits.table_to_hdu, tables)]).writeto(path)
        return path
    file = VOTableFile()
    file.resources.append(Resource())
    for table in tables:
        file.resources[0].tables.append(TableElement.from_table(file, table))
    file.to_xml(str(path))
    return path


@pytest.mark.filterwarnings("ignore:.*not the archive's")
@pytest.mark.parametrize("ending", ["fits", "xml", "ecsv", "csv"])
def test_wavelengths_are_those_that_the_file_states(table, tmp_path, ending):
    path = write(table, tmp_path / f"s.{ending}")
    (read,) = read_sampled(path)
    np.testing.assert_array_equal(read.meta["wavelength"], GRID)
    spectra = xpfit.read_spectra(path, space=sampled_space([400.0, 1030.0]))
    np.testing.assert_allclose(spectra.flux[:, :2], np.tile([80.0, 206.0], (3, 1)), rtol=1e-12)


def test_another_grid_than_the_archive_s_is_said(table, tmp_path):
    with pytest.warns(UserWarning, match="350 to 1034 nm, 343 of them, as this file states"):
        list(read_sampled(write(table, tmp_path / "s.fits")))


@pytest.mark.filterwarnings("ignore:.*not the archive's")
@pytest.mark.parametrize("grid", [GRID + 1.0, np.geomspace(340.0, 1020.0, 343)])
def test_nothing_is_interpolated(table, tmp_path, grid):
    path = write(table, tmp_path / "s.fits", grid)
    with pytest.raises(InputError, match=r"not among them. Nothing is interpolated"):
        xpfit.read_spectra(path)


def test_a_file_that_states_no_wavelengths_is_taken_as_the_archive_s_with_a_warning(
    table, tmp_path
):
    table.write(tmp_path / "s.fits")
    with pytest.warns(UserWarning, match="nothing in this file states the wavelengths"):
        (read,) = read_sampled(tmp_path / "s.fits")
    np.testing.assert_array_equal(read.meta["wavelength"], SAMPLED_WAVELENGTH)


@pytest.mark.filterwarnings("error")
def test_the_archive_s_own_files_need_no_warning(table, tmp_path):
    table["solution_id"] = 1
    table.write(tmp_path / "s.fits")
    (read,) = read_sampled(tmp_path / "s.fits")
    np.testing.assert_array_equal(read.meta["wavelength"], SAMPLED_WAVELENGTH)


def test_other_numbers_of_samples_need_wavelengths(table, tmp_path):
    for name in ("flux", "flux_error"):
        table[name] = np.asarray(table[name])[:, ::2]
    path = tmp_path / "s.fits"
    table.write(path)
    with pytest.raises(InputError, match="states the wavelengths of its 172 samples"):
        xpfit.read_spectra(path)
    (read,) = read_sampled(path, sampling=GRID[::2])
    np.testing.assert_array_equal(read.meta["wavelength"], GRID[::2])
    with pytest.raises(InputError, match="172 samples, but 343 wavelengths"):
        list(read_sampled(path, sampling=GRID))


def test_the_command_line_takes_wavelengths(table, tmp_path):
    for name in ("flux", "flux_error"):
        table[name] = np.asarray(table[name])[:, 1::2]
    table.write(tmp_path / "s.fits")
    command = ["prepare", str(tmp_path / "s.fits"), "--output", str(tmp_path / "s.h5"), "--quiet"]
    assert main([*command, "--sampling", "352:1032:4", "--wavelength", "400:1000:20"]) == 0
    spectra = xpfit.read_spectra(tmp_path / "s.h5")
    np.testing.assert_allclose(spectra.flux[:, 0], 80.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (GRID / 1000.0, "micrometres"),
        (GRID * 10.0, "Angstrom"),
        (GRID[::-1], "no wavelengths of XP"),
    ],
)
def test_wavelengths_in_other_units_are_refused(table, tmp_path, grid, message):
    with pytest.raises(InputError, match=message):
        list(read_sampled(write(table, tmp_path / "s.fits", grid)))


def test_internally_calibrated_spectra_are_refused(table, tmp_path):
    table["xp"] = ["BP", "RP", "BP"]
    with pytest.raises(InputError, match="internally calibrated"):
        list(read_sampled(write(table, tmp_path / "s.fits")))
    table.remove_column("xp")
    table["flux"].unit = "electron/s"
    with pytest.raises(InputError, match="internally calibrated"):
        list(read_sampled(write(table, tmp_path / "t.ecsv")))


@pytest.mark.filterwarnings("ignore:.*not the archive's", "ignore:.*deprecated in the VOUnit")
@pytest.mark.parametrize("ending", ["fits", "xml", "ecsv"])
def test_fluxes_in_stated_units_are_converted(table, tmp_path, ending):
    for name in ("flux", "flux_error"):
        table[name] = 100.0 * np.asarray(table[name])  # W m-2 nm-1 = 100 erg s-1 cm-2 A-1
        table[name].unit = "erg s-1 cm-2 Angstrom-1"
    spectra = xpfit.read_spectra(
        write(table, tmp_path / f"s.{ending}"), space=sampled_space([400.0])
    )
    np.testing.assert_allclose(spectra.flux[:, 0], 80.0, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*not the archive's")
def test_units_of_something_else_are_refused(table, tmp_path):
    table["flux"].unit = "mag"
    with pytest.raises(InputError, match=r"column flux: the unit 'mag'"):
        list(read_sampled(write(table, tmp_path / "s.fits")))


@pytest.mark.parametrize("ending", ["fits", "xml"])
def test_all_tables_of_spectra_in_a_file_are_read_and_others_named(table, tmp_path, ending):
    table["solution_id"] = 1
    other = Table({"source_id": [1], "parallax": [2.0]})
    path = several_tables(tmp_path / f"s.{ending}", table[:2], other, table[2:])
    with pytest.warns(UserWarning, match=r"not used, since they are no tables of XP sampled.*2"):
        (read,) = read_sampled(path)
    np.testing.assert_array_equal(read["source_id"], table["source_id"])
    np.testing.assert_allclose(read["flux"], table["flux"])


@pytest.mark.parametrize("ending", ["fits", "xml"])
def test_tables_that_state_different_units_are_refused(table, tmp_path, ending):
    table["solution_id"] = 1
    other = table.copy()
    for name in ("flux", "flux_error"):
        other[name].unit = "mW m-2 nm-1"
    path = several_tables(tmp_path / f"s.{ending}", table, other)
    with pytest.raises(InputError, match="its tables state different units"):
        list(read_sampled(path))


@pytest.mark.parametrize("ending", ["fits", "xml"])
def test_units_are_those_of_the_table_of_spectra_not_of_one_before_it(table, tmp_path, ending):
    table["solution_id"] = 1
    for name in ("flux", "flux_error"):
        table[name] = 1000.0 * np.asarray(table[name])
        table[name].unit = "mW m-2 nm-1"
    stars = Table({"source_id": [1], "parallax": [2.0]})
    path = several_tables(tmp_path / f"s.{ending}", stars, table)
    with pytest.warns(UserWarning, match="not used"):
        (read,) = read_sampled(path)
    np.testing.assert_allclose(read["flux"], np.asarray(table["flux"]) / 1000.0)
