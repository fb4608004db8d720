"""XP sampled spectra with one sample per row, in the forms of the archive's INDIVIDUAL files."""

import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.io.votable.tree import Param
from astropy.table import Table

import xpfit
from xpfit import InputError
from xpfit.read import SAMPLED_WAVELENGTH, read_sampled

IDS = (5937083312263887616, 4345775217221821312)
UNIT = "W.m**-2.nm**-1"


@pytest.fixture
def flux(rng):
    return 1e-16 * rng.uniform(1.0, 2.0, (2, len(SAMPLED_WAVELENGTH))).astype(np.float32)


def one(flux, ending, path, source_id=IDS[0]):
    """A file of one source."""
    table = Table({"wavelength": SAMPLED_WAVELENGTH, "flux": flux, "flux_error": 0.01 * flux})
    table["wavelength"].unit = "nm"
    if ending == "csv":
        table.add_columns([np.full(len(table), source_id), np.full(len(table), 1.0)], [0, 0],
                          ["source_id", "ra"])  # fmt: skip
        table.write(path, format="ascii.csv")
    elif ending == "ecsv":
        table.meta["source_id"] = source_id
        table.write(path, format="ascii.ecsv", delimiter=",")
    elif ending == "fits":
        hdu = fits.table_to_hdu(table)
        hdu.header["SOURCEID"] = str(source_id)
        for i in (2, 3):
            hdu.header[f"TUNIT{i}"] = UNIT
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        file = votable.from_table(table)
        element = file.get_first_table()
        element.params.append(Param(file, name="source_id", datatype="long", value=str(source_id)))
        for field in element.fields[1:]:
            field.unit = UNIT
        file.to_xml(str(path))
    return path


@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits", "xml"])
def test_a_file_of_one_source(flux, tmp_path, ending):
    path = one(flux[0], ending, tmp_path / f"XP_SAMPLED-Gaia DR3 {IDS[0]}.{ending}")
    (read,) = read_sampled(path)
    assert list(read["source_id"]) == [IDS[0]]
    np.testing.assert_allclose(read["flux"], flux[:1], rtol=1e-6)
    np.testing.assert_allclose(read["flux_error"], 0.01 * flux[:1], rtol=1e-6)
    np.testing.assert_array_equal(read.meta["wavelength"], SAMPLED_WAVELENGTH)
    assert len(xpfit.read_spectra(path)) == 1


def several(flux, path, order=None):
    """A CSV file of two sources (data structure COMBINED), its rows in some order."""
    table = Table({
        "source_id": np.repeat(IDS, len(SAMPLED_WAVELENGTH)),
        "wavelength": np.tile(SAMPLED_WAVELENGTH, 2),
        "flux": flux.ravel(), "flux_error": 0.01 * flux.ravel(),
    })  # fmt: skip
    (table if order is None else table[order]).write(path)
    return path


def test_several_sources_whatever_the_order_of_rows(flux, tmp_path, rng):
    (sorted_rows,) = read_sampled(several(flux, tmp_path / "a.csv"))
    (mixed,) = read_sampled(several(flux, tmp_path / "b.csv", rng.permutation(flux.size)))
    np.testing.assert_array_equal(sorted_rows["source_id"], IDS)
    np.testing.assert_allclose(sorted_rows["flux"], flux, rtol=1e-6)
    order = [list(mixed["source_id"]).index(i) for i in IDS]
    np.testing.assert_array_equal(mixed["flux"][order], sorted_rows["flux"])


def test_wavelengths_that_a_source_lacks_are_nan_with_a_warning(flux, tmp_path):
    path = several(flux, tmp_path / "a.csv", np.arange(flux.size) != 5)
    with pytest.warns(UserWarning, match="1 of 2 sources lack some of the 343 wavelengths"):
        (read,) = read_sampled(path)
    np.testing.assert_array_equal(np.argwhere(np.isnan(read["flux"])), [[0, 5]])


def test_repeated_samples_unknown_sources_and_other_wavelengths_are_refused(flux, tmp_path):
    path = several(flux, tmp_path / "a.csv", np.r_[np.arange(flux.size), 3])
    with pytest.raises(InputError, match=rf"source {IDS[0]} has 2 values at 342 nm"):
        list(read_sampled(path))
    table = Table.read(several(flux, tmp_path / "b.csv"))
    table.remove_column("source_id")
    table[:343].write(tmp_path / "c.csv")
    with pytest.raises(InputError, match="no source id, neither in a column nor in the header"):
        list(read_sampled(tmp_path / "c.csv"))
    table = Table.read(tmp_path / "b.csv")
    table["wavelength"] *= 10.0
    table.write(tmp_path / "d.csv")
    with pytest.raises(InputError, match=r"Angstrom, .*; they must be in nm"):
        list(read_sampled(tmp_path / "d.csv"))
