import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy_healpix import HEALPix
from dust_files import write_bayestar, write_edenhofer, write_sfd

from xpfit import InputError
from xpfit.dust import (
    DustMap,
    DustTable,
    NoEstimate,
    behind_all_dust,
    estimate_extinction,
    load_dust_map,
)
from xpfit.dust.maps import EBV_PER_SFD, EBV_PER_UNIT, MIN_ERROR, SFD_ERROR

pytest.importorskip("healpy")  # comes with dustmaps
with warnings.catch_warnings():  # of a missing file of settings
    warnings.simplefilter("ignore")
    bayestar = pytest.importorskip("dustmaps.bayestar")
    edenhofer = pytest.importorskip("dustmaps.edenhofer2023")
    sfd = pytest.importorskip("dustmaps.sfd")

DENSITY, HEIGHT = 5e-4, 100.0


def sine_of(latitude):
    return np.maximum(np.abs(np.sin(np.radians(latitude))), 1e-3)


def slab(longitude, latitude, distance):
    """E of an exponential disc."""
    sine = sine_of(latitude)
    return DENSITY * HEIGHT / sine * -np.expm1(-distance * sine / HEIGHT)


def density(longitude, latitude, distance):
    return DENSITY * np.exp(-distance * sine_of(latitude) / HEIGHT)


def column(longitude, latitude):
    return slab(longitude, latitude, 1e9)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("maps"), np.random.default_rng(3)
    return {
        "bayestar": write_bayestar(folder / "b.h5", slab, nside=16, rms=0.1, rng=rng),
        "sfd": write_sfd(folder / "sfd", column),
        "edenhofer": write_edenhofer(folder / "e.fits", density),
        "samples": write_edenhofer(
            folder / "s.fits", density, samples=1.0 + 0.1 * rng.standard_normal(8)
        ),
    }


def places(latitude, distance, longitude=130.0):
    """Right ascension, declination and parallaxes with errors of 1 %."""
    latitude, distance = np.broadcast_arrays(np.asarray(latitude, float), distance)
    longitude = longitude + np.zeros(len(latitude))
    icrs = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    parallax = 1000.0 / distance
    return icrs.ra.deg, icrs.dec.deg, parallax, 0.01 * parallax


@pytest.mark.parametrize(
    ("name", "latitude", "factor"),
    [
        ("bayestar", 40.0, 1.0),
        ("sfd", 60.0, EBV_PER_SFD / EBV_PER_UNIT),
        ("edenhofer", 40.0, 1.0),
        ("samples", 40.0, 1.0),
    ],
)
def test_each_form_of_file_gives_the_extinction_it_was_made_of(files, name, latitude, factor):
    found = estimate_extinction(load_dust_map(files[name]), *places([latitude, -latitude], 800.0))
    assert not found.reason.any()
    true = factor * slab(0.0, latitude, 800.0)
    assert found.extinction == pytest.approx(true, rel=0.15)
    assert np.all(np.abs(found.extinction - true) < 3.0 * found.extinction_err)


def test_units_are_those_of_the_documented_table():
    assert EBV_PER_UNIT == 0.884  # Green et al. 2019, by E(g - r)
    assert EBV_PER_SFD == 0.86  # Schlafly & Finkbeiner 2011


def test_objects_of_dustmaps_do_what_their_files_do(files):
    stars = places([50.0, 60.0], 900.0)
    for name, query in (
        ("bayestar", bayestar.BayestarQuery(map_fname=str(files["bayestar"]))),
        ("sfd", sfd.SFDQuery(map_dir=str(files["sfd"]))),
        ("samples", edenhofer.Edenhofer2023Query(map_fname=str(files["samples"]), integrated=True)),
    ):
        ours = estimate_extinction(load_dust_map(query), *stars)
        theirs = estimate_extinction(load_dust_map(files[name]), *stars)
        np.testing.assert_allclose(ours.extinction, theirs.extinction)
        np.testing.assert_allclose(ours.extinction_err, theirs.extinction_err)
    with pytest.raises(InputError, match="integrated=True"):
        load_dust_map(edenhofer.Edenhofer2023Query(map_fname=str(files["edenhofer"])))
    with pytest.raises(InputError, match=r"Foam is no map.*DustMap"):
        load_dust_map(type("Foam", (), {})())


def test_errors_are_the_maps(files):
    exact = (*places([60.0], 900.0)[:3], [1e-4])
    dust_map = load_dust_map(files["bayestar"])
    place = SkyCoord(exact[0] * u.deg, exact[1] * u.deg, distance=[900.0] * u.pc)
    samples = bayestar.BayestarQuery(map_fname=str(files["bayestar"])).query(place, mode="samples")[
        0
    ]
    found = estimate_extinction(dust_map, *map(np.asarray, exact))
    assert found.extinction == pytest.approx(samples.mean(), rel=1e-3)
    expected = np.hypot(samples.std(ddof=1), MIN_ERROR)
    assert found.extinction_err == pytest.approx(expected, rel=1e-2)
    found = estimate_extinction(load_dust_map(files["sfd"]), *map(np.asarray, exact))
    assert found.extinction_err == pytest.approx(
        np.hypot(SFD_ERROR * found.extinction, MIN_ERROR), rel=1e-6
    )
    found = estimate_extinction(load_dust_map(files["edenhofer"]), *map(np.asarray, exact))
    # Written with densities uncertain by 10 %, fully correlated along the line of sight.
    assert found.extinction_err == pytest.approx(
        np.hypot(0.1 * found.extinction, MIN_ERROR), rel=0.05
    )


def test_nothing_is_made_up_where_a_map_is_not_reliable(files):
    # Within the disc at 10, 200, 800 and 3000 pc; the last one also high above it.
    stars = places([5.0, 5.0, 5.0, 5.0, 60.0], [10.0, 200.0, 800.0, 3000.0, 3000.0])
    reasons = {
        name: estimate_extinction(load_dust_map(files[name]), *stars).reason.tolist()
        for name in ("bayestar", "sfd", "edenhofer")
    }
    near, far = int(NoEstimate.TOO_NEAR), int(NoEstimate.TOO_FAR)
    assert reasons["bayestar"] == [near, 0, 0, 0, 0]  # reliable from 158 pc
    assert reasons["sfd"] == [near, near, near, near, 0]  # |b| > 10 deg, |z| > 400 pc
    assert reasons["edenhofer"] == [near, 0, 0, far, far]  # to 1250 pc
    found = estimate_extinction(load_dust_map(files["edenhofer"]), *stars)
    given = found.reason == 0
    assert np.isnan(found.extinction[~given]).all() and np.isfinite(found.extinction[given]).all()
    assert found.counts["further than the map is reliable"] == 2


def test_lines_of_sight_that_a_map_lacks_have_no_estimate(tmp_path):
    half = write_bayestar(tmp_path / "half.h5", slab, nside=1, covered=range(8))
    dust_map = load_dust_map(half)
    latitude = np.linspace(-85.0, 85.0, 60)
    found = estimate_extinction(dust_map, *places(latitude, 800.0, np.linspace(0, 350, 60)))
    assert set(found.reason) == {NoEstimate.GIVEN, NoEstimate.NOT_COVERED}
    position = SkyCoord(np.linspace(0, 350, 60) * u.deg, latitude * u.deg, frame="galactic")
    cell = HEALPix(1, order="nested").lonlat_to_healpix(position.l, position.b)
    # The first cell has not converged, the last four are not in the map.
    np.testing.assert_array_equal(found.reason == 0, (cell > 0) & (cell < 8))


def test_the_error_of_the_distance_is_carried_to_the_extinction():
    """Against the truth: stars drawn from the posterior's prior, seen with 20 % parallaxes."""
    rng, n, latitude = np.random.default_rng(5), 3000, 2.0
    distance = rng.gamma(3.0, 1350.0, n)
    ra, dec, parallax, _ = places(np.full(len(distance), latitude), distance)
    error = 0.2 * np.median(parallax) * np.ones(len(parallax))
    observed = parallax + error * rng.standard_normal(len(parallax))

    class Exact(DustMap):
        def reliable(self, position):
            return np.zeros(len(position)), np.full(len(position), 1e5)

        def at(self, place):
            value = slab(0.0, latitude, place.galactic.distance.pc)
            return value, np.zeros(len(value))

    found = estimate_extinction(Exact(), ra, dec, observed, error)
    pull = (found.extinction - slab(0.0, latitude, distance)) / found.extinction_err
    assert not found.reason.any()
    assert 0.85 < np.std(pull) < 1.1
    assert abs(np.mean(pull)) < 0.15
    exact = estimate_extinction(Exact(), ra, dec, parallax, 1e-4 * parallax)
    np.testing.assert_allclose(exact.extinction, slab(0.0, latitude, distance), rtol=1e-3)
    assert np.all(exact.extinction_err <= found.extinction_err)


def test_a_star_without_a_parallax_has_an_upper_limit(files):
    ra, dec, parallax, error = places([60.0, 60.0, 3.0], 800.0)
    parallax[1], error[2] = np.nan, np.inf
    dust_map = load_dust_map(files["sfd"])
    found = estimate_extinction(dust_map, ra, dec, parallax, error)
    assert found.reason.tolist() == [0, 0, NoEstimate.NO_DISTANCE]
    half = 0.5 * found.extinction[0]
    assert found.extinction[1] == pytest.approx(half)
    spread = np.hypot(half / np.sqrt(3.0), SFD_ERROR * half)
    assert found.extinction_err[1] == pytest.approx(np.hypot(spread, MIN_ERROR))
    found = estimate_extinction(dust_map, ra, dec, parallax, error, far_if_unknown=True)
    assert found.extinction[1] == pytest.approx(found.extinction[0])


def test_stars_without_a_position_have_no_estimate(files):
    ra, dec, parallax, error = places([60.0, 60.0], 800.0)
    ra[0] = np.nan
    found = estimate_extinction(load_dust_map(files["sfd"]), ra, dec, parallax, error)
    assert found.reason.tolist() == [NoEstimate.NO_POSITION, 0]
    assert found.counts == {"estimated": 1, "no position": 1}


def test_clouds_and_heights_are_those_of_zgr23():
    """8 deg about the LMC, 6 deg about the SMC, |b| > 10 deg, |z| > 400 pc."""
    ra, dec = [80.9, 80.9, 80.9, 13.2, 13.2], [-69.8, -62.3, -61.3, -67.0, -66.6]
    position = SkyCoord(ra * u.deg, dec * u.deg)
    np.testing.assert_array_equal(
        behind_all_dust(position, np.full(5, 5e4)), [False, False, True, False, True]
    )
    high = SkyCoord([0.0, 0.0, 0.0] * u.deg, [90.0, 90.0, 9.0] * u.deg, frame="galactic")
    np.testing.assert_array_equal(
        behind_all_dust(high, np.array([399.0, 401.0, 1e4])), [False, True, False]
    )


def test_a_table_gives_what_it_holds(tmp_path):
    table = Table({"source_id": [5, 7, 9], "E": [0.1, 0.2, np.nan], "E_err": [0.01, 0.02, 0.03]})
    table.write(tmp_path / "e.csv")
    dust_table = load_dust_map(tmp_path / "e.csv")
    assert isinstance(dust_table, DustTable)
    extinction, error = dust_table.of(np.array([7, 8, 9, 5]))
    np.testing.assert_array_equal(extinction, [0.2, np.nan, np.nan, 0.1])
    np.testing.assert_array_equal(error, [0.02, np.nan, np.nan, 0.01])


def test_files_that_are_none_of_these_are_refused_by_name(tmp_path, files):
    Table({"source_id": [5], "ebv": [0.1]}).write(tmp_path / "ebv.csv")
    with pytest.raises(InputError, match=r"ebv\.csv is no dust map.*lacks a column of the E"):
        load_dust_map(tmp_path / "ebv.csv")
    Table({"source_id": [5], "E": [0.1]}).write(tmp_path / "e.csv")
    with pytest.raises(InputError, match="lacks a column of the error of E"):
        load_dust_map(tmp_path / "e.csv")
    with pytest.raises(FileNotFoundError, match=r"neither a file nor a known dust map.*bayestar"):
        load_dust_map("foam")
    (tmp_path / "half").mkdir()
    one = tmp_path / "half" / "SFD_dust_4096_ngp.fits"
    one.write_bytes((files["sfd"] / one.name).read_bytes())
    with pytest.raises(InputError, match=r"missing in .*half: SFD_dust_4096_sgp\.fits"):
        load_dust_map(one)
    cut = tmp_path / "cut.fits"
    cut.write_bytes(files["edenhofer"].read_bytes()[:200_000])
    with pytest.raises(InputError, match=r"cut\.fits: not a readable"):
        load_dust_map(cut)
