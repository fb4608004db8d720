import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy_healpix import HEALPix

from xpfit import InputError, read_catalogue
from xpfit.cli import main
from xpfit.plots.sky import birdseye_figure, extinction_map_figure
from xpfit.simulate.galaxy import Cloud, DustField, iterate_mock
from xpfit.validate.sky import (
    SkyMeans,
    birdseye,
    birdseye_edges,
    cells_of,
    extinction_maps,
    good_for_maps,
)

SIMPLE = DustField(clouds=(Cloud((600.0, 0.0, 0.0), 150.0, 2e-3),))


@pytest.fixture(scope="module")
def catalogue(model):
    return list(iterate_mock(model, 150_000, np.random.default_rng(3), SIMPLE))


def test_means_are_inverse_variance_weighted(rng):
    means, cells = SkyMeans(4), rng.integers(0, 192, 20_000)
    values, weights = rng.normal(size=20_000), rng.uniform(0.5, 2.0, 20_000)
    for rows in np.array_split(np.arange(20_000), 3):  # part by part
        means.add(cells[rows], values[rows], weights[rows])
    expected = [np.average(values[cells == c], weights=weights[cells == c]) for c in range(192)]
    np.testing.assert_allclose(means.mean(), expected)


def test_cells_with_few_stars_take_the_mean_of_the_smallest_around_them_with_enough():
    means = SkyMeans(8)
    means.add(np.repeat([0, 5], [10, 9]), np.repeat([1.0, 2.0], [10, 9]))
    mean = means.mean(min_stars=10, coarser=2)
    assert mean[0] == 1.0  # enough of its own
    np.testing.assert_allclose(mean[1:4], 1.0)  # joined with the first
    np.testing.assert_allclose(mean[4:16], 28.0 / 19.0)  # joined once more
    assert np.isnan(mean[16:]).all()
    assert np.isnan(means.mean(min_stars=10, coarser=0)[1:]).all()


@pytest.mark.parametrize("nside", [0, 100])
def test_cells_must_nest(nside):
    with pytest.raises(InputError, match="power of two"):
        SkyMeans(nside)


def test_coarser_cells_are_those_of_healpix():
    fine, coarse = (HEALPix(nside=n, order="nested", frame="galactic") for n in (64, 16))
    means = SkyMeans(64)
    lon, lat = fine.healpix_to_lonlat(np.arange(fine.npix))
    means.add(np.arange(fine.npix), lat.deg)
    mean = means.mean(min_stars=10, coarser=2)
    parent = coarse.lonlat_to_healpix(lon, lat)
    expected = np.bincount(parent, lat.deg) / np.bincount(parent)
    np.testing.assert_allclose(mean, expected[parent], atol=1e-9)


def test_maps_return_the_field_of_dust(catalogue):
    maps = extinction_maps(catalogue, edges=[0.0, 0.6, 1.0, 1.5, 2.5], nside=16)
    assert maps.n_star.sum() > 50_000
    lon, lat = (x.rad for x in maps.healpix.healpix_to_lonlat(np.arange(maps.healpix.npix)))
    direction = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    # Where the dust is behind no part of the slice, the mean does not depend on where stars stand.
    high = np.abs(lat) > np.radians(50.0)
    for i in (1, 2):
        expected = SIMPLE.extinction(500.0 * maps.edges[i : i + 2].sum() * direction)
        known = np.isfinite(maps.cumulative[i])
        assert known.mean() > 0.9
        error = (maps.cumulative[i] - expected)[known & high]
        assert abs(np.median(error)) < 0.003 and np.std(error) < 0.01
    toward = maps.healpix.lonlat_to_healpix(0.0 * u.deg, 0.0 * u.deg)
    away = maps.healpix.lonlat_to_healpix(180.0 * u.deg, 0.0 * u.deg)
    cloud = np.sqrt(2.0 * np.pi) * 150.0 * 2e-3
    behind = maps.cumulative[2]
    assert behind[toward] - behind[away] == pytest.approx(cloud, rel=0.15)
    assert maps.differential[2][toward] < 0.35 * cloud  # the cloud is before this slice


def test_slices_without_stars_are_bridged(catalogue):
    maps = extinction_maps(catalogue, edges=[0.0, 0.01, 0.8, 1.5], nside=4)
    assert np.isnan(maps.cumulative[0]).all()
    np.testing.assert_allclose(maps.differential[1], maps.cumulative[1])
    np.testing.assert_allclose(maps.density[1], maps.cumulative[1] / 405.0)


def test_the_birds_eye_view_shows_the_cloud_where_it_is(catalogue):
    maps = extinction_maps(
        catalogue, edges=birdseye_edges(5.0, 24), nside=32, max_parallax_rel_err=0.33
    )
    density, edges = birdseye(maps, half_width=1.5, n_pixel=30)
    centre = 0.5 * (edges[1:] + edges[:-1])
    x, y = np.meshgrid(centre, centre, indexing="ij")
    near = np.hypot(x - 0.6, y) < 0.15
    far = np.hypot(x + 0.6, y) < 0.4
    z = np.linspace(-400.0, 400.0, 41)
    place = np.stack(np.broadcast_arrays(600.0, 0.0, z), axis=-1)
    expected = SIMPLE.at(place).mean()  # eq. 30
    assert np.nanmean(density[near]) == pytest.approx(expected, rel=0.35)
    assert np.nanmean(density[far]) < 0.25 * expected
    assert birdseye_figure(maps).axes[1].get_ylabel() == "dE/dr [mag / kpc]"


def test_slices_of_the_birds_eye_view_are_the_papers():
    edges = birdseye_edges()
    assert len(edges) == 41 and edges[-1] == pytest.approx(5.0)
    n = 7
    step = np.sinh(n * np.arcsinh(5) / 40) - np.sinh((n - 1) * np.arcsinh(5) / 40)
    assert edges[n] - edges[n - 1] == pytest.approx(step)


def test_cuts_are_the_papers(catalogue):
    table = catalogue[0][:6]
    table["chi2_opt"] = 60.0
    table["extinction"], table["extinction_err"] = 0.3, 0.01
    table["parallax"], table["parallax_err"] = 1.0, 0.05
    assert good_for_maps(table).all()
    table["chi2_opt"][0] = 5.1 * 61
    table["extinction"][1] = 11.0
    table["extinction_err"][2] = 0.05
    table["parallax_err"][3] = 0.11
    table["parallax"][4] = np.nan
    np.testing.assert_array_equal(good_for_maps(table), [False] * 5 + [True])


def test_stars_without_a_position_are_in_no_cell():
    table = Table({"ra": [10.0, np.nan], "dec": [20.0, 3.0]})
    cells = cells_of(table, SkyMeans(4).healpix)
    assert cells[0] >= 0 and cells[1] == -1


def test_catalogues_without_distances_are_refused(catalogue):
    table = catalogue[0][:100].copy()
    table["parallax"] = np.nan
    with pytest.raises(InputError, match="need parallaxes"):
        extinction_maps([table])
    with pytest.raises(InputError, match="rising distances"):
        extinction_maps([table], edges=[1.0, 0.5])
    table.remove_column("extinction_err")
    with pytest.raises(InputError, match="lacks extinction_err"):
        extinction_maps([table])


def test_maps_of_few_stars_show_how_many_and_are_mostly_unknown(catalogue):
    maps = extinction_maps([catalogue[0][:30]], nside=4)
    figure = extinction_map_figure(maps)
    figure.canvas.draw()
    *panels, bar = figure.axes
    assert len(panels) == len(maps.n_star) == 8 and bar.get_ylabel() == r"$\Delta$E [mag]"
    for panel, n, low, high in zip(
        panels, maps.n_star, maps.edges[:-1], maps.edges[1:], strict=True
    ):
        assert panel.get_title() == f"{low:g}-{high:g} kpc ({n} stars)"
        (image,) = panel.collections
        drawn = np.ma.filled(image.get_array(), np.nan)
        assert np.isnan(drawn).any() or n >= 10
    assert 0 < maps.n_star.sum() <= 30


def test_commands_simulate_a_catalogue_and_map_it(tmp_path):
    path, output = tmp_path / "mock.parquet", tmp_path / "maps"
    options = ["--catalogue", "--n", "60000", "--quiet"]
    assert main(["simulate", *options, "--output", str(path)]) == 0
    assert len(read_catalogue(path)) == 60_000
    for what in ("sky", "birdseye"):
        command = ["plot", what, str(path), "--nside", "32", "--output-dir", str(output)]
        assert main([*command, "--quiet"]) == 0
    assert {p.name for p in output.iterdir()} == {"extinction_maps.png", "birdseye.png"}
