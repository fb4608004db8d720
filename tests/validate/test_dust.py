import sys
from types import ModuleType

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from helpers import n_points, picture_size

from xpfit import InputError
from xpfit.cli import main
from xpfit.plots import dust_figure
from xpfit.validate import (
    attach_dust_map,
    beyond_the_dust,
    dust_numbers,
    load_dust_map,
)


class Slab:
    """A map whose reddening is 0.1 / |sin b|, and which remembers what it was asked."""

    def query(self, coords, **options):
        self.coords, self.options = coords, options
        return 0.1 / np.maximum(np.abs(np.sin(coords.galactic.b.rad)), 0.05)


def catalogue(rng, n=3000, parallax=0.5):
    longitude, latitude = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    position = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    table = Table({"ra": position.ra.deg, "dec": position.dec.deg})
    table["parallax"] = np.full(n, parallax)
    true = Slab().query(position)
    table["extinction"] = 0.02 + 0.9 * true + 0.01 * rng.standard_normal(n)
    table["quality_flags"] = np.zeros(n, dtype=np.uint8)
    table["fit_flags"] = np.zeros(n, dtype=np.int16)
    return table, latitude


def test_offset_and_slope_against_a_map_come_back(rng):
    table, _ = catalogue(rng)
    table = attach_dust_map(table, Slab())
    rows = beyond_the_dust(table)
    numbers = dust_numbers(table, rows)
    assert numbers["n"] == rows.sum()
    assert numbers["slope"] == pytest.approx(-0.1, abs=0.01)
    assert numbers["bias"] == pytest.approx(0.005, abs=0.005)
    (panel,) = dust_figure(table, rows, "slab").axes
    scatter = f"scatter {numbers['scatter']:.3f} mag"
    assert panel.get_title() == f"{rows.sum()} stars: bias {numbers['bias']:.3f}, {scatter}"
    assert panel.get_xlabel() == "E(slab) [mag]" and panel.get_ylabel() == "E - E(slab) [mag]"
    assert n_points(panel) == rows.sum()


def test_maps_are_asked_at_the_place_of_the_star(rng):
    table, _ = catalogue(rng, 20)
    table["parallax"][3] = np.nan
    slab = Slab()
    attach_dust_map(table, slab)
    np.testing.assert_allclose(slab.coords.ra.deg, table["ra"])
    np.testing.assert_allclose(slab.coords.distance.pc[:3], 2000.0)
    assert slab.coords.distance.pc[3] == 1e5  # behind everything


def test_stars_in_the_dust_are_left_out(rng):
    table, latitude = catalogue(rng, parallax=2.0)  # at 500 pc
    table["quality_flags"][5] = 8
    rows = beyond_the_dust(table)
    height = 500.0 * np.abs(np.sin(np.radians(latitude)))
    assert not rows[5] and not rows[height < 400.0].any() and rows[height > 400.0].mean() > 0.9
    table["parallax"] = np.nan
    unknown = beyond_the_dust(table)
    assert unknown.sum() > rows.sum() and not unknown[np.abs(latitude) < 10.0].any()


def test_the_magellanic_clouds_are_left_out(rng):
    table, _ = catalogue(rng, 3)
    table["ra"], table["dec"] = [80.0, 13.0, 200.0], [-69.0, -73.0, 60.0]
    np.testing.assert_array_equal(beyond_the_dust(table), [False, False, True])


def test_a_map_that_answers_for_other_stars_is_refused(rng):
    table, _ = catalogue(rng, 5)

    class Samples:
        def query(self, coords):
            return np.zeros((5, 3))

    with pytest.raises(InputError, match="one value per star"):
        attach_dust_map(table, Samples())


def test_unknown_maps_and_missing_packages_are_named(monkeypatch):
    with pytest.raises(InputError, match="choose from sfd"):
        load_dust_map("foam")
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", None)
    with pytest.raises(InputError, match=r"xpfit\[maps\]"):
        load_dust_map("sfd")


def install(monkeypatch, query):
    """Put a package in place that has the interface of dustmaps."""
    for name in ("sfd", "bayestar"):
        module = ModuleType(f"dustmaps.{name}")
        module.SFDQuery = module.BayestarQuery = query
        monkeypatch.setitem(sys.modules, f"dustmaps.{name}", module)
    monkeypatch.setitem(sys.modules, "dustmaps", ModuleType("dustmaps"))


def test_three_dimensional_maps_are_asked_for_their_median(monkeypatch, rng):
    slab = Slab()
    install(monkeypatch, lambda: slab)
    table, _ = catalogue(rng, 5)
    attach_dust_map(table, load_dust_map("bayestar"))
    assert slab.options == {"mode": "median"}
    attach_dust_map(table, load_dust_map("sfd"))
    assert slab.options == {}


def test_missing_data_of_a_map_are_told_how_to_get(monkeypatch):
    def missing():
        raise FileNotFoundError("sfd/SFD_dust_4096_ngp.fits")

    install(monkeypatch, missing)
    with pytest.raises(InputError, match=r"m\.fetch\(\)"):
        load_dust_map("sfd")


def test_command_compares_with_a_map(monkeypatch, sample_path, tmp_path, capsys):
    install(monkeypatch, Slab)
    few, fitted, output = (tmp_path / name for name in ("few.fits", "fitted.fits", "out"))
    Table.read(sample_path)[:200].write(few)
    assert main(["fit", str(few), "--output", str(fitted), "--quiet"]) == 0
    assert main(["validate", str(fitted), "--dust-map", "sfd", "--output", str(output)]) == 0
    assert "E against sfd" in capsys.readouterr().out
    assert picture_size(output / "dust.png") == (6.0, 4.0)
