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
from xpfit.dust import DustMap, load_dust_map
from xpfit.plots import dust_figure
from xpfit.validate import (
    attach_dust_map,
    beyond_the_dust,
    compare_dust,
    dust_numbers,
    line_with_errors,
)


class SFDQuery:
    """A map whose reddening is 0.1 / |sin b|, of the interface of the dustmaps package."""

    def query(self, coords):
        return 0.1 / np.maximum(np.abs(np.sin(coords.galactic.b.rad)), 0.05)


class Slab(DustMap):
    """The same as a map of extinctions that are exact, and which remembers what it was asked."""

    def reliable(self, position):
        return np.zeros(len(position)), np.full(len(position), 1e6)

    def at(self, place):
        self.place = place
        return SFDQuery().query(place), np.zeros(len(place))


def catalogue(rng, n=3000, parallax=0.5):
    longitude, latitude = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    position = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    table = Table({"ra": position.ra.deg, "dec": position.dec.deg})
    table["parallax"] = np.full(n, parallax)
    true = SFDQuery().query(position)
    table["parallax_err"] = 0.02 * table["parallax"]
    table["extinction"] = 0.02 + 0.9 * true + 0.01 * rng.standard_normal(n)
    table["extinction_err"] = np.full(n, 0.01)
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
    assert panel.get_xlabel() == "weighted mean of E, E(slab) [mag]"
    assert panel.get_ylabel() == "E - E(slab) [mag]"
    assert n_points(panel) == rows.sum()


def test_maps_are_asked_at_the_place_of_the_star(rng):
    table, _ = catalogue(rng, 20)
    table["parallax"][3] = np.nan
    slab = Slab()
    attach_dust_map(table, slab)
    nodes = slab.place[-1:]  # that of the star without a parallax is asked last: behind everything
    np.testing.assert_allclose(nodes.ra.deg, table["ra"][3])
    assert nodes.distance.pc == pytest.approx(1e6)
    table["parallax"][3] = 0.5
    attach_dust_map(table, slab)
    assert len(slab.place) > 5 * len(table)  # over the distances of each
    np.testing.assert_allclose(np.unique(slab.place.ra.deg.round(6)), np.sort(table["ra"].round(6)))
    np.testing.assert_allclose(slab.place.distance.pc, 2000.0, rtol=0.1)


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

    class SFDQuery:
        def query(self, coords):
            return np.zeros((5, 3))

    with pytest.raises(InputError, match="one value per star"):
        attach_dust_map(table, load_dust_map(SFDQuery()))


def test_missing_packages_and_data_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", None)
    with pytest.raises(InputError, match=r"xpfit\[maps\]"):
        load_dust_map("sfd")

    def missing():
        raise FileNotFoundError("sfd/SFD_dust_4096_ngp.fits")

    install(monkeypatch, missing)
    with pytest.raises(InputError, match=r"m\.fetch\(\)"):
        load_dust_map("sfd")


def install(monkeypatch, query):
    """Put a package in place that has the interface of dustmaps."""
    for name in ("sfd", "planck"):
        module = ModuleType(f"dustmaps.{name}")
        module.SFDQuery = module.PlanckQuery = query
        monkeypatch.setitem(sys.modules, f"dustmaps.{name}", module)
    monkeypatch.setitem(sys.modules, "dustmaps", ModuleType("dustmaps"))


def simulated(rng, slope, n=4000):
    """A catalogue and a map with errors of 20 % and 0.03 mag, and true E of a known relation."""
    table, _ = catalogue(rng, n)
    true = rng.exponential(0.12, n)
    table["extinction"] = slope * true + 0.03 * rng.standard_normal(n)
    table["extinction_err"] = 0.03
    error = np.hypot(0.2 * true, 0.02)
    table["ref_extinction"] = true + error * rng.standard_normal(n)
    table["ref_extinction_err"] = np.hypot(0.2 * np.maximum(table["ref_extinction"], 0), 0.02)
    table["independent_extinction"] = true * (1.0 + 0.2 * rng.standard_normal(n))
    return table, true


@pytest.mark.parametrize("slope", [1.0, 0.9])
def test_errors_of_the_map_do_not_bias_the_slope(rng, slope):
    """Least squares of residuals against the map are biased by more than 0.07."""
    table, _ = simulated(rng, slope)
    table.remove_column("independent_extinction")
    rows = np.ones(len(table), dtype=bool)
    residual = table["extinction"] - table["ref_extinction"]
    ordinary = np.polyfit(table["ref_extinction"], residual, 1)[0]
    assert ordinary < slope - 1.0 - 0.07
    assert dust_numbers(table, rows)["slope"] == pytest.approx(slope - 1.0, abs=0.03)


@pytest.mark.parametrize("with_independent", [True, False])
def test_residuals_do_not_depend_on_what_they_are_shown_against(rng, with_independent):
    """Where fit and map agree on average, so they do at every abscissa."""
    table, _ = simulated(rng, 1.0, 20_000)
    if not with_independent:
        table.remove_column("independent_extinction")
    compared = compare_dust(table, np.ones(len(table), dtype=bool))
    reference = np.asarray(table["ref_extinction"])

    def steepness(x):
        edges = np.quantile(x, (0.2, 0.8))
        low, high = (compared.residual[rows] for rows in (x < edges[0], x > edges[1]))
        return np.median(high) - np.median(low)

    assert steepness(reference) < -0.02
    assert abs(steepness(compared.abscissa)) < 0.008


def test_a_line_with_errors_is_the_line_and_outliers_do_not_count(rng):
    x = np.linspace(0.0, 2.0, 200)
    y = 0.3 + 1.7 * x
    y[::20] += 50.0
    observed = x + 1e-3 * rng.standard_normal(200), y + 1e-3 * rng.standard_normal(200)
    variance = np.full(200, 1e-6)
    intercept, slope = line_with_errors(*observed, variance, variance)
    assert intercept == pytest.approx(0.3, abs=0.005) and slope == pytest.approx(1.7, abs=0.005)
    assert np.isnan(line_with_errors(x[:2], y[:2], variance[:2], variance[:2])).all()
    same = np.ones(5)
    assert np.isnan(line_with_errors(same, y[:5], variance[:5], variance[:5])).all()


def test_errors_of_both_are_needed(rng):
    table, _ = simulated(rng, 1.0, 10)
    del table["extinction_err"]
    with pytest.raises(InputError, match="extinction_err"):
        dust_numbers(table, np.ones(10, dtype=bool))


def test_command_compares_with_a_map(monkeypatch, sample_path, tmp_path, capsys):
    install(monkeypatch, SFDQuery)
    few, fitted, output = (tmp_path / name for name in ("few.fits", "fitted.fits", "out"))
    Table.read(sample_path)[:200].write(few)
    assert main(["fit", str(few), "--output", str(fitted), "--quiet"]) == 0
    assert main(["validate", str(fitted), "--dust-map", "sfd", "--output", str(output)]) == 0
    assert "E against sfd" in capsys.readouterr().out
    assert picture_size(output / "dust.png") == (6.0, 4.0)
    assert main(["validate", str(fitted), "--independent-dust-map", "sfd"]) == 1
    assert "goes with --dust-map" in capsys.readouterr().err
