import numpy as np
import pytest

from xpfit.constants import AK_PER_EXTINCTION, LN_PER_MAG
from xpfit.model import ccm89, ccm89_curve


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
