import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError
from xpfit.extinction import Passband, named_passband, read_passband
from xpfit.extinction.passband import ENERGY, NAMED, PHOTONS

SVO = """<?xml version="1.0"?>
<VOTABLE version="1.1" xmlns="http://www.ivoa.net/xml/VOTable/v1.1">
  <RESOURCE type="results"><TABLE utype="photdm:PhotometryFilter.transmissionCurve.spectrum">
    <PARAM name="filterID" value="TEST/Camera.g" datatype="char" arraysize="*"/>
    <PARAM name="DetectorType" value="{counts}" datatype="char" arraysize="*"/>
    <FIELD name="Wavelength" unit="{unit}" datatype="double"/>
    <FIELD name="Transmission" unit="" datatype="double"/>
    <DATA><TABLEDATA>
      <TR><TD>5000.0</TD><TD>0.0</TD></TR>
      <TR><TD>5500.0</TD><TD>0.5</TD></TR>
      <TR><TD>6000.0</TD><TD>0.0</TD></TR>
    </TABLEDATA></DATA>
  </TABLE></RESOURCE>
</VOTABLE>
"""


def is_the_triangle(passband):
    np.testing.assert_allclose(passband.wavelength, [500.0, 550.0, 600.0])
    np.testing.assert_allclose(passband.response, [0.0, 0.5, 0.0])
    return True


@pytest.mark.parametrize(("name", "pivot"), [("G", 621.76), ("BP", 510.97), ("RP", 776.90)])
def test_gaia_passbands_have_the_pivot_wavelengths_of_dr3(name, pivot):
    """As the SVO service lists them."""
    passband = named_passband(name)
    assert passband.counts == PHOTONS
    at, response = passband.wavelength, passband.response
    assert np.sqrt(np.sum(response * at) / np.sum(response / at)) == pytest.approx(pivot, abs=0.2)


@pytest.mark.parametrize(("name", "mean"), [("B", 441.0), ("V", 551.0)])
def test_johnson_passbands_have_bessells_effective_wavelengths(name, mean):
    passband = named_passband(name)
    assert passband.counts == ENERGY
    weight = passband.response
    assert np.sum(weight * passband.wavelength) / weight.sum() == pytest.approx(mean, abs=3.0)


def test_passbands_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(InputError, match=f"no passband 'U'.*{', '.join(NAMED)}"):
        named_passband("U")


@pytest.mark.parametrize(("flag", "counts"), [("0", ENERGY), ("1", PHOTONS)])
def test_votables_of_the_svo_service(tmp_path, flag, counts):
    path = tmp_path / "filter.xml"
    path.write_text(SVO.format(unit="Angstrom", counts=flag))
    passband = read_passband(path)
    assert is_the_triangle(passband)
    assert (passband.name, passband.counts) == ("Camera.g", counts)


def test_ecsv_of_speclite(tmp_path):
    table = Table({"wavelength": [5000.0, 5500.0, 6000.0], "response": [0.0, 0.5, 0.0]})
    table["wavelength"].unit = "Angstrom"
    table.meta.update({"group_name": "test", "band_name": "g"})
    table.write(tmp_path / "test-g.ecsv")
    passband = read_passband(tmp_path / "test-g.ecsv")
    assert is_the_triangle(passband) and passband.name == "test-g"


@pytest.mark.parametrize("head", ["", "# wavelength response\n", "wavelength response\n"])
def test_texts_of_two_columns_need_a_unit(tmp_path, head):
    path = tmp_path / "mine.dat"
    path.write_text(f"{head}6000 0\n5500 0.5\n5000 0\n")  # descending
    with pytest.raises(InputError, match=r"mine.dat: .*unit of its wavelengths"):
        read_passband(path)
    passband = read_passband(path, unit="Angstrom", counts=ENERGY)
    assert is_the_triangle(passband)
    assert (passband.name, passband.counts) == ("mine", ENERGY)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wavelength,flux\n500,1\n510,2\n", "no column of the transmission"),
        ("wavelength,response\n500,1\n500,2\n", "do not ascend"),
        ("wavelength,response\n500,1\n510,-2\n", "negative"),
        ("wavelength,response\n500,0\n510,0\n", "zero everywhere"),
        ("wavelength,response\n500,1\n510,nan\n", "not finite"),
        ("wavelength,response\n500,1\n", "shapes"),
    ],
)
def test_files_that_are_no_passband_are_refused(tmp_path, text, problem):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_passband(path, unit="nm")


def test_units_that_are_no_wavelengths_are_refused(tmp_path):
    path = tmp_path / "filter.xml"
    path.write_text(SVO.format(unit="Jy", counts="1"))
    with pytest.raises(InputError, match=r"'Jy'.*'nm'"):
        read_passband(path)


def test_share_is_the_part_of_the_weight_between_wavelengths():
    box = Passband("box", np.array([400.0, 500.0]), np.ones(2), ENERGY)
    assert box.share(400.0, 425.0) == pytest.approx(0.25, abs=1e-12)
    assert box.share(0.0, 1e4) == pytest.approx(1.0, abs=1e-12)
    photons = Passband("box", np.array([400.0, 500.0]), np.ones(2))
    assert photons.share(400.0, 450.0) == pytest.approx(425.0 / 900.0, abs=1e-6)
