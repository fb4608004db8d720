import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xpfit import InputError, Spectra
from xpfit.prepare import attach_astrometry, parallax_zero_point


@pytest.fixture
def spectra():
    return Spectra([3, 1, 2, 9], [500.0, 600.0], np.ones((4, 2)), np.ones((4, 2)))


@pytest.fixture
def gaia():
    """Rows of gaia_source: a five-parameter, a six-parameter and a two-parameter solution."""
    return Table(
        {
            "source_id": [1, 2, 3],
            "parallax": MaskedColumn([2.0, 3.0, np.nan], mask=[0, 0, 1]),
            "parallax_error": MaskedColumn([0.1, 0.2, np.nan], mask=[0, 0, 1]),
            "phot_g_mean_mag": [13.5, 16.2, 18.0],
            "nu_eff_used_in_astrometry": MaskedColumn([1.5, np.nan, np.nan], mask=[0, 1, 1]),
            "pseudocolour": MaskedColumn([np.nan, 1.45, np.nan], mask=[1, 0, 1]),
            "ecl_lat": [20.0, -60.0, 5.0],
            "astrometric_params_solved": np.array([31, 95, 3], dtype=np.int16),
        }
    )


def test_zero_point_is_that_of_the_package_for_both_kinds_of_solution(gaia):
    from zero_point import zpt

    zpt.load_tables()
    ours = parallax_zero_point(gaia)
    five = [np.array([x]) for x in (13.5, 1.5, np.nan, 20.0, 31)]
    six = [np.array([x]) for x in (16.2, np.nan, 1.45, -60.0, 95)]
    for solution in (five, six):
        solution[-1] = solution[-1].astype(int)
    np.testing.assert_allclose(ours[:1], zpt.get_zpt(*five))
    np.testing.assert_allclose(ours[1:2], zpt.get_zpt(*six))
    assert np.isnan(ours[2])
    assert -0.08 < ours[0] < 0.0  # DR3 parallaxes are too small by some tens of microarcseconds


def test_parallaxes_join_by_id_with_the_zero_point_taken_off(spectra, gaia):
    joined = attach_astrometry(spectra, gaia)
    zero_point = parallax_zero_point(gaia)
    np.testing.assert_allclose(joined.parallax[[1, 2]], [2.0 - zero_point[0], 3.0 - zero_point[1]])
    np.testing.assert_allclose(joined.parallax_err[[1, 2]], [0.1, 0.2])
    assert np.isnan(joined.parallax[[0, 3]]).all() and np.isinf(joined.parallax_err[[0, 3]]).all()
    assert joined.preparation.parallax_zero_point.startswith("gaiadr3-zeropoint ")


def test_zero_point_can_be_switched_off(spectra, gaia):
    joined = attach_astrometry(spectra, gaia[list(gaia.colnames[:3])], zero_point=False)
    np.testing.assert_array_equal(joined.parallax[[1, 2]], [2.0, 3.0])
    assert joined.preparation.parallax_zero_point == "none"


def test_a_column_of_zero_points_takes_the_place_of_the_formula(spectra):
    table = Table(
        {
            "source_id": [1, 2],
            "parallax": [2.0, 3.0],
            "parallax_error": [0.1, 0.2],
            "zero_point": MaskedColumn([-0.05, 0.0], mask=[0, 1]),
        }
    )
    joined = attach_astrometry(spectra, table)
    np.testing.assert_allclose(joined.parallax, [np.nan, 2.05, np.nan, np.nan])
    assert joined.preparation.parallax_zero_point == "column zero_point of the table"
    as_measured = attach_astrometry(spectra, table, zero_point=False)
    np.testing.assert_allclose(as_measured.parallax, [np.nan, 2.0, 3.0, np.nan])


def test_bright_stars_use_the_zero_point_at_the_limit(gaia):
    gaia["phot_g_mean_mag"][0] = 4.0
    bright = parallax_zero_point(gaia)[0]
    gaia["phot_g_mean_mag"][0] = 6.0
    assert bright == pytest.approx(parallax_zero_point(gaia)[0])


def test_impossible_errors_make_a_parallax_unknown(spectra, gaia):
    gaia["parallax_error"][0] = 0.0
    assert np.isinf(attach_astrometry(spectra, gaia).parallax_err[1])


def test_errors_follow_from_the_ratio_where_only_that_is_given(spectra, gaia):
    parallax = gaia["parallax"].filled(np.nan)
    gaia["parallax"][1] = parallax[1] = -3.0
    gaia["parallax_over_error"] = parallax / gaia["parallax_error"]
    gaia.remove_column("parallax_error")
    np.testing.assert_allclose(attach_astrometry(spectra, gaia).parallax_err[1:3], [0.1, 0.2])


def test_missing_columns_are_named_with_the_way_out(spectra, gaia):
    gaia.remove_column("ecl_lat")
    with pytest.raises(InputError, match=r"lacks ecl_lat.*column zero_point.*zero_point=False"):
        attach_astrometry(spectra, gaia)
    gaia.remove_column("parallax_error")
    with pytest.raises(InputError, match="lacks parallax_error"):
        attach_astrometry(spectra, gaia, zero_point=False)


def test_parallaxes_in_the_unit_that_they_state(spectra, gaia):
    expected = attach_astrometry(spectra, gaia, zero_point=False)
    for name in ("parallax", "parallax_error"):
        gaia[name] = gaia[name] / 1000
        gaia[name].unit = "arcsec"
    joined = attach_astrometry(spectra, gaia, zero_point=False)
    np.testing.assert_allclose(joined.parallax, expected.parallax)
    np.testing.assert_allclose(joined.parallax_err, expected.parallax_err)
    for name in ("parallax", "parallax_error"):
        gaia[name].unit = None
    with pytest.raises(InputError, match=r"column parallax_error: the median is 0\.00015 mas"):
        attach_astrometry(spectra, gaia, zero_point=False)
    gaia["parallax_over_error"] = gaia["parallax"] / gaia["parallax_error"]
    gaia.remove_column("parallax_error")
    with pytest.raises(InputError, match="column parallax: the median"):
        attach_astrometry(spectra, gaia, zero_point=False)


def test_columns_of_vizier(spectra, gaia):
    expected = attach_astrometry(spectra, gaia)
    names = {
        "source_id": "Source", "parallax": "Plx", "parallax_error": "e_Plx",
        "phot_g_mean_mag": "Gmag", "nu_eff_used_in_astrometry": "nueff", "pseudocolour": "pscol",
        "ecl_lat": "ELAT", "astrometric_params_solved": "Solved",
    }  # fmt: skip
    gaia["source_id"] = gaia["source_id"] + 2**40
    spectra = spectra.replace(source_id=spectra.source_id + 2**40)
    gaia.rename_columns(list(names), list(names.values()))
    joined = attach_astrometry(spectra, gaia)
    np.testing.assert_array_equal(joined.parallax, expected.parallax)
    np.testing.assert_array_equal(joined.gaia["phot_g_mean_mag"], expected.gaia["phot_g_mean_mag"])


def test_missing_parallaxes_of_any_spelling(spectra, gaia):
    gaia["parallax"] = [-9999.0, 999.0, 1.0]
    gaia["parallax_error"] = [0.1, 0.1, -1.0]
    joined = attach_astrometry(spectra, gaia, zero_point=False)
    assert np.isnan(joined.parallax).all() and np.isinf(joined.parallax_err).all()


def test_a_table_of_other_stars_is_refused(spectra, gaia):
    gaia["source_id"] += 100
    with pytest.raises(InputError, match="none of the 4 stars is in this table"):
        attach_astrometry(spectra, gaia)
