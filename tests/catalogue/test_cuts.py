import numpy as np
import pytest
from astropy.table import Table
from helpers import picture_size

from xpfit import InputError, read_catalogue, write_catalogue
from xpfit.catalogue.cuts import CUTS, counts, passes
from xpfit.cli import main
from xpfit.plots import reliability_diagram
from xpfit.validate import reliable_fraction


@pytest.fixture
def table():
    """Eight stars written out by hand: which cuts each passes stands beside it."""
    rows = [
        # flags, teff, feh, logg, fit flags            passes
        (0, 0.9, 0.9, 0.9, 0),  # all
        (1, 0.4, 0.9, 0.9, 0),  # not teff
        (2, 0.9, 0.4, 0.9, 0),  # not feh
        (4, 0.9, 0.9, 0.4, 0),  # not logg
        (8, 0.9, 0.9, 0.9, 0),  # not basic
        (16, 0.9, 0.9, 0.9, 0),  # not basic
        (0, 0.9, 0.9, 0.9, 2),  # not reliable
        (39, 0.4, 0.4, 0.4, 512),  # not basic
    ]
    flags, teff, feh, logg, fit = np.array(rows).T
    table = Table({"quality_flags": flags.astype(np.uint8), "fit_flags": fit.astype(np.int16)})
    for name, values in (("teff", teff), ("feh", feh), ("logg", logg)):
        table[f"{name}_confidence"] = values
    table["gdr3_source_id"] = np.arange(1, 9)
    return table


def test_cuts_are_those_of_table_3(table):
    expected = {"all": 8, "basic": 5, "teff": 3, "logg": 3, "feh": 3, "confident": 1, "reliable": 4}
    assert counts([table[:3], table[3:]]) == expected
    assert list(CUTS) == [*expected, "pre-main-sequence"]
    np.testing.assert_array_equal(np.flatnonzero(passes(table, ["confident"])), [0])
    np.testing.assert_array_equal(np.flatnonzero(passes(table, ["confident", "reliable"])), [0])


def test_the_published_catalogue_has_no_fit_flags(table):
    table.remove_column("fit_flags")
    assert counts([table])["confident"] == 2 and "reliable" not in counts([table])
    with pytest.raises(InputError, match="needs the column fit_flags"):
        passes(table, ["reliable"])
    with pytest.raises(InputError, match="no cut 'best'"):
        passes(table, ["best"])


def young_stars():
    """A young star, one of the main sequence, a giant, a hot one; farther, with bad astrometry."""
    rows = [
        # teff, logg, parallax, fidelity
        (3500.0, 4.2, 5.0, 0.9),
        (3500.0, 4.8, 5.0, 0.9),
        (4300.0, 2.0, 5.0, 0.9),
        (5000.0, 4.2, 5.0, 0.9),
        (3500.0, 4.2, 0.9, 0.9),
        (3500.0, 4.2, 5.0, 0.3),
        (3500.0, 4.2, np.nan, 0.9),
    ]
    names = ("gaianet_teff", "gaianet_logg", "gaia_parallax", "fidelity_v2")
    table = Table(rows=rows, names=names)
    table["teff"], table["logg"] = 3500.0, 4.8  # of the forward model, which knows no young stars
    return table


def test_pre_main_sequence_stars_are_above_the_main_sequence_and_near():
    table = young_stars()
    assert np.flatnonzero(passes(table, ["pre-main-sequence"])).tolist() == [0]
    by_spectrum = table["gaianet_teff", "gaianet_logg"]
    by_spectrum.rename_columns(by_spectrum.colnames, ["teff", "logg"])
    with pytest.warns(
        UserWarning, match="without parallax and fidelity_v2, which this table lacks"
    ):
        assert np.flatnonzero(passes(by_spectrum, ["pre-main-sequence"])).tolist() == [0, 4, 5, 6]
    with pytest.raises(InputError, match="needs the column logg"):
        passes(by_spectrum["teff",], ["pre-main-sequence"])
    with pytest.warns(UserWarning, match="lacks"):
        assert counts([by_spectrum], ["pre-main-sequence"]) == {"all": 7, "pre-main-sequence": 4}
    with pytest.raises(InputError, match="needs the column"):
        counts([table["gaia_parallax",]])


@pytest.mark.parametrize("ending", ["parquet", "fits"])
def test_select_counts_and_writes(table, tmp_path, capsys, ending):
    write_catalogue(table, tmp_path / f"all.{ending}")
    out = tmp_path / f"good.{ending}"
    arguments = ["select", str(tmp_path / f"all.{ending}"), "--cut", "teff", "--output", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "basic cut + confident in Teff" in said and "57.7%" in said
    assert "wrote 3 stars that pass teff" in said
    np.testing.assert_array_equal(read_catalogue(out)["gdr3_source_id"], [1, 3, 4])
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


def with_photometry(table):
    table["phot_g_mean_mag"], table["phot_bp_mean_mag"] = 10.0, 10.55
    table["phot_rp_mean_mag"], table["parallax"] = 9.5, 10.0
    table["gaia_parallax"] = 10.0
    return table


def test_reliable_fraction_is_over_colour_and_absolute_magnitude(table):
    table = with_photometry(table)
    table["parallax"][0] = np.nan  # then the observed one counts
    table["phot_bp_mean_mag"][7] = np.nan  # a source without colour is left out
    fraction, count, colour, magnitude = reliable_fraction([table[:4], table[4:]])
    cell = np.searchsorted(colour, 1.05) - 1, np.searchsorted(magnitude, 5.0, side="right") - 1
    assert count[cell] == count.sum() == 7
    assert fraction[cell] == pytest.approx(5 / 7)
    assert np.isfinite(fraction).sum() == 1
    panel, bar = reliability_diagram([table]).axes
    assert panel.get_title() == "7 sources" and panel.get_ylabel() == r"$M_G$ [mag]"
    assert np.nanmax(panel.collections[0].get_array()) == pytest.approx(5 / 7)
    assert bar.get_ylabel() == "fraction that passes the basic cut"


def test_diagram_without_parallaxes_is_explained(table, tmp_path, capsys):
    with pytest.raises(InputError, match="lacks phot_g_mean_mag"):
        reliable_fraction([table])
    table = with_photometry(table)
    write_catalogue(table, tmp_path / "c.parquet")
    command = ["plot", "reliability", str(tmp_path / "c.parquet"), "--output-dir", str(tmp_path)]
    assert main(command) == 0
    assert picture_size(tmp_path / "reliability.png") == (5.2, 5.6)
    table["parallax"] = table["gaia_parallax"] = np.nan
    with pytest.raises(InputError, match="no source of this catalogue has a colour and a parallax"):
        reliable_fraction([table])
