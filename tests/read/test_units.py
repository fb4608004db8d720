"""Units that files state, in the spellings of all standards."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, QTable, Table

from xpfit import InputError
from xpfit.read.formats.fits import read_fits_table
from xpfit.read.units import converted, require_median, say_once, stated_unit

FLUX = "W m-2 nm-1"


@pytest.mark.parametrize(
    ("stated", "wanted", "factor"),
    [
        ("arcsec", "mas", 1000.0), ("uas", "mas", 1e-3), ("milliarcsec", "mas", 1.0),
        ("mmag", "mag", 1e-3), ("mag(Vega)", "mag", 1.0), ("Magnitude", "mag", 1.0),
        ("kK", "K", 1000.0), ("Kelvin", "K", 1.0), ("rad", "deg", 180 / np.pi),
        ("[cm/s2]", "dex(cm/s2)", 1.0), ("log(cm.s**-2)", "dex(cm/s2)", 1.0),
        ("dex", "dex(cm/s2)", 1.0), ("[Sun]", "dex", 1.0), ("dex(cm/s2)", "dex", 1.0),
        ("nanomaggies", "nmgy", 1.0),
        ("W.nm**-1.m**-2", FLUX, 1.0), ("erg/s/cm2/AA", FLUX, 0.01), ("erg/s/cm^2/A", FLUX, 0.01),
        ("10^-17 erg/s/cm2/Angstrom", FLUX, 1e-19), ("mW/m2/nm", FLUX, 1e-3),
        ("0.1nm", "nm", 0.1), ("Angstrom", "nm", 0.1), ("A", "nm", 0.1), ("um", "nm", 1000.0),
        ("", "mas", 1.0), ("---", "mag", 1.0), (None, "K", 1.0), (u.arcsec, "mas", 1000.0),
    ],
)  # fmt: skip
def test_stated_units_are_converted(stated, wanted, factor):
    values = np.array([1.0, np.nan, 3.0])
    np.testing.assert_allclose(converted(values, stated, wanted, "f: c"), values * factor)


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [("mag(AB)", "mag"), ("Jy", "mag"), ("dex", "mag"), ("mag", "dex"), ("foo", "mag"),
     ("%", "mas"), ("[K]", "K"), ("dex(m/s2)", "dex(cm/s2)"), ("'electron'.s**-1", FLUX)],
)  # fmt: skip
def test_other_units_are_refused_with_file_column_unit_and_remedy(stated, wanted):
    with pytest.raises(
        InputError, match=r"^t\.fits: column j: the unit .* write the unit"
    ) as error:
        converted(np.ones(2), stated, wanted, "t.fits: column j")
    assert repr(stated) in str(error.value)


def test_values_without_conversion_are_the_same_array():
    values = np.ones(3)
    assert converted(values, "mas", "mas", "f") is values
    assert converted(values, None, "mas", "f") is values


def test_equivalencies_are_those_of_astropy():
    at = u.spectral_density(500 * u.nm)
    ratio = converted(np.array([1.0]), "Jy", FLUX, "f", at)[0]
    assert ratio == pytest.approx((1 * u.Jy).to_value(FLUX, at), rel=1e-12)


def test_stated_units_of_columns_and_quantities():
    table = QTable({"a": [1.0] * u.arcsec, "b": [2.0]})
    assert (stated_unit(table["a"]), stated_unit(table["b"])) == ("arcsec", "")
    assert stated_unit(Column([1.0], unit="-")) == ""


def test_units_of_fits_columns_are_kept(tmp_path):
    Table({"a": [1.0] * u.arcsec, "b": [2]}).write(tmp_path / "t.fits")
    table = read_fits_table(tmp_path / "t.fits")
    assert (stated_unit(table["a"]), stated_unit(table["b"])) == ("arcsec", "")


def test_values_that_contradict_their_unit_are_refused():
    values = np.array([2e-4, -3e-4, np.nan])
    require_median(values * 1000, "mas", (0.003, 100.0), "t: column p")
    with pytest.raises(InputError, match=r"t: column p: the median is 0.00025 mas.*assumed unit"):
        require_median(values, "mas", (0.003, 100.0), "t: column p")
    with pytest.raises(InputError, match="unit 'mas' that the file states"):
        require_median(values, "mas", (0.003, 100.0), "t: column p", "mas")
    require_median(np.full(2, np.nan), "mas", (0.003, 100.0), "t: column p")


def test_messages_are_logged_once(caplog):
    with caplog.at_level("INFO", logger="xpfit"):
        say_once("one unit of this test was assumed")
        say_once("one unit of this test was assumed")
    assert len(caplog.records) == 1
