import numpy as np
import pytest

from xpfit.constants import AK_PER_EXTINCTION, LN_PER_MAG, WAVELENGTH
from xpfit.model import ccm89, ccm89_curve, ccm89_variation, r_v_of_curve
from xpfit.model.extinction import R_V_SPREAD


@pytest.mark.parametrize(
    ("band_um", "published"),
    # CCM89, table 3: A(lambda)/A(V) for R(V) = 3.1 at the effective wavelengths that it lists.
    [(0.44, 1.337), (0.55, 1.000), (0.70, 0.751), (0.90, 0.479), (1.25, 0.282), (1.60, 0.190),
     (2.2, 0.114), (3.4, 0.056)],
)  # fmt: skip
def test_ccm89_gives_its_own_table_3(band_um, published):
    assert ccm89(np.array([1000.0 * band_um]))[0] == pytest.approx(published, rel=0.015)


def test_ccm89_infrared_is_a_power_law():
    a = ccm89(np.array([1500.0, 3000.0]))
    assert a[0] / a[1] == pytest.approx(2.0**1.61)


def test_ccm89_is_nearly_continuous_where_its_formulae_meet():
    below, above = ccm89(np.array([909.0, 909.2]))
    assert below == pytest.approx(above, rel=0.01)


def test_unit_extinction_dims_ks_as_the_library_defines_it():
    r_ks = ccm89_curve(np.array([2159.0]))[0]
    assert r_ks / LN_PER_MAG == pytest.approx(AK_PER_EXTINCTION, rel=0.02)


def test_wavelengths_out_of_range_are_refused():
    with pytest.raises(ValueError, match="CCM89"):
        ccm89(np.array([100.0]))


def test_variation_is_the_change_of_ccm89_with_r_v_relative_to_the_reddest():
    variation = ccm89_variation(WAVELENGTH)
    assert variation[-1] == 0.0
    low, high = (ccm89(WAVELENGTH, r_v) for r_v in (3.1, 3.1 + R_V_SPREAD))
    np.testing.assert_allclose(np.exp(variation), (high / high[-1]) / (low / low[-1]), rtol=1e-12)


@pytest.mark.parametrize("r_v", [2.2, 2.71, 3.1, 3.333, 5.5])
def test_r_v_of_a_ccm89_curve_is_its_own(r_v):
    optical = np.arange(400.0, 1000.0, 10.0)
    curves = np.array([1.0, 17.3])[:, None] * ccm89(optical, r_v)
    np.testing.assert_allclose(r_v_of_curve(optical, curves), r_v, atol=1e-3)


def test_r_v_of_what_is_no_curve_is_nan():
    optical = np.arange(400.0, 1000.0, 10.0)
    curves = np.vstack([ccm89(optical), np.full(60, np.nan)])
    assert np.isnan(r_v_of_curve(optical, curves)).tolist() == [False, True]
