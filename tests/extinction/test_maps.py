import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from helpers import simulate

from xpfit import InputError, fit_spectra, read_catalogue, result_table, write_catalogue
from xpfit.cli import main
from xpfit.extinction.maps import COLUMNS, iterate_for_maps
from xpfit.quality import is_reliable
from xpfit.simulate.galaxy import iterate_mock


@pytest.fixture(scope="module")
def catalogue(model):
    return list(iterate_mock(model, 3000, np.random.default_rng(5)))


def test_only_good_stars_with_small_errors_are_kept(catalogue):
    table = next(iterate_for_maps(catalogue, max_parallax_rel_err=0.2))
    original = catalogue[0]
    keep = is_reliable(original["quality_flags"], original["fit_flags"])
    keep &= original["parallax_err"] < 0.2 * original["parallax"]
    assert 0 < keep.sum() < len(original)
    np.testing.assert_array_equal(
        table["gdr3_source_id"], np.asarray(original["gdr3_source_id"])[keep]
    )
    np.testing.assert_allclose(table["parallax_var"], original["parallax_err"][keep] ** 2)
    np.testing.assert_allclose(table["extinction_var"], original["extinction_err"][keep] ** 2)
    assert (table.meta["CUTS"], table.meta["MAXPLXER"]) == ("reliable", 0.2)


def test_positions_are_galactic_and_cells_nested(catalogue):
    table = next(iterate_for_maps(catalogue, nside=64))
    at = SkyCoord(np.array(table["l"]) * u.deg, np.array(table["b"]) * u.deg, frame="galactic")
    cells = HEALPix(nside=64, order="nested").lonlat_to_healpix(at.l, at.b)
    np.testing.assert_array_equal(table["healpix"], cells)
    names = np.isin(catalogue[0]["gdr3_source_id"], table["gdr3_source_id"])
    ra, dec = (np.array(catalogue[0][name])[names] for name in ("ra", "dec"))
    icrs = SkyCoord(ra, dec, unit=u.deg)
    assert at.icrs.separation(icrs).arcsec.max() < 1e-3
    assert list(table.colnames[1:]) == list(COLUMNS)
    assert all(table[name].description for name in table.colnames)


def test_covariances_are_those_of_the_errors_made(varying_model, rng):
    """Fits of simulated stars: (E, parallax) scatter about the truth as their 2x2 matrix says."""
    truth, spectra = simulate(varying_model, 300, rng, relative_error=0.02)
    result = fit_spectra(varying_model, spectra)
    catalogue = result_table(varying_model, spectra, result, None)
    catalogue["quality_flags"] &= 0b11111000  # no classifiers
    table = next(iterate_for_maps([catalogue], cuts=["basic"], max_parallax_rel_err=10.0))
    rows = np.asarray(table["gdr3_source_id"]) - 1
    layout = varying_model.forward.layout
    true = truth[rows][:, [layout.parallax, layout.extinction]]
    for x, first, var, both in (
        ("parallax", true[:, 0], "parallax_var", "parallax_extinction_cov"),
        (
            "distance_modulus",
            10.0 - 5.0 * np.log10(true[:, 0]),
            "distance_modulus_var",
            "distance_modulus_extinction_cov",
        ),
    ):
        error = np.column_stack([table[x] - first, table["extinction"] - true[:, 1]])
        matrix = np.empty((len(table), 2, 2))
        matrix[:, 0, 0], matrix[:, 1, 1] = table[var], table["extinction_var"]
        matrix[:, 0, 1] = matrix[:, 1, 0] = table[both]
        chi2 = np.einsum("si,sij,sj->s", error, np.linalg.inv(matrix), error)
        assert len(table) > 150
        assert 0.85 < np.median(chi2) / (2.0 * np.log(2.0)) < 1.2
        # Stars behind more dust are nearer: without the covariance this would be missed.
        correlation = table[both] / np.sqrt(table[var] * table["extinction_var"])
        assert abs(np.median(correlation)) > 0.2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"nside": 100}, "power of two"),
        ({"max_parallax_rel_err": 0.0}, "must be positive"),
        ({"cuts": ["best"]}, "no cut 'best'"),
    ],
)
def test_impossible_settings_are_refused(catalogue, options, problem):
    with pytest.raises(InputError, match=problem):
        next(iterate_for_maps(catalogue, **options))


def test_catalogues_without_parallaxes_or_covariances_are_refused(catalogue):
    shapes = catalogue[0].copy()
    shapes.meta["ABSOLUTE"] = False
    with pytest.raises(InputError, match="no luminosities"):
        next(iterate_for_maps([shapes]))
    del shapes["stellar_params_cov_triu"]
    shapes.meta["ABSOLUTE"] = True
    with pytest.raises(InputError, match="lacks stellar_params_cov_triu"):
        next(iterate_for_maps([shapes]))


@pytest.mark.parametrize("ending", ["parquet", "h5", "fits"])
def test_the_command_writes_the_table(tmp_path, catalogue, ending, capsys):
    write_catalogue(catalogue[0], tmp_path / "mock.parquet")
    out = str(tmp_path / f"maps.{ending}")
    command = ["extinction", "for-maps", str(tmp_path / "mock.parquet"), "--output", out]
    assert main([*command, "--nside", "64"]) == 0
    table = read_catalogue(out)
    assert f"wrote {len(table)} of 3000 stars" in capsys.readouterr().out
    assert np.all(table["parallax_var"] * table["extinction_var"] > 0)
    assert str(table["parallax"].unit) == "mas"
