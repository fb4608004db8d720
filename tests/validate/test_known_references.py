import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError
from xpfit.constants import LN_PER_MAG
from xpfit.validate import attach_reference
from xpfit.validate.known_references import (
    attenuation_of,
    known_references,
    named_reference,
    read_description,
    recognise_reference,
)
from xpfit.validate.reference import ReferenceLabels, read_reference

IDS = np.array([10, 20, 30, 40]) << 35


@pytest.fixture
def fitted():
    return Table({"gdr3_source_id": IDS})


@pytest.fixture
def xgboost():
    """As the Gaia archive gives it, as VOTable."""
    return Table(
        {
            "source_id": IDS,
            "catwise_w1": [10.0, 11.0, 12.0, 13.0],
            "in_training_sample": [False, False, True, False],
            "mh_xgboost": [-0.5, 0.1, 0.2, -2.0],
            "teff_xgboost": [5000.0, 5100.0, 5200.0, 5300.0],
            "logg_xgboost": [2.0, 4.5, 4.4, 4.3],
        }
    )


@pytest.fixture
def starhorse():
    """As gaia.aip.de gives it: quantiles, flags as texts, single precision."""
    table = Table({"source_id": IDS, "sh_outflag": ["0000", "0000", "0100", "0000"]})
    for name, half, values in (
        ("teff", 60.0, [5000.0, 5100.0, 5200.0, 5300.0]), ("logg", 0.1, [2.0, 4.5, 4.4, 4.3]),
        ("met", 0.2, [-0.5, 0.1, 0.2, -0.3]), ("av", 0.31, [1.0, 2.0, 3.0, 0.5]),
        ("dist", 0.1, [1.0, 2.0, 0.5, 4.0]),
    ):  # fmt: skip
        for quantile, sign in (("16", -1), ("50", 0), ("84", 1)):
            table[f"{name}{quantile}"] = np.array(values, dtype=">f4") + sign * np.float32(half)
    table["fidelity"] = [1.0, 0.3, 1.0, 0.9]
    return table


@pytest.fixture
def gspphot():
    return Table(
        {
            "SOURCE_ID": IDS,
            "teff_gspphot": MaskedColumn([5000.0, 5100, 5200, 1], mask=[0, 0, 0, 1], unit="K"),
            "teff_gspphot_lower": MaskedColumn([4990.0, 5090, 5190, 1], mask=[0, 0, 0, 1]),
            "teff_gspphot_upper": MaskedColumn([5030.0, 5110, 5210, 1], mask=[0, 0, 0, 1]),
            "logg_gspphot": [4.0, 4.1, 4.2, 4.3],
            "mh_gspphot": [0.0, -0.1, -0.2, 0.1],
            "azero_gspphot": [0.5, 1.0, 1.5, 2.0],
            "distance_gspphot": MaskedColumn([100.0, 200.0, 400.0, 800.0], unit="pc"),
            "parallax_over_error": [100.0, 50.0, 10.0, 30.0],
        }
    )


def test_tables_are_recognised_by_their_columns(xgboost, starhorse, gspphot):
    names = [recognise_reference(t).name for t in (xgboost, starhorse, gspphot)]
    assert names == ["xgboost", "starhorse", "gspphot"]
    assert recognise_reference(Table({"source_id": IDS, "teff": IDS})) is None


def test_every_shipped_description_can_be_read_and_names_its_paper():
    known = known_references()
    assert set(known) == {"aspgap", "fallows", "gspphot", "hattori", "starhorse", "xgboost"}
    assert all(entry.title and entry.source and entry.columns for entry in known.values())
    assumed = {name for name, entry in known.items() if "assumed" in entry.note}
    assert assumed == {n for n, entry in known.items() if not entry.recognised_by}


def test_xgboost_without_its_training_sample(fitted, xgboost):
    joined = attach_reference(fitted, xgboost)
    np.testing.assert_allclose(joined["ref_teff"].filled(-1), [5000, 5100, -1, 5300])
    np.testing.assert_allclose(joined["ref_feh"].filled(-1), [-0.5, 0.1, -1, -2.0])
    np.testing.assert_allclose(joined["ref_logg_err"].filled(-1), [0.08, 0.08, -1, 0.08])


def test_starhorse_in_e_and_parallax(fitted, starhorse):
    labels = ReferenceLabels(starhorse, attenuation=lambda wavelength: wavelength / 200.0)
    joined = labels.attach(fitted)
    np.testing.assert_allclose(joined["ref_teff"].filled(-1), [5000, -1, -1, 5300])
    np.testing.assert_allclose(joined["ref_teff_err"].filled(-1), [60, -1, -1, 60])
    np.testing.assert_allclose(joined["ref_extinction"].filled(-1), [1 / 2.71, -1, -1, 0.5 / 2.71])
    np.testing.assert_allclose(joined["ref_extinction_err"][0], 0.31 / 2.71, rtol=1e-5)
    np.testing.assert_allclose(joined["ref_parallax"].filled(-1), [1.0, -1, -1, 0.25])
    expected = 0.5 * (1 / 0.9 - 1 / 1.1)
    np.testing.assert_allclose(joined["ref_parallax_err"][0], expected, rtol=1e-5)


def test_gspphot_converts_units_and_masks(fitted, gspphot):
    joined = ReferenceLabels(gspphot, attenuation=lambda wavelength: 3.0).attach(fitted)
    np.testing.assert_allclose(joined["ref_parallax"].filled(-1), [10, 5, -1, 1.25])
    np.testing.assert_allclose(joined["ref_teff"].filled(-1), [5000, 5100, -1, -1])
    np.testing.assert_allclose(joined["ref_teff_err"].filled(-1), [20, 10, -1, -1])
    np.testing.assert_allclose(joined["ref_extinction"].filled(-1), [1 / 6, 1 / 3, -1, 2 / 3])
    assert joined["ref_logg_err"].mask.all()


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("teff_gspphot", lambda c: c / 1000.0, "column teff_gspphot: .*effective temperature"),
        ("teff_gspphot", lambda c: MaskedColumn(c, unit="mag"), "column teff_gspphot: the unit"),
        ("distance_gspphot", lambda c: MaskedColumn(c, unit="kpc"), "column distance_gspphot"),
        ("distance_gspphot", lambda c: MaskedColumn(c, unit="mas"), "column distance_gspphot"),
        ("mh_gspphot", lambda c: np.full(4, -999.0), None),
    ],
)
def test_wrong_units_are_refused_by_the_column_s_name(fitted, gspphot, column, change, message):
    values = change(np.ma.asarray(gspphot[column]).filled(5000.0))
    gspphot.replace_column(column, MaskedColumn(values, name=column))
    if message is None:  # a sentinel: there is no value
        assert attach_reference(fitted, gspphot)["ref_feh"].mask.all()
        return
    with pytest.raises(InputError, match=message):
        attach_reference(fitted, gspphot)


@pytest.mark.parametrize(
    ("table", "column"),
    [("starhorse", "sh_outflag"), ("starhorse", "fidelity"), ("gspphot", "mh_gspphot")],
)
def test_missing_columns_are_named(request, fitted, table, column):
    raw = request.getfixturevalue(table)
    raw.remove_column(column)
    with pytest.raises(InputError, match=f"needs a column {column}"):
        attach_reference(fitted, raw)


def test_tables_can_be_named(tmp_path, fitted):
    table = Table({"source_id": IDS, "teff": [5e3] * 4, "logg": [4.0] * 4, "fe_h": [0.1] * 4})
    table["alpha_m"] = 0.05
    table["fe_h_std"] = 0.02
    table.write(tmp_path / "fs.fits")
    joined = read_reference(f"fallows={tmp_path / 'fs.fits'}").attach(fitted)
    np.testing.assert_allclose(joined["ref_feh"], 0.1)
    np.testing.assert_allclose(joined["ref_feh_err"], 0.02)
    np.testing.assert_allclose(joined["ref_alpha_m"], 0.05)
    with pytest.raises(InputError, match="no reference table 'falows'; known are aspgap"):
        named_reference(f"falows={tmp_path / 'fs.fits'}")
    with pytest.raises(InputError, match="needs a column moh or m_h or mh for feh"):
        read_reference(f"aspgap={tmp_path / 'fs.fits'}")


def test_hattori_has_no_temperature(fitted):
    raw = Table({"source_id": IDS, "mh_50": [-1.0] * 4, "alpham_50": [0.2] * 4})
    joined = ReferenceLabels(raw, known_references()["hattori"]).attach(fitted)
    assert joined["ref_teff"].mask.all() and joined["ref_feh"][0] == -1.0


def test_a_user_describes_a_table(tmp_path, fitted):
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\n[columns.teff]\nnames = ["t"]\nunit = "kK"\n'
        '[[cuts]]\nnames = ["flag"]\nunset = 6\nwhat = "good"\n'
    )
    raw = Table({"source_id": IDS, "t": [5.0, 5.1, 5.2, 5.3], "flag": [0, 1, 2, 4]})
    joined = ReferenceLabels(raw, read_description(path)).attach(fitted)
    np.testing.assert_allclose(joined["ref_teff"].filled(-1), [5000, 5100, -1, -1])
    for text, message in (
        ('[columns.colour]\nnames = ["a"]\n', "no quantity 'colour'"),
        ("[columns.teff]\nunit = 'K'\n", "column teff: needs names"),
        ("[columns.attenuation]\nnames = ['a']\n", "needs its wavelength"),
        ("title = ", "not a description"),
        ("strange = 1\n", "not a description"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_description(path)


def test_attenuation_is_that_of_the_model_s_flux(absolute_model):
    model = absolute_model
    attenuation = attenuation_of(model)
    labels = np.array([[5.0, 0.0, 4.5]])
    clear, dusty = (model.predict(labels, e, 1.0)[0] for e in (0.0, 0.4))
    at = np.argmin(np.abs(model.wavelength - 542.0))
    faded = -2.5 * np.log10(dusty[at] / clear[at])
    assert attenuation(model.wavelength[at]) * 0.4 == pytest.approx(faded, rel=1e-9)
    curve = model.forward.extinction_curve[at]
    assert attenuation(model.wavelength[at]) == pytest.approx(curve / LN_PER_MAG)
    with pytest.raises(InputError, match="does not reach 100 nm"):
        attenuation(100.0)
